from pathlib import Path

import pytest

from bench.durability import DurabilityConfig, kill_loop


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_no_acknowledged_event_is_lost_when_the_process_is_killed(kills: int, tmp_path: Path) -> None:
    outcome = kill_loop(DurabilityConfig(kills=kills, seed=kills, max_acks=300), tmp_path)
    assert outcome.acked > kills
    assert outcome.lost == 0
    assert outcome.renumbered == 0
    assert outcome.same_hash
