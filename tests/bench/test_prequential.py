"""The stream is asked first and learned from after; what stands still stands still, and strangers come and go."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bench.online.engine import LiveEngine
from bench.online.report import Asked, as_facts, print_facts
from bench.online.rows import FROZEN, FULL, Answers
from bench.online.rules import DECAY, LiveRules
from bench.online.stream import Log, log_of, log_of_two
from bench.prequential import asked, learned_until
from cluster.errors import DataError
from serve.state.live import LearnerConfig
from tests.train.small import small_words
from tests.world import tiny_world, write_world
from train.bundle import Bundle
from train.config import FitRun
from train.data.prepare import PrepareConfig, prepare
from train.data.prepared import Prepared
from train.models.candidates import Candidates
from train.models.shopper import History, history_of
from train.pipeline import fit_bundle
from train.recommender import prospects, ranked


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    tables = tiny_world(n_users=30, order_size=2, repeat_share=0.3)
    return prepare(tables, PrepareConfig.parse([]), datetime.now(UTC), tmp_path_factory.mktemp("rejects"))


@pytest.fixture(scope="module")
def log(prepared: Prepared) -> Log:
    return log_of(prepared, fit_share=0.6, stream_share=0.2)


@pytest.fixture(scope="module")
def bundle(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("fitted")
    return fit_bundle(FitRun.parse(small_words(folder, folder, "split=global_time")), log.fitted).bundle


@pytest.fixture
def engine(bundle: Bundle, log: Log, tmp_path: Path) -> Iterator[LiveEngine]:
    engine = LiveEngine(bundle, log, tmp_path / "log", LearnerConfig(negatives=4, learning_rate=0.05))
    yield engine
    engine.close()


def recommended(bundle: Bundle, history: History) -> Candidates:
    """Return what the bundle alone answers, as batch recommendation does."""
    chunks = prospects(bundle.model, bundle.state, bundle.sources, [history], bundle.manifest.keep_seen)
    return ranked(next(iter(chunks)), bundle.state, bundle.ranker)[0]


def same(one: Candidates, other: Candidates) -> bool:
    return np.array_equal(one.item_idx, other.item_idx) and np.array_equal(one.score, other.score)


def test_a_log_is_parted_in_time(log: Log) -> None:
    time = log.rows.timestamp_ms[log.row_at]
    assert (np.diff(time) >= 0).all()
    assert 0 < log.begin < log.start < len(log)
    assert log.fitted.interactions.timestamp_ms.max() < time[log.begin]
    assert len(log.fitted.interactions) == log.begin
    assert time[log.start - 1] < time[log.start]


def test_an_orders_question_wants_all_of_its_items_and_comes_before_the_first(log: Log) -> None:
    questions = log.orders(log.start, len(log), 1_000)
    order = log.rows.order_idx[log.row_at]
    assert len(questions) == len(np.unique(order[log.start :]))
    for question in questions:
        own = np.flatnonzero(order == order[question.place])
        assert own[0] == question.place
        assert question.truth.tolist() == np.unique(log.rows.item_idx[log.row_at[own]]).tolist()


def test_questions_are_sampled_in_their_order(log: Log) -> None:
    places = [question.place for question in log.events(log.start, len(log), 10)]
    assert len(places) == 10
    assert places == sorted(set(places))


def test_nobody_has_learned_the_event_that_is_asked_about(engine: LiveEngine, log: Log) -> None:
    rules, seen = LiveRules(log), 0
    for _, question in learned_until(asked(log, log.begin, len(log), 40), engine, rules):
        known, before = engine.history(question), log.history(question.place)
        assert engine.place == rules.place == question.place
        assert engine.machine.state.version == question.place - log.begin
        for name in ("item_idx", "timestamp_ms"):
            assert getattr(known, name).tolist() == getattr(before, name).tolist()
        assert np.diff(known.order_idx).tolist() == (np.diff(before.order_idx) > 0).tolist()
        seen += 1
    assert seen == 80


def test_what_is_frozen_stays_the_bundle_alone(engine: LiveEngine, bundle: Bundle, log: Log) -> None:
    answers, rules = Answers(engine, LiveRules(log)), LiveRules(log)
    for _, question in learned_until(asked(log, log.start, len(log), 10), engine, rules):
        alone = recommended(bundle, history_of(bundle.histories, question.user_idx))
        assert same(answers.lists(question)[FROZEN], alone)


def test_before_any_event_the_full_engine_is_the_bundle_and_after_some_it_is_not(engine: LiveEngine, log: Log) -> None:
    answers = Answers(engine, LiveRules(log))
    questions = log.orders(log.start, len(log), 10)
    assert all(same(lists[FULL], lists[FROZEN]) for lists in map(answers.lists, questions))
    engine.learn_until(log.start)
    assert not all(same(lists[FULL], lists[FROZEN]) for lists in map(answers.lists, questions))


def test_chosen_blends_are_answered_too(engine: LiveEngine, log: Log) -> None:
    rules = LiveRules(log)
    rules.learn_until(log.begin)
    answers, questions = Answers(engine, rules), log.events(log.begin, log.start, 5)
    weights = answers.choose([answers.shares(question) for question in questions], questions, 10)
    assert weights
    assert set(weights) < set(answers.lists(questions[0]))


def test_rules_share_out_what_followed_the_last_items(log: Log) -> None:
    rules = LiveRules(log)
    rules.learn_until(len(log))
    user_idx, n_items = 3, rules.n_items
    counts = np.zeros((n_items, n_items))
    for user in range(log.rows.n_users):
        items = log.rows.items_of(user).tolist()
        for place, item in enumerate(items):
            for age, source in enumerate(items[max(0, place - 3) : place][::-1]):
                counts[source, item] += DECAY**age
    newest = log.rows.items_of(user_idx)[: -3 - 1 : -1]
    expected = sum(DECAY**age * counts[source] / counts[source].sum() for age, source in enumerate(newest))
    np.testing.assert_allclose(rules.scores(user_idx)[0], expected / np.sum(expected))


def test_a_stream_may_hold_shoppers_and_items_that_its_history_lacks(tmp_path: Path) -> None:
    old, new = tiny_world(n_users=10), tiny_world(n_users=12, n_items=32, orders_per_user=10)
    late = new.events[new.events["timestamp"] > old.events["timestamp"].max()]
    history = write_world(old, tmp_path / "old")
    late.to_parquet(tmp_path / "late.parquet")
    log = log_of_two(str(history), str(tmp_path / "late.parquet"), 0.2, str(tmp_path / "rejects"))
    assert len(log) - log.start == len(late)
    assert log.fitted.catalogue.n_items > 24
    assert log.fitted.interactions.n_users == 12
    with pytest.raises(DataError, match="give older ones"):
        log_of_two(str(tmp_path / "late.parquet"), str(history), 0.2, str(tmp_path / "rejects"))


def test_every_row_is_told_with_its_interval_beside_the_full_engine(capsys: pytest.CaptureFixture[str]) -> None:
    found = Asked(weights={}, user_idx=list(range(40)))
    found.ranks[FULL] = [np.array([float(query % 3)]) for query in range(40)]
    found.ranks["worse"] = [np.array([4.0 + query % 9]) for query in range(40)]
    facts = as_facts(found, k=10)
    assert facts["rows"][FULL]["full_is"] == 1
    worse = facts["rows"]["worse"]
    assert worse["low"] < worse["ndcg"] < worse["high"]
    assert 0 < worse["adds_low"] < worse["full_adds"] < worse["adds_high"]
    assert worse["p"] < 0.01
    print_facts({"event": facts, "order": facts, "cost": {}})
    assert capsys.readouterr().out.count("worse") == 2
