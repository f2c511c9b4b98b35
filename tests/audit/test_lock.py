"""The lock: what a locked installation is made of, in step with what is asked for and pinned."""

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cluster.environment import ROOT
from tests.audit.lock import EXTRAS, LOCK, PINS, locked, read

REMEDY = "run `make lock`"


def test_each_locked_version_is_the_pinned_one() -> None:
    pinned, found = read(PINS), read(LOCK)
    assert found
    assert {name: version for name, version in found.items() if pinned.get(name) != version} == {}, REMEDY


def test_all_that_is_asked_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    assert {canonicalize_name(Requirement(line).name) for line in asked} - set(read(LOCK)) == set(), REMEDY


def test_each_line_holds_one_hash() -> None:
    lines = [line for line in LOCK.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if line.count(" --hash=sha256:") != 1] == []
    assert lines == sorted(lines)


def test_what_pip_would_install_is_locked_by_name_and_our_own_folder_is_not() -> None:
    archive = {"archive_info": {"hashes": {"sha256": "ab"}}, "url": "https://index/Some_One.whl"}
    report = {
        "install": [
            {"metadata": {"name": "Some_One", "version": "1.0+cpu"}, "download_info": archive},
            {"metadata": {"name": "liveshelf", "version": "0.1.0"}, "download_info": {"dir_info": {}, "url": "x"}},
        ]
    }
    assert list(locked(report)) == ["some-one==1.0+cpu --hash=sha256:ab"]
