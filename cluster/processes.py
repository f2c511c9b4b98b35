"""Our own processes, and no others: who descends from whom, and how to end a family."""

import os
import signal
import time
from pathlib import Path

POLL_S = 0.05


def started_at(pid: int) -> int | None:
    """Return the clock tick at which a process began, or None when it is gone; with the pid it names one process."""
    fields = _stat(pid)
    return None if fields is None or fields[0] == "Z" else int(fields[19])


def title(pid: int) -> str:
    """Return what a process calls itself, or its program without the folder and its words; nothing when it is gone."""
    try:
        program, *words = Path(f"/proc/{pid}/cmdline").read_text().strip("\0").split("\0")
    except OSError:
        return ""
    is_path = " " not in program  # else the process has written over where its words were
    return " ".join((Path(program).name if is_path else program, *words))


def parent(pid: int) -> int | None:
    """Return the process that a process is a child of, or None when it is gone."""
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def descendants(pid: int) -> dict[int, int]:
    """Return pid → start tick of a process's children, their children and so on."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found: dict[int, int] = {}
    queue = [pid]
    while queue:
        for child in parents.get(queue.pop(), []):
            if (tick := started_at(child)) is not None:
                found[child] = tick
                queue.append(child)
    return found


def marked(name: str, value: str) -> dict[int, int]:
    """Return pid → start tick of processes that carry `name=value` in their environment."""
    wanted = f"{name}={value}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and wanted in _environment(entry) and (tick := started_at(int(entry.name))) is not None:
            found[int(entry.name)] = tick
    return found


def end(processes: dict[int, int], grace_s: float) -> None:
    """End processes given as pid → start tick: ask first, insist after `grace_s`."""
    _signal(processes, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while _alive(processes) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    _signal(processes, signal.SIGKILL)


def _alive(processes: dict[int, int]) -> list[int]:
    return [pid for pid, tick in processes.items() if started_at(pid) == tick]


def _signal(processes: dict[int, int], number: signal.Signals) -> None:
    for pid in _alive(processes):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue  # it ended between the look and the signal


def _environment(entry: Path) -> list[bytes]:
    try:
        return (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return []


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the command's name: state, parent, …, start tick at 19."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
