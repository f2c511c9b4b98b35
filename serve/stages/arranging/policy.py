"""The policy: which version of which scenario a request is answered by."""

from dataclasses import dataclass, replace

from cluster.errors import UnprocessableError
from serve.stages.arranging.config import ScenarioConfig
from serve.state.documents import HOME as AT_HOME
from serve.state.documents import Document, Documents
from serve.state.events import SCENARIO


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


HOME = Policy(scenario=AT_HOME, version=0, config=ScenarioConfig())


class Policies:
    """The scenarios of a view's documents, each read once for each change of it."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._read: dict[str, tuple[Document, Policy]] = {}

    def newest(self, scenario: str) -> Policy:
        """Return a scenario as it is now; raises UnprocessableError where there is none."""
        document = self._documents.get(SCENARIO, scenario)
        if not document.content:
            raise UnprocessableError(f"there is no scenario {scenario!r}; PUT /v1/scenarios/… makes it")
        known, policy = self._read.get(scenario, (None, HOME))
        if known is not document:
            config = ScenarioConfig.model_validate_json(document.content)
            policy = Policy(scenario=scenario, version=document.version, config=config)
            self._read[scenario] = document, policy
        return policy
