"""What HAProxy does before and instead of the replicas: it refuses in the words of the API, and trusts no client.

Ray makes HAProxy's configuration, in which it and Serve refuse in plain text. The script that starts HAProxy puts these
lines into it. What is no HTTP at all HAProxy refuses in words that nobody can change.
"""

import json
import shlex
from http import HTTPStatus
from pathlib import Path

from cluster.requests import SAFE_ID

MAX_BODY_BYTES = 262_144
SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
SERVES_OWN = ("x-request-timeout-seconds", "x-request-disconnect-disabled")  # by which a client switches limits off
REQUEST_ID = "x-request-id"
CLUSTER = "x-liveshelf-cluster"  # whose balancer a request came through
ADDRESS = "x-liveshelf-address"  # and from where
REFUSED = "x-liveshelf-refused"  # by which balancer, and how many it has refused by itself since it began
ROOM = 64  # requests that a gateway has in hand; one more would wait behind them for longer than its page does
ARRIVE_S = 5  # for a request's head, and for its body or as much of it as a buffer holds: it takes no room meanwhile
WATCHED = "{ path /healthz /readyz /metrics }"  # by whoever wants to hear of every gateway, and when there is no room
DETAILS = {
    400: "this is not HTTP",
    408: "the request did not arrive in time",
    413: f"the body is larger than {MAX_BODY_BYTES} bytes; send less at a time",
    500: "the engine failed on this request; its log says why",
    503: "no replica answered: more is asked than can be, it took too long, or none is ready; send the same again",
}
ANSWERS = {400: 400, 408: 408, 413: 413, 500: 500, 502: 503, 503: 503, 504: 503}  # what is said where HAProxy means
PLAIN = "{ res.hdr(content-type) -m beg text/plain }"  # Serve's refusals; of ours none is plain


def install(folder: Path, mark: str) -> str:
    """Write answers and lines into `folder`, and return the shell's words that put them into the file `$3`, once.

    mark: what every request carries from here on, by which replicas know their own cluster's; none where it is empty.
    """
    for status, detail in DETAILS.items():
        (folder / f"say{status}").write_text(problem(status, detail))
    places = {name: folder / name for name in ("defaults", "clients", "nobody", "full")}
    places["defaults"].write_text(_lines(*(f"errorfile {own} {folder}/say{ours}" for own, ours in ANSWERS.items())))
    places["clients"].write_text(_lines(
        "http-request set-log-level silent",  # paths hold ids, nobody reads it, and it costs what a request costs twice
        f"timeout http-request {ARRIVE_S}s",
        "timeout http-keep-alive 1h",  # would be the same by default
        "stick-table type integer size 1 store gpc0",
        "http-request track-sc0 int(0)",
        f"http-request set-header {REFUSED} \"%[hostname] %[sc0_get_gpc0]\"",
        *(f"http-request del-header {name}" for name in (*SERVES_OWN, CLUSTER)),
        *([f"http-request set-header {CLUSTER} {mark}"] if mark else []),
        f"http-request set-header {ADDRESS} %[src]",
        # Serve puts a client's id into the answer as it is, whatever it is.
        f"http-request del-header {REQUEST_ID} unless {{ req.fhdr({REQUEST_ID}) -m reg ^{SAFE_ID.pattern}$ }}",
        f"http-request return status 413 default-errorfiles if {{ req.hdr_val(content-length) gt {MAX_BODY_BYTES} }}",
        f"http-request wait-for-body time {ARRIVE_S}s",
        f"http-response return status 503 default-errorfiles if {{ status 408 503 }} {PLAIN}",
        f"http-response return status 500 default-errorfiles if {{ status 500 }} {PLAIN}",
        "http-response set-var(txn.is_theirs) bool(true)",
        "http-after-response sc-inc-gpc0(0) if { status ge 500 } !{ var(txn.is_theirs) -m found }",
    ))  # fmt: skip
    places["nobody"].write_text(_lines("http-request return status 503 default-errorfiles"))  # no application is there
    places["full"].write_text(_lines(
        f"http-request set-var(txn.room) nbsrv,mul({ROOM})",
        f"http-request return status 503 default-errorfiles if {{ be_conn,sub(txn.room) gt 0 }} !{WATCHED}",
    ))  # fmt: skip
    defaults, clients, nobody, full = (shlex.quote(str(place)) for place in places.values())
    # A gateway that answered a moment ago finds its caches warm: a request that is alone goes to the first. On one
    # machine only, since balancers of several would all choose the same.
    alone = rf"s#^( *)server ([^ ]+) 127\.0\.0\.1:.*#&\n\1use-server \2 if {{ be_conn le 1 }} !{WATCHED}#"
    return f"""grep -q {SERVES_OWN[0]} "$3" || sed -i -E -e '/^ *errorfile 50/d' -e '/^defaults$/r '{defaults} \\
  -e '/^frontend http_frontend$/{{n;r '{clients} -e '}}' \\
  -e '/^backend default_backend$/{{n;r '{nobody} -e d -e '}}' \\
  -e '/^backend default_backend$/!{{/^backend /r '{full} -e '}}' \\
  -e '/^backend /,/^ *server /{{{alone}}}' "$3"
"""


def problem(status: int, detail: str) -> str:
    """Return a whole HTTP answer."""
    body = json.dumps({"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail})
    headers = {"content-type": "application/problem+json", "content-length": str(len(body)), **SAFE}
    headers |= {"retry-after": "1"} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n{body}"


def _lines(*lines: str) -> str:
    return "".join(f"    {line}\n" for line in lines)
