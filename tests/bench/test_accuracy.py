"""The comparison as a command: what fails says why, what is finished is not done again."""

import json
from pathlib import Path

import pytest

from bench.accuracy import main
from bench.commands import FailedCommand, run_python
from tests.train.small import write_ring

SETTINGS = {
    "ease": "{fit: {model: {kind: ease, max_items: 5}}}",
    "gru": "{fit: {model: {kind: gru, embedding_dim: 8, hidden_dim: 8}, training: {epochs: 2, negatives: 16}}}",
}


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The words of a small comparison that keeps to a folder of its own."""
    folder = tmp_path
    (folder / "settings").mkdir()
    for name, text in SETTINGS.items():
        (folder / "settings" / f"{name}.yaml").write_text(text)
    data = write_ring(folder / "ring", n_users=40)
    return [
        f"data={data}", f"out={folder / 'results.json'}", f"settings={folder / 'settings'}", "engine=none",
        f"rejects={folder / 'rejects'}",
    ]  # fmt: skip


def results(words: list[str]) -> dict:
    (out,) = [word.removeprefix("out=") for word in words if word.startswith("out=")]
    return json.loads(Path(out).read_text())["rows"]


def test_a_family_that_fails_says_why_and_a_second_run_measures_only_what_is_missing(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "families=ease,gru", "peers=true"]) == 0
    rows = results(words)
    printed = capsys.readouterr().out
    why = "ease inverts a matrix of items by items, and 24 items are more than max_items=5"
    assert why in rows["families"]["ease"]["0"]["failed"]
    assert printed.count(why) == 2  # when it happens, and under the table
    assert rows["families"]["gru"]["0"]["parameters"] > 0
    assert rows["families"]["gru"]["0"]["chosen"]["epoch"] in (1, 2)
    assert rows["peers"]["sequential rules"]["0"]["ndcg@10"] > rows["peers"]["popularity"]["0"]["ndcg@10"]

    assert main([*words, "families=gru,rules", "peers=true"]) == 0
    done = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[")]
    assert [line.split(":")[0] for line in done] == ["[2/4] families rules seed=0"]
    assert results(words)["families"]["gru"] == rows["families"]["gru"]


def test_a_misspelt_setting_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "familys=gru"]) == 1
    assert "families" in capsys.readouterr().err


def test_a_command_that_takes_too_long_or_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(FailedCommand, match="took more than max_cpu_s=1 seconds"):
        run_python(tmp_path, "-c", "while True: pass", max_cpu_s=1)
    with pytest.raises(FailedCommand, match="ended with 3"):
        run_python(tmp_path, "-c", "import sys; sys.exit(3)", max_cpu_s=9)
