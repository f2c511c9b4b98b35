"""What every test shares: a home of its own, one Ray cluster a session, reproducible generated cases, and Ctrl-C."""

import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# Before cluster.runtime is imported: it prepares the environment that Ray reads once.
HOME = Path(tempfile.mkdtemp(prefix="liveshelf-tests-"))
os.environ["LIVESHELF_HOME"] = str(HOME)
for name in [name for name in os.environ if name.startswith("RAY_")]:
    del os.environ[name]  # a parallel run's workers inherit what their controller prepared for a home of its own
# A shell lets its background jobs ignore Ctrl-C, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from cluster.environment import scratch  # noqa: E402
from cluster.processes import descendants, end  # noqa: E402
from cluster.runtime import RuntimeConfig, connect, disconnect  # noqa: E402
from cluster.tracing import trace_to, trace_to_nobody  # noqa: E402
from tests.lines import Lines  # noqa: E402

LEAVE_S = 60

settings.register_profile("default", deadline=None, max_examples=50)
settings.register_profile(
    "ci", deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """A cluster of two cores on loopback, behind a token of its own; its address."""
    yield connect(RuntimeConfig(address="local", num_cpus=2))
    leave()


def leave() -> None:
    """Leave the cluster; where Ray waits for an answer that never comes, end its processes, so that it need not."""
    leaving = threading.Thread(target=disconnect, daemon=True)
    leaving.start()
    leaving.join(LEAVE_S)
    if leaving.is_alive():
        end(descendants(os.getpid()), grace_s=5)
        leaving.join(LEAVE_S)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What is logged from here on."""
    root, lines = logging.getLogger(), Lines()
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(lines)
    root.setLevel(level)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """The spans of all that is made from here on."""
    kept = InMemorySpanExporter()
    trace_to(SimpleSpanProcessor(kept), "test")
    yield kept
    trace_to_nobody()


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all tests that start Ray to one worker, so that clusters do not compete for the cores."""
    for item in items:
        if item.get_closest_marker("ray"):
            item.add_marker(pytest.mark.xdist_group("ray"))


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    leave()
    shutil.rmtree(scratch(), ignore_errors=True)
    shutil.rmtree(HOME, ignore_errors=True)
