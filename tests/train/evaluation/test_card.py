"""A card tells the numbers of its bundle and how to make it again."""

import re
import struct
from datetime import UTC, datetime

import pytest
import yaml

from tests.train.evaluation.outcomes import made_up
from train.bundle_state import Manifest
from train.data.report import NOTHING
from train.evaluation.card import CardFacts, model_card
from train.evaluation.summary import ReportConfig, by_segment, duel, summarise

EVALUATION = made_up()
TABLE = summarise(EVALUATION)
EPOCHS = [{"epoch": epoch, "loss": 3.0 / epoch, "ndcg@10": 0.1 * epoch} for epoch in (1, 2, 3)]


def card(epochs: list[dict[str, float]]) -> dict[str, bytes]:
    manifest = Manifest(
        name="shop", version="shop-1", created=datetime(2026, 1, 2, tzinfo=UTC), data_cutoff_ms=0, keep_seen=False,
        code_version="0.1.0", config={"data": "shop.parquet", "training": {"epochs": 3}}, metrics=TABLE,
    )  # fmt: skip
    report = NOTHING.add("keep positive events", 1234, 1200, "return: 34 | odd")
    facts = CardFacts(
        manifest=manifest, report=report, evaluation=EVALUATION, calibration=EVALUATION.reliability, epochs=epochs
    )
    return model_card(facts, ReportConfig.parse([]))


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return card(EPOCHS)


def test_the_card_tells_every_number_of_the_table(files: dict[str, bytes]) -> None:
    text = files["card.md"].decode()
    for row, metrics in TABLE.items():
        line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
        for name, value in metrics.items():
            if "@" in name:
                assert f"{value:.4f}" in line


def test_the_card_tells_segments_the_best_baseline_and_the_data(files: dict[str, bytes]) -> None:
    text = files["card.md"].decode()
    for segment in by_segment(EVALUATION):
        assert f"| {segment.name} | {segment.n_queries} | {segment.ndcg['liveshelf'].mean:.4f}" in text
    assert f"p {duel(EVALUATION).metrics['ndcg@10'].p:.3g}" in text
    assert r"| keep positive events | 1,234 | 1,200 | return: 34 \| odd |" in text


def test_the_card_tells_how_reliable_the_probability_of_each_goal_is(files: dict[str, bytes]) -> None:
    text = files["card.md"].decode()
    for goal, found in EVALUATION.reliability.items():
        assert re.search(rf"p\({goal}\): .*{found.base_rate:.5f}.* calibration error is {found.ece:.5f}", text)


def test_its_settings_are_a_file_that_the_command_reads(files: dict[str, bytes]) -> None:
    assert yaml.safe_load(files["settings.yaml"]) == {"data": "shop.parquet", "training": {"epochs": 3}}
    assert "python train/run.py fit config=settings.yaml" in files["card.md"].decode()


def test_every_picture_is_shown_and_all_are_small(files: dict[str, bytes]) -> None:
    pictures = {name: content for name, content in files.items() if name.endswith(".png")}
    assert set(pictures) == {
        "metrics.png", "segments.png", "calibration_click.png", "calibration_purchase.png", "popularity.png",
        "training.png",
    }  # fmt: skip
    assert sum(map(len, pictures.values())) < 400_000
    for name, content in pictures.items():
        assert f"]({name})" in files["card.md"].decode()
        width, height = struct.unpack(">II", content[16:24])  # of the PNG's first chunk
        assert content.startswith(b"\x89PNG") and 300 < width < 1000 and 150 < height < 1000


def test_a_model_that_is_solved_at_once_has_no_training_curve() -> None:
    files = card([])
    assert "training.png" not in files
    assert "training.png" not in files["card.md"].decode()
