"""The rules of the house, each read from the source and each shown to catch an offender."""

import ast
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("cluster", "serve", "train", "tune")
BELOW = {
    "cluster": {"cluster"},
    "train": {"cluster", "train"},
    "tune": {"cluster", "train", "tune"},
    "serve": {"cluster", "train", "serve"},
}
EDGES = {
    "cluster/runtime.py",
    "train/fit.py",
    "tune/sweep.py",
    "serve/app.py",
    "serve/replicas.py",
    "serve/store_client.py",
    "serve/store_host.py",
}
MAPS_NAMES = {"train/models/__init__.py"}
UNSAFE_MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
LONGEST_FILE = 300


@dataclass(frozen=True)
class Source:
    """One file of ours: where it lies and what it says."""

    path: str  # relative to the root, with /
    text: str

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    def imports(self) -> Iterator[tuple[ast.AST, str]]:
        """Yield each imported module's dotted name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield node, "." * node.level + (node.module or "")

    def calls(self) -> Iterator[tuple[ast.Call, str]]:
        """Yield each call with the dotted name that is called."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node, ast.unparse(node.func)


def imports_point_down(source: Source) -> Iterator[str]:
    for _, module in source.imports():
        first = module.partition(".")[0]
        if first in PACKAGES and first not in BELOW[source.package]:
            yield f"{source.package} must not import {module}"


def ray_stays_at_the_edges(source: Source) -> Iterator[str]:
    if source.path not in EDGES:
        yield from (f"imports {module}" for _, module in source.imports() if module.partition(".")[0] == "ray")


def own_names_are_imported_by_their_whole_path(source: Source) -> Iterator[str]:
    for node, module in source.imports():
        if module.startswith("."):
            yield f"relative import of {module}"
        elif module.partition(".")[0] in PACKAGES and (isinstance(node, ast.Import) or "." not in module):
            yield f"write `from {module}.… import name`"


def a_package_file_holds_a_docstring_only(source: Source) -> Iterator[str]:
    if source.path.endswith("__init__.py") and source.path not in MAPS_NAMES:
        body = source.tree.body
        if len(body) != 1 or ast.get_docstring(source.tree) is None:
            yield "an __init__.py holds a docstring and nothing else"


def files_are_short(source: Source) -> Iterator[str]:
    if (length := len(source.text.splitlines())) > LONGEST_FILE:
        yield f"{length} lines; split it by idea"


def ray_starts_in_one_place(source: Source) -> Iterator[str]:
    if source.path != "cluster/runtime.py":
        yield from (f"calls {name}" for _, name in source.calls() if name in {"ray.init", "ray.shutdown"})


def nothing_unpickles(source: Source) -> Iterator[str]:
    yield from (f"imports {module}" for _, module in source.imports() if module.partition(".")[0] in UNSAFE_MODULES)
    for call, name in source.calls():
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        if name == "torch.load" and given.get("weights_only") != "True":
            yield "torch.load without weights_only=True"
        if name.endswith("read_pickle") or (name in {"np.load", "numpy.load"} and given.get("allow_pickle") == "True"):
            yield f"{name} unpickles"


def assert_is_for_tests(source: Source) -> Iterator[str]:
    yield from (f"assert in line {node.lineno}" for node in ast.walk(source.tree) if isinstance(node, ast.Assert))


Rule = Callable[[Source], Iterator[str]]
OFFENDERS: dict[Rule, list[Source]] = {
    imports_point_down: [
        Source("cluster/x.py", "from train.loop import train_epochs"),
        Source("train/x.py", "from serve.app import build_app"),
        Source("tune/x.py", "def f():\n    from serve.app import build_app"),
        Source("serve/x.py", "from tune.sweep import sweep"),
    ],
    ray_stays_at_the_edges: [
        Source("train/loop.py", "import ray"),
        Source("serve/run.py", "from ray.serve import run"),
        Source("tune/x.py", "import numpy, ray.tune"),
    ],
    own_names_are_imported_by_their_whole_path: [
        Source("train/x.py", "import train.loop"),
        Source("train/x.py", "from train import loop"),
        Source("train/x.py", "from .loop import train_epochs"),
        Source("train/x.py", "from . import loop"),
    ],
    a_package_file_holds_a_docstring_only: [
        Source("train/__init__.py", ""),
        Source("train/__init__.py", '"""Training."""\nVERSION = 1'),
        Source("train/__init__.py", "VERSION = 1"),
    ],
    files_are_short: [Source("train/x.py", "x = 1\n" * (LONGEST_FILE + 1))],
    ray_starts_in_one_place: [Source("serve/app.py", "import ray\nray.init()")],
    nothing_unpickles: [
        Source("train/x.py", "import pickle"),
        Source("train/x.py", "from joblib import load"),
        Source("train/x.py", "torch.load(path)"),
        Source("train/x.py", "torch.load(path, weights_only=False)"),
        Source("train/x.py", "np.load(path, allow_pickle=True)"),
        Source("train/x.py", "pd.read_pickle(path)"),
    ],
    assert_is_for_tests: [Source("serve/x.py", "assert ready")],
}
SOURCES = [
    Source(path.relative_to(ROOT).as_posix(), path.read_text())
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
]


@pytest.mark.parametrize("rule", OFFENDERS, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rule(rule: Rule) -> None:
    found = [f"{source.path}: {breach}" for source in SOURCES for breach in rule(source)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("rule", "offender"),
    [pytest.param(rule, one, id=rule.__name__) for rule, offenders in OFFENDERS.items() for one in offenders],
)
def test_the_rule_catches_an_offender(rule: Rule, offender: Source) -> None:
    assert list(rule(offender))


def test_all_four_packages_are_read() -> None:
    assert {source.package for source in SOURCES} == set(PACKAGES)


@pytest.mark.ray
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="the tests run one after the other")
def test_tests_that_start_ray_share_one_worker(request: pytest.FixtureRequest) -> None:
    assert request.node.nodeid.endswith("@ray")
