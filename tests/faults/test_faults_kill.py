"""Everything is killed without warning, at chosen and at random moments, and the run goes on as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.run.config import RunConfig
from attestrain.run.session import train
from tests.faults.chaos import Running, checkpoints, entries, judged, slots, tiny_config, wait_for

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes through /proc")
CHEAT = [{"worker": 2, "kind": "skip-steps", "from_round": 1}]
CHEATING = tiny_config(cheat=CHEAT)
DELAYED = tiny_config(cheat=CHEAT, overlap={"delay": 1, "blend": 0.5})

Moment = Callable[[Running], object]
MOMENTS: list[tuple[str, Moment]] = [
    ("the dataset is being built", lambda run: (run.folder / "dataset").exists()),
    ("there is a run and nothing in it", lambda run: (run.folder / "run.toml").exists()),
    ("someone has joined", lambda run: run.events("join")),
    ("the first round opens", lambda run: run.events("round-open", round=0)),
    ("a worker is in the middle of a round", lambda run: run.events("segment", round=0, segment=1)),
    ("a receipt stands", lambda run: run.events("receipt", round=0)),
    ("a round is closed", lambda run: run.events("close", round=1)),
    ("an update is published", lambda run: run.events("published", round=1)),
    ("a round is aggregated", lambda run: run.events("aggregated", round=1)),
    ("an auditor has found something", lambda run: run.events("finding", round=1)),
    ("the last round opens", lambda run: run.events("round-open", round=3)),
    ("the last round is aggregated", lambda run: run.events("aggregated", round=3)),
    ("the bundle is being written", lambda run: (run.folder / ".bundle-building").exists()),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    train(CHEATING, folder, on_event=lambda event: None)
    return folder


@pytest.fixture(scope="module")
def overlapping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose rounds overlap and that nothing disturbed."""
    folder = tmp_path_factory.mktemp("overlapping") / "run"
    train(DELAYED, folder, on_event=lambda event: None)
    return folder


def check_like(folder: Path, undisturbed: Path) -> None:
    assert checkpoints(folder) == checkpoints(undisturbed)
    assert len(slots(folder)) == len(set(slots(folder)))
    verdict = judged(folder)
    assert verdict.exit_code == ExitCode.DONE, verdict


def continue_run(folder: Path, config: RunConfig = CHEATING) -> Running:
    begun = (folder / "run.toml").exists()
    return Running(folder, None if begun else config)


