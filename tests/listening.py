"""On which addresses processes listen, as the kernel tells it."""

from pathlib import Path

LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
LISTEN = "0A"


def listening_addresses(pids: dict[int, int]) -> set[str]:
    """Return the local addresses, in hex as the kernel prints them, on which these processes listen."""
    inodes = {target for pid in pids for target in socket_inodes(pid)}
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == LISTEN and f"socket:[{row[9]}]" in inodes}


def socket_inodes(pid: int) -> list[str]:
    """Return what the sockets of a process are called; none of one that is gone."""
    found = []
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.append(str(descriptor.readlink()))
            except FileNotFoundError:
                continue
    except FileNotFoundError:
        return []
    return [name for name in found if name.startswith("socket:")]
