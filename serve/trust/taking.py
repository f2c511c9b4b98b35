"""Taking: from what a request went through to the decision that is kept of it."""

from typing import Any

import numpy as np

from serve.slates import Ask, Slate
from serve.stages.arranging.arrange import logits
from serve.stages.arranging.policy import HOME
from serve.stages.query import Ranked
from serve.state.clock import now_ms
from serve.trust.decisions import FEATURED, HISTORY_ROWS, NO_SCORES, NO_TRAITS, NO_WORTH, Decision
from train.models.shopper import History


def taken(
    ask: Ask, history: History, ranked: Ranked, slate: Slate, item_ids: list[str], model_version: str
) -> Decision:  # fmt: skip
    """Return a decision; item_ids: by item_idx. Costs a request about a tenth of a millisecond."""
    pool, shown = slate.arranged.pool, slate.candidates
    place = _places(ranked.candidates.item_idx, pool.item_idx)
    own = ranked.candidates.score[place]
    featured = place[: FEATURED if len(ranked.features) else 0]
    return Decision(
        recommendation_id=ask.recommendation_id, at_ms=now_ms(), user_id=ask.user_id or "", route=ask.route,
        sent=_sent(ask), count=ask.count, scenario=slate.policy.scenario, scenario_version=slate.policy.version,
        rules=ask.in_force.versions, config=_told(slate), model_version=model_version,
        state_version=slate.state_version, degraded=slate.degraded,
        fallback=slate.fallback, n_ranked=len(ranked.candidates), n_history=len(history),
        history=_named(history.item_idx[-HISTORY_ROWS:], item_ids), item_ids=_named(pool.item_idx, item_ids),
        source=pool.source, score=pool.score, ranked_score=NO_SCORES if np.array_equal(own, pool.score) else own,
        shown=np.nonzero(pool.item_idx == shown.item_idx[:, None])[1].astype(np.int32),
        propensity=slate.arranged.propensity, features=np.take(ranked.features.T, featured, axis=1).T, place=featured,
        traits=NO_TRAITS if history.traits is None else history.traits,
        **_slots(slate, slate.fallback == "popular"),
    )  # fmt: skip


def _places(every: np.ndarray, item_idx: np.ndarray) -> np.ndarray:
    """Return where items (n,) stand among distinct ones (m,) that hold them, (n,) int32."""
    order = np.argsort(every)
    return order[np.searchsorted(every, item_idx, sorter=order)].astype(np.int32)


def _slots(slate: Slate, is_stranger: bool) -> dict[str, Any]:
    """Return what places were given by, as far as anybody came."""
    arranged, by_doubt = slate.arranged, slate.policy.config.exploration.method == "thompson"
    slots, n = arranged.slots, len(arranged.pool)
    if slots is None:
        return {}
    limits = slots.limits.within(n)
    is_usual = np.array_equal(slots.worth[:n], logits(arranged.pool.score, is_stranger))
    return {
        "n_slots": len(slots.worth), "open_at_once": slots.open_at_once,
        "worth": NO_WORTH if is_usual else slots.worth[:n], "holder": limits.holder.astype(np.int32),
        "value": limits.value.astype(np.int32), "limit": limits.limit.astype(np.int32),
        "n_events": slots.n_events[:n] if by_doubt else NO_WORTH,
        "pins": tuple((place, many, items.tolist()) for place, many, items in limits.pins),
        "quotas": tuple((minimum, items.tolist()) for minimum, items in limits.quotas),
    }  # fmt: skip


def _named(item_idx: np.ndarray, item_ids: list[str]) -> tuple[str, ...]:
    return tuple([item_ids[one] for one in item_idx.tolist()])


def _sent(ask: Ask) -> dict[str, Any]:
    if ask.sent is None:
        return {}
    return ask.sent.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"user", "session"})


def _told(slate: Slate) -> dict[str, Any]:
    config = slate.policy.config
    return {} if config is HOME.config else config.model_dump(mode="json", by_alias=True, exclude_defaults=True)
