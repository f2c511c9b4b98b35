"""The policy: which version of which scenario a request is answered by."""

from dataclasses import dataclass, replace

from serve.stages.arranging.config import ScenarioConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A scenario as one request has it."""

    scenario: str
    version: int  # of the document; 0 where nobody wrote one
    config: ScenarioConfig

    def changed(self, diversity: float | None, explore: bool) -> "Policy":
        """Return the policy with what a request says instead."""
        config = self.config.changed(diversity, explore)
        return self if config is self.config else replace(self, config=config)


HOME = Policy(scenario="home", version=0, config=ScenarioConfig())
