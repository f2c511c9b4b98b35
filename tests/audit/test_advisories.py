"""What pip-audit answers, and what that means: nothing found is not nothing looked up."""

from typing import Any

import pytest

from tests.audit.advisories import CLEAN, FOUND, NOT_LOOKED_UP, told

SOUND = {"name": "a", "version": "1", "vulns": []}
FLAWED = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found on PyPI and could not be audited: c (1)"}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([SOUND], CLEAN, "no known vulnerability in 1 packages"),
        ([SOUND, FLAWED], FOUND, "b 2: PYSEC-1, mended in 3"),
        ([SOUND, SKIPPED], NOT_LOOKED_UP, "NOT LOOKED UP: c"),
        (
            [SKIPPED, SKIPPED | {"name": "d"}],
            NOT_LOOKED_UP,
            "NOT LOOKED UP: PyPI tells no advisories here; nothing is known of 2 packages",
        ),
        ([], NOT_LOOKED_UP, ""),
    ],
)
def test_only_what_was_looked_up_is_called_clean(dependencies: list[dict[str, Any]], code: int, said: str) -> None:
    found, lines = told(dependencies)
    assert found == code
    assert said in "\n".join(lines)
    assert ("no known" in "\n".join(lines)) is (code == CLEAN)


def test_a_flaw_is_told_beside_what_was_not_looked_up() -> None:
    code, lines = told([FLAWED, SKIPPED])
    assert (code, len(lines)) == (FOUND, 2)
