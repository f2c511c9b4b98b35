"""Load by wrk, a load generator that costs a tenth of what it measures (Debian's package `wrk`)."""

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.peers.servers import Target
from cluster.errors import ConfigError
from cluster.processes import descendants

IDLE_S = 3.0
SCRIPT = """
math.randomseed(7)
local headers = {["content-type"] = "application/json"}
request = function()
  return wrk.format("POST", "/v1/recommendations", headers, '{"user":"u' .. math.random(0, %d) .. '","count":20}')
end
done = function(summary, latency, requests)
  io.write(string.format('{"requests":%%d,"seconds":%%f,"refused":%%d,"broken":%%d,"p50":%%f,"p99":%%f}\\n',
    summary.requests, summary.duration / 1e6, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""
PAUSES = """
delay = function() return math.random(0, 2 * %d) end
"""


class Load(NamedTuple):
    """What a load came to."""

    requests_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # per request, of the server with all its processes, beyond what it uses without load
    failed: int  # answers other than 2xx, and none


def load(target: Target, users: int, connections: int, seconds: int, idle: float = 0.0, pause_ms: int = 0) -> Load:
    """Ask for slates of random shoppers u0, u1, … over so many connections.

    idle: cores used without load; pause_ms: between an answer and the next request of a connection, on average.
    """
    if shutil.which("wrk") is None:
        raise ConfigError("wrk is not installed; `apt-get install wrk`")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % (users - 1) + (PAUSES % pause_ms if pause_ms else ""))
        script.flush()
        before = cpu_s(target.root)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script.name,
             f"http://127.0.0.1:{target.port}"], text=True, stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        used = cpu_s(target.root) - before - idle * seconds
    told = json.loads(done.stdout.splitlines()[-1])
    return Load(
        requests_s=round(told["requests"] / told["seconds"], 1), p50_ms=round(told["p50"], 2),
        p99_ms=round(told["p99"], 2), cpu_ms=round(1e3 * used / max(1, told["requests"]), 3),
        failed=told["refused"] + told["broken"],
    )  # fmt: skip


def idle_cores(root: int) -> float:
    """Return how many cores a process and its descendants use while nobody asks."""
    before = cpu_s(root)
    time.sleep(IDLE_S)
    return (cpu_s(root) - before) / IDLE_S


def cpu_s(root: int) -> float:
    """Return the processor's time that a process and its descendants have used."""
    ticks = sum(_ticks(pid) for pid in (root, *descendants(root)))
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[11]) + int(fields[12])
