"""`serve/run.py`: what it refuses before anything starts, and a whole life of a server."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.client import Client
from cluster.environment import ROOT
from cluster.haproxy import free_port
from cluster.head import running_head
from cluster.health import SETTINGS
from serve.run import main
from tests.serve.shop import open_shop
from train.registry import Registry


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command ended, nothing having been started."""
    assert main(words) == 1
    assert running_head() is None
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.usefixtures("home")
def test_a_busy_port_is_one_clear_sentence(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        line = refused(["start", f"registry={registry}", f"port={port}"], capsys)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in line


@pytest.mark.usefixtures("home")
def test_a_missing_bundle_is_said_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "train/run.py fit" in refused(["start", f"registry={tmp_path}"], capsys)
    assert "train/run.py fit" in refused(["start", f"registry={tmp_path}", f"bundle={tmp_path}"], capsys)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["model.safetensors", "item_vectors.npy", "histories.parquet"])
def test_a_bundle_with_a_flipped_byte_is_refused(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    bundle = shutil.copytree(Registry(registry).find("current"), tmp_path / "bundle")
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    assert name in refused(["start", f"registry={registry}", f"bundle={bundle}"], capsys)


@pytest.mark.usefixtures("home")
def test_without_a_server_status_fails_and_stop_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert "serve/run.py start" in refused(["status"], capsys)
    assert main(["stop"]) == 0
    assert "nothing was running" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "words",
    [
        ["start", "prot=1"], ["start", "port=0"], ["start", "port"], ["start", "origins=shop.example"],
        ["start", "origins=https://shop.example/"], ["start", "rates.proxies=x"], ["stop", "now"],
    ],
)  # fmt: skip
def test_a_wrong_setting_is_one_clear_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert words[1].partition("=")[0] in refused(words, capsys)


@pytest.mark.usefixtures("home")
def test_the_refused_events_of_a_stopped_server_are_lines_that_can_be_sent_again(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        shop.client.post("/v1/events", json={"type": "click", "user": "u", "item": "later", "id": "e1"})
        shop.client.post("/v1/events", json={"type": "click", "user": "u", "item": "i0003", "id": "e2"})
    words = ["dead_letters", f"registry={registry}", f"data={tmp_path / 'data'}"]
    assert main(words) == 0
    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["user"], line["status"], line["event"]["item"]) == ("u", 422, "later")
    assert main([*words, f"out={tmp_path / 'letters.jsonl'}"]) == 0
    assert json.loads((tmp_path / "letters.jsonl").read_text()) == line
    with open_shop(registry, tmp_path / "data") as shop:
        assert shop.post("/v1/events", **line["event"] | {"item": "i0003"})["applied"] == 1
    assert main([*words, f"out={tmp_path / 'letters.jsonl'}"]) == 0
    assert (tmp_path / "letters.jsonl").read_text() == ""


@pytest.mark.ray
@pytest.mark.slow
def test_what_was_acknowledged_is_there_after_stop_and_start(home: Path, registry: Path, tmp_path: Path) -> None:
    port, event = free_port(), {"id": "e1", "type": "click", "user": "u", "item": "i0003"}
    settings = [f"registry={registry}", f"data={tmp_path / 'data'}", f"port={port}"]

    # The variables that this process made for its own cluster would lead there.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(ROOT / "serve/run.py"), *words]
        return subprocess.run(line, cwd="/", env=clean, capture_output=True, text=True, timeout=180)

    started = command("start", *settings)
    assert started.returncode == 0, started.stderr
    assert f"http://127.0.0.1:{port}" in started.stdout
    assert json.loads((home / SETTINGS).read_text())["keys"] == "/var/keys.json"  # whoever reads it, and from where
    assert json.loads(command("status").stdout)["status"] == "ready"
    assert Client(port).post("/v1/events", event).body["applied"] == 1
    elsewhere = command("start", *settings[:2], f"port={free_port()}")
    assert elsewhere.returncode == 1
    assert "stop" in elsewhere.stderr
    assert command("stop").stdout == "stopped\n"
    assert json.loads((tmp_path / "data" / "manifest.json").read_text())["last_seq"] == 1  # closed, not killed
    assert not list((tmp_path / "data").glob("*-wal"))
    assert command("start", *settings).returncode == 0
    assert Client(port).post("/v1/events", event).body["results"][0] == {
        "id": "e1", "status": "duplicate", "version": 1, "problem": None,
    }  # fmt: skip
