"""Processes that keep dying, hang or cannot answer: the run goes on without them, or says why it cannot."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.run.local import MAX_RESTARTS
from attestrain.verify.checks import Status
from tests.faults.chaos import Running, judged, slots, tiny_config

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes through /proc")
LONG = tiny_config(schedule={"rounds": 6, "steps": 40, "segment_steps": 10})
"""Rounds long enough to be hit while they last."""
IMPATIENT = tiny_config(schedule={"rounds": 3}, local={"deadline": 6.0})
"""Waits long enough for whoever comes at all, on a machine that has other things to do."""
WORKERS = 3


def kill_for_good(run: Running, pid: int, role: str, worker: int) -> None:
    """Kill a process and each of its successors."""
    for turn in range(MAX_RESTARTS + 1):
        known = set(run.children())
        os.kill(pid, signal.SIGKILL)
        if turn == MAX_RESTARTS:
            run.until(lambda: run.events("lost", role=role, worker=worker))
            return
        run.until(lambda known=known: set(run.children()) - known)
        (pid,) = set(run.children()) - known


def test_a_worker_that_keeps_dying_is_left_out(tmp_path: Path) -> None:
    with Running(tmp_path / "run", LONG) as run:
        run.until(lambda: run.events("segment", round=1))
        kill_for_good(run, run.children()[1], "worker", 1)
        assert run.wait() == 0
        assert len(run.events("restart", role="worker", worker=1)) == MAX_RESTARTS
        absent = run.events("aggregated", round=5)[0]["absent"]
    assert absent == {"1": "no receipt before the close"}
    assert {worker for round_, worker in slots(tmp_path / "run") if round_ == 5} == {0, 2}
    assert judged(tmp_path / "run").exit_code == ExitCode.DONE


@pytest.mark.slow
def test_a_run_without_workers_fails_and_says_why(tmp_path: Path) -> None:
    with Running(tmp_path / "run", LONG) as run:
        run.until(lambda: run.events("segment", round=0))
        for worker, pid in enumerate(run.children()[:WORKERS]):
            kill_for_good(run, pid, "worker", worker)
        assert run.wait() == ExitCode.RUN_FAILED
        assert not run.members()
    log = (tmp_path / "run" / "conductor.log").read_text()
    assert "every worker process has ended" in log
    with Running(tmp_path / "run") as run:
        assert run.wait() == 0


@pytest.mark.slow
def test_a_worker_that_hangs_is_not_waited_for_forever(tmp_path: Path) -> None:
    with Running(tmp_path / "run", IMPATIENT) as run:
        run.until(lambda: run.events("published", round=0, worker=0))
        os.kill(run.children()[0], signal.SIGSTOP)
        assert run.wait() == 0
    assert (2, 0) not in slots(tmp_path / "run")
    assert {(2, 1), (2, 2)} <= set(slots(tmp_path / "run"))
    assert judged(tmp_path / "run").exit_code == ExitCode.DONE


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0, 1])
def test_a_worker_that_comes_too_late_joins_in_the_next_round(tmp_path: Path, delay: int) -> None:
    config = tiny_config(schedule={"rounds": 5}, local={"deadline": 6.0}, overlap={"delay": delay})
    with Running(tmp_path / "run", config) as run:
        run.until(lambda: run.events("segment", round=1, worker=0))
        victim = run.children()[0]
        os.kill(victim, signal.SIGSTOP)
        run.until(lambda: run.events("close", round=1))
        os.kill(victim, signal.SIGCONT)
        assert run.wait() == 0
    missed = {round_ for round_ in range(5) if (round_, 0) not in slots(tmp_path / "run")}
    assert missed
    assert missed <= {1, 2}
    assert judged(tmp_path / "run").exit_code == ExitCode.DONE


@pytest.mark.parametrize("how", ["dies", pytest.param("hangs", marks=pytest.mark.slow)])
def test_without_its_auditor_a_run_ends_and_is_not_replayed(tmp_path: Path, how: str) -> None:
    with Running(tmp_path / "run", IMPATIENT if how == "hangs" else LONG) as run:
        run.until(lambda: run.events("finding", round=0))
        auditor = run.children()[WORKERS]
        if how == "dies":
            kill_for_good(run, auditor, "auditor", 0)
        else:
            os.kill(auditor, signal.SIGSTOP)
        assert run.wait() == 0
    verdict = judged(tmp_path / "run")
    assert verdict.exit_code == ExitCode.CONSISTENT
    assert [item.name for item in verdict.unmet] == ["replayed"]
    assert not [check for check in verdict.checks if check.status is Status.FAIL]
