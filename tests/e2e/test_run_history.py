"""One spec has one history: whoever signs, whatever arrives first, whoever is caught."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.record.statements import Finding, Join, Receipt
from attestrain.run.config import RunConfig
from attestrain.run.outcome import Outcome
from attestrain.run.session import resume, train
from tests.faults.chaos import Running, checkpoints, entries, judged, statements, tiny_config

CHEATING = tiny_config(cheat=[{"worker": 1, "kind": "skip-steps", "from_round": 1}])


def train_quietly(config: RunConfig, folder: Path) -> Outcome:
    return train(config, folder, on_event=lambda event: None)


def keys(folder: Path) -> set[str]:
    return {str(item.session) for item in statements(folder) if isinstance(item, Join)}


def arrivals(folder: Path) -> list[tuple[str, int, int]]:
    kinds = (Receipt, Finding)
    return [(type(item).__name__, item.round, item.worker) for item in statements(folder) if isinstance(item, kinds)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "run"
    outcome = train_quietly(CHEATING, folder)
    assert [fault.worker for fault in outcome.caught] == [1]
    return folder


def test_two_runs_with_other_keys_have_the_same_checkpoints(first: Path, tmp_path: Path) -> None:
    train_quietly(CHEATING, tmp_path / "run")
    assert not keys(first) & keys(tmp_path / "run")
    assert len(checkpoints(first)) == 4
    assert checkpoints(tmp_path / "run") == checkpoints(first)


def test_the_order_of_arrival_does_not_matter(first: Path, tmp_path: Path) -> None:
    """Worker 0 stands still at the beginning of every round until somebody else has committed."""
    folder = tmp_path / "run"
    with Running(folder, CHEATING) as run:
        run.until(lambda: run.events("join", worker=2))
        late = run.children()[0]
        for number in range(4):
            run.until(lambda number=number: run.events("round-open", round=number))
            os.kill(late, signal.SIGSTOP)
            run.until(lambda number=number: run.events("receipt", round=number, worker=2))
            os.kill(late, signal.SIGCONT)
        assert run.wait() == 0
    order = [worker for kind, _, worker in arrivals(folder) if kind == "Receipt"]
    assert order.index(2) < order.index(0)
    assert checkpoints(folder) == checkpoints(first)


def test_a_finished_run_returns_its_outcome_without_training(tmp_path: Path) -> None:
    folder, seen = tmp_path / "run", []
    outcome = train_quietly(CHEATING, folder)
    before = entries(folder)
    assert resume(folder, on_event=seen.append) == outcome
    assert entries(folder) == before
    assert seen == []


def test_a_lost_bundle_is_written_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    outcome = train_quietly(tiny_config(), folder)
    manifest = (outcome.bundle / "manifest.json").read_bytes()
    shutil.rmtree(outcome.bundle)
    (folder / ".bundle-building").mkdir()
    resume(folder, on_event=lambda event: None)
    assert judged(folder).exit_code == ExitCode.DONE
    assert (outcome.bundle / "manifest.json").read_bytes() == manifest
