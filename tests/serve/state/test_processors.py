"""A log comes to one state, to the last bit: on every processor, and from whichever snapshot its replay begins."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy._core import _multiarray_umath as numpy_core  # pyright: ignore[reportAttributeAccessIssue]
from threadpoolctl import threadpool_info

from serve.state.machine import StateMachine
from serve.state.request import Request
from serve.state.snapshot import write_snapshot
from serve.state.sqlite_log import SqliteLog
from tests.serve.state.state_world import FAST, random_events, small_bundle

ROOT = Path(__file__).resolve().parents[3]
DIM = 37  # odd, so that folding a row's halves has a remainder
GROUPS = [1, 2, 5, 9, 30] * 5  # events of each commit
SNAPSHOT_GROUPS = 4  # commits between snapshots
# What other processors would have OpenBLAS, numpy and libm choose; numpy named its choices anew in 2.4.
NO_AVX512 = "X86_V4 AVX512_ICL AVX512_SPR AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL"
PROCESSORS = {
    "Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX"},
    "Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
    "Prescott": {"OPENBLAS_CORETYPE": "Prescott"},
    "numpy without AVX-512": {"NPY_DISABLE_CPU_FEATURES": NO_AVX512},
    "numpy's least": {"NPY_DISABLE_CPU_FEATURES": f"X86_V3 SSE42 AVX F16C FMA3 AVX2 {NO_AVX512}"},
    "old libm": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable,-AVX2,-FMA,-FMA4,-AVX512F"},
}
REPLAY = "import sys; from tests.serve.state.test_processors import replayed, kernels; print(*replayed(sys.argv[1])); "


def replayed(folder: Path | str) -> tuple[int, str]:
    """Return the version and hash that the log of a folder comes to."""
    machine = StateMachine(small_bundle(dim=DIM), SqliteLog.open(Path(folder)), FAST.learner)
    machine.recover()
    header = machine.snapshot().sealed().header
    machine.log.close()
    return header.version, header.state_hash


def kernels() -> str:
    """Return what OpenBLAS and numpy chose in this process."""
    chosen = [name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name]]
    return f"{[library.get('architecture') for library in threadpool_info()]} {chosen}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], tuple[int, str]]:
    """A folder with a log and no snapshot, its snapshots elsewhere, and the state when it was written."""
    folder, aside = tmp_path_factory.mktemp("log"), tmp_path_factory.mktemp("snapshots")
    machine = StateMachine(small_bundle(dim=DIM), SqliteLog.open(folder, bootstrap=True), FAST.learner)
    rng, snapshots = np.random.default_rng(0), []
    for number, size in enumerate(GROUPS):
        vectors = rng.normal(size=(size, DIM)).astype(np.float32)
        events = random_events(size, number, f"g{number}-")
        late = rng.integers(10**9, size=size).tolist()  # up to twelve days, so that counts decay
        events = [replace(one, timestamp_ms=one.timestamp_ms + ms) for one, ms in zip(events, late, strict=True)]
        machine.commit([Request(events, vectors)])
        if number % SNAPSHOT_GROUPS == 0:
            path = write_snapshot(folder, machine.snapshot().sealed())
            snapshots.append(path.rename(aside / path.name))
    header = machine.snapshot().sealed().header
    machine.close()
    return folder, snapshots, (header.version, header.state_hash)


def test_from_zero_and_from_every_snapshot_the_log_comes_to_one_state(
    written: tuple[Path, list[Path], tuple[int, str]], tmp_path: Path
) -> None:
    folder, snapshots, expected = written
    assert len(snapshots) == 7
    assert replayed(folder) == expected
    for snapshot in snapshots:
        beside = shutil.copytree(folder, tmp_path / snapshot.stem)
        shutil.copy(snapshot, beside)
        assert replayed(beside) == expected


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels named above are those of x86")
def test_every_processor_comes_to_one_state(written: tuple[Path, list[Path], tuple[int, str]]) -> None:
    folder, _, (version, state_hash) = written
    seen = {kernels()}
    for variables in PROCESSORS.values():
        command = [sys.executable, "-W", "ignore", "-c", REPLAY + "print(kernels())", str(folder)]
        done = subprocess.run(command, env=os.environ | variables, cwd=ROOT, capture_output=True, text=True)
        if done.returncode < 0:  # a processor may lack the instructions it is told to use
            continue
        found, chosen = done.stdout.splitlines()
        assert found == f"{version} {state_hash}", variables
        seen.add(chosen)
    assert len(seen) >= 3, seen
