"""All stages as rooms of one process."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import NamedTuple

from cluster.tracing import traced
from serve.stages.browsing import Browse, Browsed, Browsing
from serve.stages.describing import Describe, Described, Describing
from serve.stages.index.exact import Index
from serve.stages.query import Found, Query, Ranked
from serve.stages.ranking import Ranking
from serve.stages.retrieval import Retriever
from serve.stages.searching import Hits, Search, Searching
from serve.stages.together import Turnstile
from serve.state.view import View
from train.bundle import Bundle


class Stages(NamedTuple):
    """What an engine asks; rooms of its process, or deployments of their own."""

    retrieve: Callable[[Query], Awaitable[Found]]
    rank: Callable[[Query, Found], Awaitable[Ranked]]
    browse: Callable[[Browse], Awaitable[Browsed]]
    search: Callable[[Search], Awaitable[Hits]]
    describe: Callable[[Describe], Awaitable[Described]]
    turn: AbstractAsyncContextManager[None] = nullcontext()  # in which a plain question goes from encoding to ranking

    def traced(self) -> "Stages":
        """Return the same, with a span around each call where spans are wanted."""
        return Stages(
            traced("retrieve", self.retrieve), traced("rank", self.rank), traced("browse", self.browse),
            traced("search", self.search), traced("describe", self.describe), self.turn,
        )  # fmt: skip


def fused(bundle: Bundle, view: View, index: Index) -> Stages:
    """Return rooms over one view and its index."""
    retriever = Retriever(view, index, bundle.sources)
    lists, search = Browsing(view, index, retriever.masks), Searching(view, index, retriever.masks)
    described = Describing(view.catalogue, retriever.masks)
    return Stages(
        retriever.retrieve, Ranking(view, bundle.ranker).rank, lists.browse, search.search, described.describe,
        Turnstile(),
    )  # fmt: skip