def test_killed_at_every_turn(tmp_path: Path, undisturbed: Path) -> None:
    folder, before = tmp_path / "run", []
    for name, moment in MOMENTS:
        with continue_run(folder) as run:
            run.until(lambda run=run, moment=moment: moment(run))
            run.kill()
            assert run.wait() == -signal.SIGKILL, name
            wait_for(lambda run=run: not run.members())
        after = entries(folder)
        assert after[: len(before)] == before, name
        before = after
    with continue_run(folder) as run:
        assert run.wait() == 0, (folder / "conductor.log").read_text()
    assert entries(folder)[: len(before)] == before
    check_like(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_random_moments(tmp_path: Path, undisturbed: Path, seed: int) -> None:
    kill_at_random(tmp_path / "run", CHEATING, random.Random(seed))
    check_like(tmp_path / "run", undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_random_moments_of_overlapping_rounds(tmp_path: Path, overlapping: Path, seed: int) -> None:
    kill_at_random(tmp_path / "run", DELAYED, random.Random(seed))
    check_like(tmp_path / "run", overlapping)


def kill_at_random(folder: Path, config: RunConfig, moments: random.Random) -> None:
    before: list[bytes] = []
    for _ in range(moments.choice((1, 2, 3))):
        with continue_run(folder, config) as run:
            time.sleep(moments.uniform(0.05, 2.5))
            run.kill()
            run.wait()
        after = entries(folder)
        assert after[: len(before)] == before
        before = after
    with continue_run(folder, config) as run:
        assert run.wait() == 0, (folder / "conductor.log").read_text()
    assert entries(folder)[: len(before)] == before


def test_killed_whenever_two_rounds_are_open(tmp_path: Path, overlapping: Path) -> None:
    """The next round trains already; the one before is not published, half published, published, aggregated."""
    folder, moments = (
        tmp_path / "run",
        [
            lambda run: run.events("round-open", round=1),
            lambda run: run.events("published", round=0),
            lambda run: len(run.events("published", round=1)) == 3,
            lambda run: run.events("receipt", round=2),
            lambda run: run.events("aggregated", round=2),
            lambda run: run.events("published", round=3),
        ],
    )
    for moment in moments:
        with continue_run(folder, DELAYED) as run:
            run.until(lambda run=run, moment=moment: moment(run))
            run.kill()
            run.wait()
    with continue_run(folder, DELAYED) as run:
        assert run.wait() == 0, (folder / "conductor.log").read_text()
    check_like(folder, overlapping)


@pytest.mark.parametrize("role", ["worker", "auditor", "conductor"])
def test_one_process_is_killed_while_two_rounds_are_open(tmp_path: Path, overlapping: Path, role: str) -> None:
    folder = tmp_path / "run"
    with Running(folder, DELAYED) as run:
        run.until(lambda: run.events("published", round=1))
        who = run.pid if role == "conductor" else run.children()[{"worker": 0, "auditor": 3}[role]]
        os.kill(who, signal.SIGKILL)
        assert run.wait() == (-signal.SIGKILL if role == "conductor" else 0)
    if role == "conductor":
        with continue_run(folder, DELAYED) as run:
            assert run.wait() == 0, (folder / "conductor.log").read_text()
    check_like(folder, overlapping)


@pytest.mark.parametrize("role", ["worker", "auditor"])
def test_one_process_is_killed_and_comes_back(tmp_path: Path, undisturbed: Path, role: str) -> None:
    with Running(tmp_path / "run", CHEATING) as run:
        run.until(lambda: run.events("receipt", round=0))
        os.kill(run.children()[{"worker": 0, "auditor": 3}[role]], signal.SIGKILL)
        run.until(lambda: run.events("published", round=1))
        os.kill(run.children()[1], signal.SIGKILL)
        assert run.wait() == 0
        assert len(run.events("restart")) >= 1
    check_like(tmp_path / "run", undisturbed)


def test_children_end_when_the_conductor_is_killed(tmp_path: Path, undisturbed: Path) -> None:
    """And a run resumed at once is not disturbed by those that are still ending."""
    with Running(tmp_path / "run", CHEATING) as run:
        run.until(lambda: run.events("segment", round=1))
        os.kill(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        with continue_run(tmp_path / "run") as resumed:
            wait_for(lambda: not run.members(), 10)
            assert resumed.wait() == 0
    check_like(tmp_path / "run", undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_stops_cleanly(tmp_path: Path, undisturbed: Path, number: signal.Signals) -> None:
    with Running(tmp_path / "run", CHEATING) as run:
        run.until(lambda: run.events("segment", round=1))
        begin = time.monotonic()
        run.kill(number)
        assert run.wait() == ExitCode.INTERRUPTED
        assert time.monotonic() - begin < 5
        assert not run.members()
    assert f"--resume {tmp_path / 'run'}" in (tmp_path / "run" / "conductor.log").read_text()
    with continue_run(tmp_path / "run") as run:
        assert run.wait() == 0
    check_like(tmp_path / "run", undisturbed)


def test_interrupted_again_while_it_stops(tmp_path: Path) -> None:
    with Running(tmp_path / "run", CHEATING) as run:
        run.until(lambda: run.events("segment", round=1))
        for _ in range(5):
            run.kill(signal.SIGINT)
            time.sleep(0.01)
        assert run.wait() == ExitCode.INTERRUPTED
        assert not run.members()
