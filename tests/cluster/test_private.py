"""Tokens and folders that belong to one user."""

import os
from pathlib import Path

import pytest

from cluster.auth import ensure_token, private_folder
from cluster.errors import RuntimeStartError


def test_a_token_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = ensure_token(tmp_path / "state" / "token")
    token = path.read_text()
    assert len(token) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_token(path).read_text() == token


def test_a_token_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = ensure_token(tmp_path / "token")
    path.chmod(0o644)
    with pytest.raises(RuntimeStartError, match=r"mode 644.*chmod 600"):
        ensure_token(path)


def test_an_open_folder_of_ours_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir(mode=0o777)
    assert private_folder(folder).stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    with pytest.raises(RuntimeStartError, match="belongs to another user"):
        private_folder(folder)


def test_a_file_in_the_place_of_a_folder_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeStartError, match=r"cannot use .*file.*LIVESHELF_HOME"):
        private_folder(tmp_path / "file")
