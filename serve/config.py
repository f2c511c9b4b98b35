"""The settings of serving."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from cluster.config import Config, listed
from cluster.environment import LOCAL_HOSTS
from cluster.errors import ConfigError
from cluster.keys import DEFAULT, require_tenant
from serve.limits import RatesConfig
from serve.probation import ProbationConfig
from serve.scaling import ScalingConfig
from serve.stages.index.config import IndexConfig
from serve.state.config import StoreConfig
from serve.state.live import LearnerConfig
from train.gate import GateConfig

ORIGIN = re.compile(r"https?://[^/\s]+")
ALONE = ("",)  # the one shop of a server without tenants, and the operator's own of one with some


class Places(Config):
    """Where a shop's bundles and its log are, and those of tenants beside it."""

    registry: str = Field("var/registry", description="folder or pyarrow.fs URL of bundles")
    bundle: str = Field("current", description="`current`, a version, or a bundle's folder")
    data: str = Field("var/store", description="folder of the event log; it must outlive the machine's temporary files")
    tenants_folder: str = Field("var/tenants", description="holds `<tenant>/registry` and `<tenant>/store` of each")

    def of(self, tenant: str) -> Self:
        """Return the settings of a tenant's shop."""
        if not tenant:
            return self
        require_tenant(tenant)
        place = Path(self.tenants_folder) / tenant
        own = {"registry": str(place / "registry"), "data": str(place / "store"), "bundle": "current"}
        return self.model_copy(update=own)


