"""The settings of the train commands, each group beside the room it belongs to."""

from pydantic import Field

from cluster.config import Config
from train.compression.steps import StepsConfig
from train.data.source import DataConfig
from train.data.split import SplitConfig
from train.encoders.items import ContentConfig
from train.evaluation.summary import ReportConfig
from train.forked import cores
from train.loop import FitConfig
from train.models.candidates import SourcesConfig
from train.models.item_state import ItemStateConfig
from train.models.neural.transformer import TransformerConfig
from train.models.ranker import RankerConfig
from train.models.registered import ModelSetting
from train.tracking import TrackingConfig
from train.warm_start import RefreshConfig
from train.workers import WorkersConfig


class PrepareRun(DataConfig):
    """Settings of `prepare`."""

    out: str = Field("var/prepared", description="new folder for the prepared data")


class FitRun(DataConfig):
    """Settings of `fit`."""

    registry: str = Field("var/registry", description="folder or pyarrow.fs URL that bundles are published in")
    name: str = Field("", max_length=60, description="first part of the bundle's version; the data's name when empty")
    parent: str | None = Field(None, description="`current` or the version that the bundle descends from")
    promote: bool = Field(True, description="make the new bundle the current one")
    keep_seen: bool | None = Field(None, description="show items again; when absent, do so where shoppers buy again")
    refit: bool = Field(False, description="after choosing, train once more on all rows, held-out ones included")
    checkpoints: str = Field("var/checkpoints", description="folder for the checkpoints of training")
    k: int = Field(10, ge=1, le=100, description="length of the evaluated list")
    ranker_queries: int = Field(6_000, ge=1, description="validation queries that fit the ranker")
    report_queries: int = Field(6_000, ge=1, description="queries that the metrics table is made from")
    refresh: RefreshConfig = RefreshConfig.parse([])
    training: FitConfig = FitConfig.parse([])
    workers: WorkersConfig = WorkersConfig.parse([])
    model: ModelSetting = TransformerConfig.parse([])
    features: ContentConfig = ContentConfig.parse([])
    holdout: SplitConfig = SplitConfig.parse([])
    item_state: ItemStateConfig = ItemStateConfig.parse([])
    sources: SourcesConfig = SourcesConfig.parse([])
    ranker: RankerConfig = RankerConfig.parse([])
    report: ReportConfig = ReportConfig.parse([])
    record: TrackingConfig = TrackingConfig.parse([])


class EvaluateRun(DataConfig):
    """Settings of `evaluate`: a published bundle on other data."""

    bundle: str = Field("current", description="`current`, a version, or a bundle's folder")
    registry: str = Field("var/registry", description="folder or pyarrow.fs URL that bundles are published in")
    keep_seen: bool | None = Field(None, description="show items again; as the bundle says when absent")
    k: int = Field(10, ge=1, le=100, description="length of the evaluated list")
    report_queries: int = Field(6_000, ge=1, description="queries that the metrics table is made from")
    processes: int = Field(
        default_factory=cores, ge=1, le=256, description="that ask the queries; as many as cores when absent"
    )
    holdout: SplitConfig = SplitConfig.parse([])
    report: ReportConfig = ReportConfig.parse([])


class CompressRun(EvaluateRun):
    """Settings of `compress`: a smaller bundle from a published one, measured on the queries of other data."""

    holdout: SplitConfig | None = Field(None, description="as for `fit`; as the bundle was fitted when absent")
    max_loss: float = Field(0.01, ge=0, le=1, description="share of NDCG that may be lost; beyond it, nothing is made")
    promote: bool = Field(True, description="make the new bundle the current one")
    out: str = Field("", description="file for the report as JSON; the bundle's card has it too")
    steps: StepsConfig = StepsConfig.parse([])


class RecommendRun(DataConfig):
    """Settings of `recommend`."""

    bundle: str = Field("current", description="`current`, a version, or a bundle's folder")
    registry: str = Field("var/registry", description="folder or pyarrow.fs URL that bundles are published in")
    users: str = Field("all", description="`all`, or a file with a column user_id")
    k: int = Field(20, ge=1, le=1_000, description="items per user")
    out: str = Field("var/recommendations.parquet", description="parquet file of user_id, rank, item_id, score")
    keep_seen: bool = Field(False, description="show items that the user had before")
    new_share: float = Field(0.0, ge=0, le=1, description="with keep_seen: least share of places for other items")


class ExportRun(Config):
    """Settings of `export`: a bundle as a folder of its own."""

    bundle: str = Field("current", description="`current`, a version, or a bundle's folder")
    registry: str = Field("var/registry", description="folder or pyarrow.fs URL that bundles are published in")
    out: str = Field(description="new folder for the copy")
