"""Files and folders appear whole or not at all."""

import errno
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from cluster.errors import StorageError
from cluster.storage import sha256, whole_file, whole_folder, write_whole

BOTH = pytest.mark.parametrize("whole", [whole_file, whole_folder])
Whole = Callable[[Path], AbstractContextManager[Path]]


def fill(aside: Path, whole: Whole, text: str = "new") -> None:
    (aside if whole is whole_file else aside / "part").write_text(text)


@BOTH
def test_the_name_appears_with_its_whole_content(tmp_path: Path, whole: Whole) -> None:
    path = tmp_path / "deep" / "thing"
    with whole(path) as aside:
        fill(aside, whole)
        assert not path.exists()
    assert (path if whole is whole_file else path / "part").read_text() == "new"
    assert [child.name for child in path.parent.iterdir()] == ["thing"]


@BOTH
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_remains_of_what_was_interrupted(tmp_path: Path, whole: Whole, error: type[BaseException]) -> None:
    with pytest.raises(error), whole(tmp_path / "thing") as aside:
        fill(aside, whole)
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_and_keeps_its_old_content_when_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "thing"
    write_whole(path, "old")
    with pytest.raises(ValueError), whole_file(path) as aside:
        aside.write_text("half")
        raise ValueError
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="exists"), whole_folder(tmp_path):
        pass


@BOTH
@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "full"), "no space left for .*thing; free some"),
        (OSError(errno.EDQUOT, "quota"), "no space left for"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "no space left for"),
        (OSError("1000 requested and 40 written"), "no space left for"),
        (OSError(errno.EACCES, "no"), "cannot write .*thing: Permission denied; choose a folder"),
        (OSError(errno.EROFS, "no"), "cannot write .*thing: Read-only file system"),
    ],
)
def test_what_the_disk_refuses_is_said_in_one_sentence(
    tmp_path: Path, whole: Whole, error: Exception, sentence: str
) -> None:
    with pytest.raises(StorageError, match=sentence), whole(tmp_path / "thing") as aside:
        fill(aside, whole)
        raise error
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_an_error_of_another_kind_passes_as_it_is(tmp_path: Path, whole: Whole) -> None:
    with pytest.raises(FileNotFoundError), whole(tmp_path / "thing"):
        (tmp_path / "missing").read_text()


@BOTH
def test_a_file_in_place_of_a_parent_is_named(tmp_path: Path, whole: Whole) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write .*file/thing"), whole(tmp_path / "file" / "thing"):
        pass


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="Is a directory"):
        write_whole(tmp_path, "text")


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
