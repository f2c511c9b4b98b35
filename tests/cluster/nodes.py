"""Several machines on one: each a network, process and mount namespace with an address, a home and an sshd of its own.

Needs root, iproute2 and openssh-server. What runs in one sees no process of another: `ray stop` ends its own alone.
"""

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cluster.environment import ROOT
from cluster.processes import descendants, end, title

TOOLS = ("ip", "unshare", "sshd", "ssh", "ssh-keygen", "rsync", "setpriv")

# Covers what machines do not share: home (/srv), temporary files, shared memory. `venv` is there as if made already, in
# ~/liveshelf and where its own scripts look for it.
BOOT = """
set -e
hostname {name}
ip link set lo up
mkdir -p {here}/home/liveshelf/.venv {here}/tmp {here}/upper {here}/work
cp /etc/skel/.bashrc /etc/skel/.profile {here}/home/ 2>/dev/null || true
cp {keys}/* /run/sshd-{name}/
sed 's|^root:.*|root:x:0:0:root:/srv:/bin/bash|' /etc/passwd > {here}/passwd
mount --bind {here}/passwd /etc/passwd
mount --bind {here}/home /srv
mount -t overlay overlay -o lowerdir={venv},upperdir={here}/upper,workdir={here}/work /srv/liveshelf/.venv
touch /srv/liveshelf/.venv/.ready-cpu
mount -t tmpfs -o size=8g tmpfs /dev/shm
mount --bind {here}/tmp /tmp
mkdir -p {venv}
mount --bind /srv/liveshelf/.venv {venv}
cd /srv
exec /usr/sbin/sshd -D -e -f /dev/null -o ListenAddress={address} -o HostKey=/run/sshd-{name}/host \
-o AuthorizedKeysFile=/run/sshd-{name}/id_ed25519.pub -o StrictModes=no -o PermitRootLogin=prohibit-password \
-o PidFile=none -o UsePAM=no -o MaxStartups=100 -o MaxSessions=100
"""


def missing() -> str:
    """Return why there can be no such machines here, nothing where there can."""
    if os.getuid() != 0:
        return "only root can make namespaces"
    absent = [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@dataclass
class Node:
    """One of them."""

    name: str
    address: str
    folder: Path
    key: Path
    supervisor: subprocess.Popen[bytes] | None = field(default=None)

    def run(self, command: str, timeout_s: float = 120) -> str:
        """Return what a command prints there, in a login shell as a user has it."""
        done = subprocess.run(
            [
                "ssh", "-i", self.key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=5", f"root@{self.address}",
                f"bash -lic {shlex.quote(command)}",
            ],
            capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{self.name}: {command!r} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def inside(self, code: str) -> str:
        """Return what Python code of this machine prints in the node's network, its cable being in or out."""
        line = ["ip", "netns", "exec", self.name, sys.executable, "-c", code]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout

    def processes(self) -> dict[int, str]:
        """Return pid, as outside, and command line of all that runs there but its sshd."""
        if self.supervisor is None:
            return {}
        lines = {pid: title(pid) for pid in descendants(self.supervisor.pid)}
        return {pid: line for pid, line in lines.items() if line and "sshd" not in line.split()[0]}

    def kill(self) -> None:
        """Let it die at once, as when the power fails: kill -9 of its first process takes all others along."""
        if self.supervisor is not None:
            end(descendants(self.supervisor.pid), grace_s=0)
            self.supervisor.wait()
            self.supervisor = None


class Network:
    """Machines of one network."""

    def __init__(self, folder: Path, n: int, venv: Path) -> None:
        self.mark = f"ls{secrets.token_hex(2)}"
        self.subnet = f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(250)}"
        self.gateway = f"{self.subnet}.254"  # the address of this machine among them
        self.folder, self.venv, self.keys = folder, venv, folder / "keys"
        self.nodes = [
            Node(f"{self.mark}n{index}", f"{self.subnet}.{index}", folder / f"n{index}", self.keys / "id_ed25519")
            for index in range(1, n + 1)
        ]

    def up(self) -> None:
        """Make bridge, keys and nodes."""
        self.keys.mkdir(parents=True)
        for name in ("id_ed25519", "host"):
            _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.keys / name))
        _do("ip", "link", "add", self.mark, "type", "bridge")
        _do("ip", "address", "add", f"{self.gateway}/24", "dev", self.mark)
        _do("ip", "link", "set", self.mark, "up")
        Path("/run/sshd").mkdir(exist_ok=True)
        for node in self.nodes:
            self._join(node)
            self.boot(node)

    def boot(self, node: Node) -> None:
        """Start a node, the first time or again, with the disk it had."""
        node.folder.mkdir(exist_ok=True)
        Path(f"/run/sshd-{node.name}").mkdir(mode=0o700, exist_ok=True)
        script = BOOT.format(
            name=node.name, here=node.folder, venv=self.venv.resolve(), keys=self.keys, address=node.address
        )
        with (node.folder / "boot.log").open("ab") as log:
            node.supervisor = subprocess.Popen(
                [
                    "ip", "netns", "exec", node.name, "unshare", "--pid", "--mount", "--uts", "--ipc", "--fork",
                    "--kill-child", "--mount-proc", "bash", "-c", script,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            )  # fmt: skip

    def cut(self, node: Node) -> None:
        """Take the cable out: nothing comes or goes, and nobody is told."""
        _do("ip", "link", "set", f"{node.name}v", "down")

    def mend(self, node: Node) -> None:
        """Put the cable back."""
        _do("ip", "link", "set", f"{node.name}v", "up")

    def down(self) -> None:
        """Let nothing remain."""
        for node in self.nodes:
            node.kill()
            _do("ip", "netns", "delete", node.name, check=False)
            shutil.rmtree(f"/run/sshd-{node.name}", ignore_errors=True)
        _do("ip", "link", "delete", self.mark, check=False)

    def _join(self, node: Node) -> None:
        _do("ip", "netns", "add", node.name)
        outside = f"{node.name}v"
        _do("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", node.name)
        _do("ip", "link", "set", outside, "master", self.mark, "up")
        _do("ip", "-n", node.name, "address", "add", f"{node.address}/24", "dev", "eth0")
        _do("ip", "-n", node.name, "link", "set", "eth0", "up")
        _do("ip", "-n", node.name, "route", "add", "default", "via", self.gateway)


@contextmanager
def network(n: int, venv: Path) -> Iterator[Network]:
    """Have `n` machines for as long as the block runs, each of which finds `venv` made in ~/liveshelf."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lsn-", ignore_cleanup_errors=True)))
        machines = Network(folder, n, venv)
        stack.callback(machines.down)
        machines.up()
        yield machines


def _do(*words: str, check: bool = True) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{shlex.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
