"""A user's own package, as examples/sums has it: its model and its data train and verify like the built-in ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.run.config import make_config
from attestrain.run.session import train
from tests.faults.chaos import judged

EXAMPLE = Path(__file__).parents[2] / "examples" / "sums"


def test_the_example_is_short() -> None:
    lines = (EXAMPLE / "sums_task.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 32


def test_the_example_trains_and_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    settings = {
        "run": {"name": "sums"},
        "task": {"name": "sums_task:SumsTask"},
        "dataset": {"sequence_tokens": 16},
        "schedule": {"rounds": 2, "steps": 4, "segment_steps": 2, "batch": 2, "workers": 2},
        "inner": {"name": "adamw", "rate": 0.003, "warmup": 2},
        "audit": {"fraction": 0.5},
    }
    outcome = train(make_config(settings, "sums"), tmp_path / "run", on_event=lambda event: None)
    assert outcome.caught == ()
    assert outcome.loss is not None
    verdict = judged(tmp_path / "run")
    assert verdict.exit_code == ExitCode.DONE, verdict
