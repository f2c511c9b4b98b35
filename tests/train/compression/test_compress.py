"""A smaller bundle is a bundle like any other, tells what it lost, and is not made where it lost too much."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cluster.command import FAILED
from cluster.errors import BundleError, ConfigError, DataError, QualityError
from tests.train.conftest import Small
from tests.train.small import SMALL, small_recommend, write_ring
from train.batch import recommend
from train.bundle import read_bundle
from train.bundle_state import PACKED, VECTORS, read_bundle_state
from train.compression.compress import Compressed, compress, publish
from train.compression.cost import folder_bytes
from train.config import CompressRun, EvaluateRun, FitRun
from train.data.source import prepare_data
from train.models.quantised import has_layers
from train.models.shopper import history_of
from train.pipeline import evaluate_bundle, fit_bundle
from train.registry import Registry
from train.run import main
from train.warm_start import read_parent

MODEL = "model.safetensors"


def words(small: Small, *more: str) -> list[str]:
    return [f"data={small.data}", f"registry={small.folder / 'registry'}", "max_loss=1", *more]


def settings(small: Small, *more: str) -> CompressRun:
    return CompressRun.parse(words(small, f"bundle={small.published.folder}", f"rejects={small.folder}", *more))


@pytest.fixture(scope="module")
def own(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The small bundle in a registry of its own, so that others keep theirs."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(small.folder / "registry", folder / "registry")
    published = replace(small.published, folder=folder / "registry" / small.published.folder.name)
    return replace(small, folder=folder, published=published)


@pytest.fixture(scope="module")
def smaller(own: Small) -> tuple[Compressed, Path]:
    """The bundle made smaller in every way that 24 items allow, and where it is published."""
    config = settings(own, "prune=0.25", "prune_steps=3")
    compressed = compress(config)
    return compressed, publish(compressed, config)


def test_it_is_the_current_bundle_and_names_its_parent(own: Small, smaller: tuple[Compressed, Path]) -> None:
    registry = Registry(own.folder / "registry")
    manifest = read_bundle(registry.find("current")).manifest
    assert registry.find("current") == smaller[1]
    assert manifest.parent == own.published.bundle.manifest.version
    assert manifest.config == own.published.bundle.manifest.config
    assert set(manifest.metrics) == {"liveshelf", "as published"}
    stages = smaller[0].report.stages
    assert manifest.metrics["liveshelf"]["ndcg@10"] == pytest.approx(stages[-1].outcome.values["ndcg@10"].mean())


def test_read_again_it_gives_the_same_answers_to_the_bit(smaller: tuple[Compressed, Path]) -> None:
    made, again = smaller[0].bundle, read_bundle(smaller[1])
    assert again.state.vectors.tobytes() == made.state.vectors.tobytes()
    histories = [history_of(made.histories, user).item_idx for user in range(9)]
    assert again.model.encode_histories(histories).tobytes() == made.model.encode_histories(histories).tobytes()
    assert has_layers(made.model, torch.nn.Linear) is has_layers(again.model, torch.nn.Linear) is False


def test_every_part_is_as_long_as_the_report_says_and_shorter_than_before(
    own: Small, smaller: tuple[Compressed, Path]
) -> None:
    report, before, after = smaller[0].report, folder_bytes(own.published.folder), folder_bytes(smaller[1])
    assert report.stages[0].part_bytes == {MODEL: before[MODEL], VECTORS: before[VECTORS]}
    assert report.stages[-1].part_bytes == {MODEL: after[MODEL], PACKED: after[PACKED]}
    assert report.whole_bytes[0] == sum(before.values())
    assert report.whole_bytes[1] == pytest.approx(sum(after.values()), abs=100)
    assert VECTORS not in after
    assert report.stages[-1].size < report.stages[0].size


def test_each_step_is_reported_with_its_own_effect(smaller: tuple[Compressed, Path]) -> None:
    facts = json.loads((smaller[1] / "card" / "compression.json").read_text())
    names = ["as published", "25% of channels out", "sq8 vectors", "items folded", "int8 linear", "int8 embeddings"]
    assert [stage["step"] for stage in facts["stages"]] == names
    effects = [stage["by_the_step"]["ndcg@10"]["mean"] for stage in facts["stages"][1:]]
    assert sum(effects) == pytest.approx(facts["stages"][-1]["since_published"]["ndcg@10"]["mean"], abs=1e-9)
    assert facts["loss"] == pytest.approx(-sum(effects) / facts["stages"][0]["ndcg@10"])
    card = (smaller[1] / "card" / "card.md").read_text()
    assert "| 25% of channels out |" in card
    assert "## Intended use" in card


def test_recommend_and_evaluate_take_it(own: Small, smaller: tuple[Compressed, Path], tmp_path: Path) -> None:
    asked = [
        small_recommend(own.data, own.folder, f"bundle={one}", "k=5") for one in (own.published.folder, smaller[1])
    ]
    before, found = map(recommend, asked)
    first = found[found["rank"] == 1]["item_id"].to_numpy() == before[before["rank"] == 1]["item_id"].to_numpy()
    assert first.mean() > 0.9
    table = evaluate_bundle(EvaluateRun.parse([
        f"data={own.data}", f"bundle={smaller[1]}", f"rejects={tmp_path}", "split=leave_one_out"
    ]))  # fmt: skip
    assert table["liveshelf"]["ndcg@10"] > 2 * table["popularity"]["ndcg@10"]


def test_the_store_reads_its_half_without_torch(smaller: tuple[Compressed, Path]) -> None:
    program = (
        "import sys; from pathlib import Path; from train.bundle_state import read_bundle_state; "
        f"print(read_bundle_state(Path({str(smaller[1])!r})).state.vectors.sum(), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert said == [str(smaller[0].bundle.state.vectors.sum()), "False"]


def test_a_bundle_is_compressed_once(own: Small, smaller: tuple[Compressed, Path]) -> None:
    with pytest.raises(BundleError, match=f"compressed already; compress {own.published.folder.name}, which it came"):
        compress(CompressRun.parse(words(own, f"bundle={smaller[1]}")))


def test_a_fit_cannot_go_on_from_it(own: Small, smaller: tuple[Compressed, Path]) -> None:
    fit = FitRun.parse(["data=x", *SMALL])
    with pytest.raises(ConfigError, match=f"learns no more; give parent={own.published.folder.name}"):
        read_parent(smaller[1], fit.model, fit.features)


@pytest.mark.parametrize("damaged", [PACKED, MODEL])
def test_a_flipped_byte_is_noticed(smaller: tuple[Compressed, Path], tmp_path: Path, damaged: str) -> None:
    copy = shutil.copytree(smaller[1], tmp_path / "bundle")
    content = bytearray((copy / damaged).read_bytes())
    content[-3] ^= 1
    (copy / damaged).write_bytes(content)
    with pytest.raises(BundleError, match=f"{damaged} was altered"):
        read_bundle_state(copy)


def test_what_loses_more_than_allowed_is_not_published(own: Small, smaller: tuple[Compressed, Path]) -> None:
    compressed, before = smaller[0], Registry(own.folder / "registry").versions()
    *stages, last = compressed.report.stages
    worse = {name: 0.9 * values for name, values in stages[0].outcome.values.items()}
    stages.append(replace(last, outcome=replace(last.outcome, values=worse)))
    lossy = replace(compressed, report=replace(compressed.report, stages=stages))
    with pytest.raises(QualityError, match=r"ndcg@10 falls by 10.00%, more than max_loss=0.09 allows, so nothing was"):
        publish(lossy, settings(own, "max_loss=0.09"))
    assert Registry(own.folder / "registry").versions() == before


def test_where_every_part_stays_nothing_is_made(own: Small) -> None:
    with pytest.raises(ConfigError, match="nothing to compress"):
        compress(settings(own, "vectors=float32", "fold=false", "linear=float32", "embeddings=float32"))


def test_data_of_another_shop_is_refused(own: Small, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("user_id,item_id,timestamp\nu1,a,2024-01-01\nu1,b,2024-01-02\nu2,a,2024-01-01\nu2,b,2024-01-02\n")
    with pytest.raises(DataError, match="none of the 2 items in .* is in bundle"):
        compress(settings(own).model_copy(update={"data": str(path)}))


def test_of_a_family_that_is_solved_at_once_only_the_vectors_change(tmp_path: Path) -> None:
    data = write_ring(tmp_path / "ring", n_users=30)
    where = [f"data={data}", f"registry={tmp_path / 'registry'}", f"rejects={tmp_path}"]
    fit = FitRun.parse([*where, "split=leave_one_out", "model.kind=factorization", "model.embedding_dim=8"])
    published = fit_bundle(fit, prepare_data(fit))
    config = CompressRun.parse([*where, "vectors=float16", "max_loss=1"])
    compressed = compress(config)
    assert [stage.name for stage in compressed.report.stages] == ["as published", "float16 vectors"]
    vectors = read_bundle(publish(compressed, config)).state.vectors
    np.testing.assert_allclose(vectors, published.bundle.state.vectors, rtol=1e-3, atol=1e-6)
    with pytest.raises(ConfigError, match="factorization has no feed-forward layers"):
        compress(CompressRun.parse([*where, f"bundle={published.folder}", "prune=0.5"]))


def test_the_command_prints_the_table_and_keeps_the_report(
    own: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = words(own, f"bundle={own.published.folder}", "promote=false", f"out={tmp_path / 'report.json'}")
    assert main(["compress", *asked, f"rejects={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert "int8 embeddings" in printed
    assert "smaller), whole bundle" in printed
    assert json.loads((tmp_path / "report.json").read_text())["stages"][0]["step"] == "as published"
    assert main(["compress", *asked, "vectors=sq9"]) == FAILED
    assert "setting steps.vectors='sq9' is wrong" in capsys.readouterr().err
