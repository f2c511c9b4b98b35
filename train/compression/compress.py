"""From a published bundle to a smaller one, one line down; refused where it loses more than was allowed."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from cluster.errors import BundleError, ConfigError, QualityError
from train.bundle import CARD, Bundle, read_bundle
from train.bundle_state import Manifest
from train.compression.card import smaller_card
from train.compression.cost import folder_bytes, median_ms, part_bytes
from train.compression.exam import Exam
from train.compression.report import CompressionReport, Stage
from train.compression.steps import steps
from train.config import CompressRun
from train.data.source import prepare_data
from train.data.split import SplitConfig
from train.evaluation.summary import Table, headline
from train.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """A smaller bundle, not yet published, what is known of it, and the folder of the one it was made from."""

    bundle: Bundle
    report: CompressionReport
    original: Path


def compress(config: CompressRun) -> Compressed:
    """Return a published bundle made smaller and measured; nothing is written."""
    folder = Registry(config.registry).find(config.bundle)
    original = read_bundle(folder)
    _refuse_second_time(original.manifest)
    exam = Exam.of(original, prepare_data(config), _holdout(original.manifest, config), config)
    bundles = dict(steps(original, config.steps, exam.train))
    if len(bundles) == 1:
        raise ConfigError("nothing to compress: every part is to stay as it is; try vectors=sq8")
    report = CompressionReport(
        stages=measured(bundles, exam), user_idx=exam.queries.user_idx, k=config.k, bootstrap=config.report.bootstrap,
        other_bytes={name: size for name, size in folder_bytes(folder).items() if name not in part_bytes(original)},
    )  # fmt: skip
    *_, (_, smaller) = bundles.items()
    table = exam.table({stage.name: stage.outcome for stage in report.stages}, config.report)
    manifest = _manifest(original.manifest, table)
    return Compressed(bundle=replace(smaller, manifest=manifest), report=report, original=folder)


def measured(bundles: dict[str, Bundle], exam: Exam) -> list[Stage]:
    """Return what each bundle costs and how it does."""
    models = {name: bundle.model for name, bundle in bundles.items()}
    one_ms, batch_ms = (median_ms(models, calls) for calls in exam.calls())
    return [
        Stage(
            name=name, part_bytes=part_bytes(bundle), one_ms=one_ms[name], batch_ms=batch_ms[name],
            outcome=exam.outcome(bundle),
        )
        for name, bundle in bundles.items()
    ]  # fmt: skip


def publish(compressed: Compressed, config: CompressRun) -> Path:
    """Publish the smaller bundle and return its folder; refuse one that lost more than `max_loss`."""
    bundle, report = compressed.bundle, compressed.report
    if report.loss > config.max_loss:
        raise QualityError(
            f"{headline(report.k)[0]} falls by {report.loss:.2%}, more than max_loss={config.max_loss:g} allows, so "
            "nothing was published; leave out the step that costs most, or allow more"
        )
    card = smaller_card(compressed.original / CARD, bundle.manifest, report, config.steps)
    return Registry(config.registry).publish(bundle, config.promote, card)


def _refuse_second_time(manifest: Manifest) -> None:
    if manifest.is_compressed:
        raise BundleError(f"{manifest.version} is compressed already; compress {manifest.parent}, which it came from")


def _holdout(manifest: Manifest, config: CompressRun) -> SplitConfig:
    """Return the split that held queries out when the bundle was fitted, unless another is asked for."""
    return config.holdout or SplitConfig.checked(manifest.config.get("holdout", {}))


def _manifest(original: Manifest, table: Table) -> Manifest:
    created = datetime.now(UTC)
    return original.model_copy(update={
        "version": f"{original.name}-{created:%Y%m%dT%H%M%S%f}", "parent": original.version, "created": created,
        "code_version": version("liveshelf"), "metrics": table, "files": {},
    })  # fmt: skip
