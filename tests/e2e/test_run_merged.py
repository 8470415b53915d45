"""A run that merges: workers fetch one merged update a round, and auditors and the sequencer everybody's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attestrain.errors import ExitCode
from attestrain.run import follower
from attestrain.run.service.client import HttpExchange
from tests.faults.chaos import Running, judged, tiny_config


def noted(path: Path, call: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, which leaves the number of the process that makes it in a file."""

    def wrapper(*arguments: Any, **named: Any) -> Any:
        with path.open("a") as file:
            file.write(f"{os.getpid()}\n")
        return call(*arguments, **named)

    return wrapper


def processes(path: Path) -> set[int]:
    return {int(line) for line in path.read_text().splitlines()}


def test_workers_take_checkpoints_by_merged_updates_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merged, derived = tmp_path / "merged", tmp_path / "derived"
    monkeypatch.setattr(HttpExchange, "merged", noted(merged, HttpExchange.merged))
    monkeypatch.setattr(follower, "updates_of", noted(derived, follower.updates_of))
    config = tiny_config(merge={"name": "int4", "block": 64}, audit={"fraction": 1, "auditors": 2})
    with Running(tmp_path / "run", config) as run:
        assert run.wait() == 0, (tmp_path / "run" / "conductor.log").read_text()
    assert judged(tmp_path / "run").exit_code == ExitCode.DONE
    assert len(processes(merged)) == config.schedule.workers
    assert len(processes(derived)) == 1 + config.audit.auditors
    assert not processes(merged) & processes(derived)
