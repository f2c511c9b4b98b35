import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.errors import DataError
from train.data.load import load
from train.data.prepare import PrepareConfig, prepare

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def test_sequences_are_read_a_user_per_line_without_a_clock(tmp_path: Path) -> None:
    path = tmp_path / "Beauty.txt"
    path.write_text("1 10 11 12\n2 10\n\n")
    tables = load(f"amazon_reviews:{path}")
    assert not tables.has_clock
    assert tables.events[["user_id", "item_id", "timestamp"]].to_numpy().tolist() == [
        ["1", "10", 0], ["1", "11", 1], ["1", "12", 2], ["2", "10", 0],
    ]  # fmt: skip


def test_attributes_beside_a_sequence_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "Beauty.txt"
    path.write_text("1 10 11 12 13\n")
    attributes = {"10": [7, 8], "11": [7], "12": [9], "13": []}
    (tmp_path / "Beauty_item2attributes.json").write_text(json.dumps(attributes))
    catalogue = prepare(load(str(path)), PrepareConfig.parse([]), NOW, tmp_path).catalogue
    assert catalogue.attribute_names == ("attribute:7",)
    assert catalogue.attributes.toarray().ravel().tolist() == [1, 1, 0, 0]


def test_broken_attributes_are_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "Beauty.txt").write_text("1 10\n")
    (tmp_path / "Beauty_item2attributes.json").write_text("{")
    with pytest.raises(DataError, match="mend it or move it away"):
        load(str(tmp_path / "Beauty.txt"))


REVIEWS = [
    {"reviewerID": "A1", "asin": "0007", "overall": 5.0, "unixReviewTime": 1_388_534_400, "reviewText": "fine"},
    {"reviewerID": "A1", "asin": "0008", "overall": 2.0, "unixReviewTime": 1_388_620_800, "reviewText": "no"},
]


@pytest.mark.parametrize("name", ["reviews.json", "reviews.jsonl", "reviews.csv"])
def test_reviews_are_worth_their_stars(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix == ".csv":
        rows = [",".join(map(str, review.values())) for review in REVIEWS]
        path.write_text("\n".join([",".join(REVIEWS[0]), *rows]))
    else:
        path.write_text("\n".join(map(json.dumps, REVIEWS)))
    tables = load(str(path))
    assert tables.events["event_type"].tolist() == ["review", "review"]
    result = prepare(tables, PrepareConfig.parse([]), NOW, tmp_path)
    assert result.catalogue.item_ids.tolist() == ["0007", "0008"]
    assert result.interactions.weight.tolist() == [5.0, 2.0]
    assert result.interactions.timestamp_ms.tolist() == [1_388_534_400_000, 1_388_620_800_000]
