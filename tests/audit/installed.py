"""What a user installs: the packages that liveshelf and its extras bring, but for those of developers."""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cluster.environment import ROOT

NOT_A_USERS = {"dev"}


def installed() -> tuple[list[str], list[str]]:
    """Return the packages that a user's installation may hold: those that are here, and those that are not."""
    here: dict[str, frozenset[str]] = {}
    missing: set[str] = set()
    waiting = list(brought(asked_for(), frozenset()))
    while waiting:
        name, extras = waiting.pop()
        if name in here and extras <= here[name]:
            continue
        try:
            lines = distribution(name).requires or []
        except PackageNotFoundError:
            missing.add(name)
            continue
        here[name] = here.get(name, frozenset()) | extras
        waiting += brought(lines, here[name])
    return sorted(here), sorted(missing)


def asked_for() -> list[str]:
    """Return what pyproject.toml asks for, with every extra of a user."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return project["dependencies"] + [line for name in extras.keys() - NOT_A_USERS for line in extras[name]]


def brought(lines: Iterable[str], extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield what requirements of a package with some of its extras mean on this machine, as names with extras."""
    for wanted in map(Requirement, lines):
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield canonicalize_name(wanted.name), frozenset(wanted.extras)