class AppArgs(Places):
    """What `serve.app:build_app` builds; also the `args` of a Serve config file."""

    keys: str = Field(DEFAULT, description="file of API keys; where it holds none, anybody may call")
    tenants: str = Field("", description="with commas: shops beside this one, each opened by keys of its own alone")
    bootstrap: bool = Field(True, description="whether an empty `data` folder begins a new log")
    topology: Literal["auto", "fused", "staged"] = Field(
        "auto", description="fused: everything in one replica; staged: a deployment per stage; auto: staged with GPUs"
    )
    replicas: int = Field(2, ge=1, le=1_000, description="gateway replicas, one thread each; as many as cores is best")
    max_replicas_per_node: int | None = Field(
        None,
        ge=1,
        le=100,
        description="gateways on one node at most, with room for those of a dead one; empty: any",
    )
    max_replicas: int | None = Field(None, ge=1, le=1_000, description="of them under load; none: always `replicas`")
    scaling: ScalingConfig = ScalingConfig.parse([])
    retriever_replicas: int = Field(1, ge=1, le=1_000, description="staged only")
    ranker_replicas: int = Field(1, ge=1, le=1_000, description="staged only")
    max_shoppers: int = Field(10_000, ge=1, description="histories that a replica keeps in memory")
    judged_share: float = Field(
        0.05, ge=0, le=1, description="of events, to ask first how well answers foresee them; some ms each"
    )
    judged_a_second: float = Field(2.0, ge=0, description="of them at most, in each gateway")
    decision_share: float = Field(
        1.0, ge=0, le=1, description="of slates, to keep with all that they were made of; 5 to 8 KB each"
    )
    guard: bool = Field(True, description="whether the bundle's items answer while learning is found to do harm")
    rates: RatesConfig = RatesConfig.parse([])
    origins: str = Field("", description="with commas: pages whose scripts may call, as https://shop.example; `*`: any")
    index: IndexConfig = IndexConfig.parse([])
    store: StoreConfig = StoreConfig.parse([])

    @model_validator(mode="after")
    def _most_is_no_less(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise ValueError(
                f"max_replicas={self.max_replicas} is less than replicas={self.replicas}; give at least that"
            )
        return self

    @model_validator(mode="after")
    def _tenants_are_fused(self) -> Self:
        if self.tenants and self.topology == "staged":
            raise ValueError("topology=staged serves one shop; leave out tenants=…, or give topology=fused")
        return self

    @field_validator("tenants")
    @classmethod
    def _are_tenants(cls, tenants: str) -> str:
        names = listed(tenants)
        try:
            for name in names:
                require_tenant(name)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if len(set(names)) < len(names):
            raise ValueError(f"{tenants!r} names a tenant twice")
        return tenants

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: str) -> str:
        wrong = [one for one in listed(origins) if one != "*" and not ORIGIN.fullmatch(one)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no origin; write scheme and host alone, such as https://shop.example")
        return origins

    def allowed_origins(self) -> list[str]:
        """Return whose pages' scripts may call."""
        return listed(self.origins)

    def shops(self) -> list[str]:
        """Return the tenants of every shop that is served, `""` for the operator's own."""
        return [*ALONE, *listed(self.tenants)]


class StartArgs(AppArgs):
    """What `serve/run.py start` takes."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=1, le=65_535, description="port to listen on")
    timeout_s: float = Field(120, gt=0, description="longest wait until the first answer")

    def located(self) -> Self:
        """Return the same settings for a process whose working directory is another one."""
        places = {"data": self.data, "keys": self.keys, "tenants_folder": self.tenants_folder}
        if "://" not in self.registry:
            places["registry"] = self.registry
        if Path(self.bundle).is_dir():
            places["bundle"] = self.bundle
        return self.model_copy(update={name: str(Path(place).absolute()) for name, place in places.items()})

    @property
    def is_local(self) -> bool:
        """Whether this machine alone reaches the server."""
        return self.host in LOCAL_HOSTS


class LogArgs(Places):
    """Whose log it is, and where it lies, unless it is the running server's own."""

    tenant: str = Field("", description="whose log; empty: the operator's own")


class DeadLettersArgs(LogArgs):
    """What `serve/run.py dead_letters` takes."""

    out: str = Field("", description="file to write instead of printing")


class EventsArgs(LogArgs):
    """What `serve/run.py events` takes."""

    out: str = Field("live.parquet", description="file to write; `live.parquet` in a data folder is read by `fit`")
    after: int = Field(0, ge=0, description="version after which to begin")


class RefreshArgs(StartArgs):
    """What `serve/run.py refresh` takes, beside the settings of the server, which a running one tells by itself."""

    shop: str = Field(description="the shop's own folder of events and items, which `fit` reads; live.parquet joins it")
    tenant: str = Field("", description="whose bundle; empty: the operator's own")
    promote: bool = Field(True, description="serve the new bundle where it is good enough; else only tell")
    every_hours: float | None = Field(None, gt=0, description="do it again and again, until interrupted")
    gate: GateConfig = GateConfig.parse([])
    probation: ProbationConfig = ProbationConfig.parse([])
    fit: dict[str, Any] = Field(
        default={}, description="settings of `fit` other than the served bundle's: fit.epochs=3"
    )

    @property
    def watch_hours(self) -> float:
        """How long a new bundle is watched."""
        hours = self.probation.watch_hours
        return (self.every_hours or 0) if hours is None else hours

    def fit_words(self) -> list[str]:
        """Return the settings of `fit` as words."""
        return [f"{name}={value}" for name, value in _flat(self.fit)]


class ReplayArgs(LogArgs):
    """What `serve/run.py replay` takes."""

    until: int | None = Field(None, ge=0, description="version to stop at; the newest when left out")
    as_of: AwareDatetime | None = Field(None, description="or a time to stop at, such as 2026-11-27T18:00:00Z")
    user: str = Field("", description="a shopper whose slate of that moment to show")
    count: int = Field(10, ge=1, le=100, description="items of the slate")
    exclude_users: str = Field("", description="ids with commas, or a file with one in each line")
    learner: LearnerConfig = LearnerConfig.parse([])

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.until is not None and self.as_of is not None:
            raise ValueError("until and as_of both say where to stop; give one of them")
        return self

    @property
    def end(self) -> int | datetime | None:
        """Where to stop."""
        return self.until if self.as_of is None else self.as_of

    def excluded(self) -> list[str]:
        """Return the ids."""
        if Path(self.exclude_users).is_file():
            return Path(self.exclude_users).read_text().splitlines()
        return listed(self.exclude_users)


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield single settings under their dotted names."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
