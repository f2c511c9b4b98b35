"""How many processes train, and where; apart from Ray, which takes a second to import."""

from pydantic import Field

from cluster.config import Config


class WorkersConfig(Config):
    """Where training runs."""

    workers: int = Field(default=1, ge=0, le=1024, description="Ray Train workers; 0 trains in this process")
    gpu: bool | None = Field(default=None, description="one GPU a worker; empty: where the cluster has enough")
    cores: int = Field(default=1, ge=1, le=256, description="CPU cores, and so threads, of each worker")
    max_failures: int = Field(default=3, ge=0, description="lost workers that a run survives")
