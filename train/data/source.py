"""What a run reads: any source by name or path, prepared."""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field

from cluster.config import Config
from train.data.load import load
from train.data.prepare import PrepareConfig, prepare
from train.data.prepared import Prepared


class DataConfig(Config):
    """Settings of every command that reads events."""

    data: str = Field(description="a folder, a file, or a loader's name such as complete_journey")
    rejects: str = Field("var/rejects", description="folder for the rows that break a rule, with reasons")
    prepare: PrepareConfig = PrepareConfig.parse([])


def prepare_data(config: DataConfig) -> Prepared:
    """Load and prepare what `config.data` names; a folder that was prepared before is taken as it is."""
    if Prepared.lies_in(Path(config.data)):
        return Prepared.load(Path(config.data))
    return prepare(load(config.data), config.prepare, datetime.now(UTC), Path(config.rejects))
