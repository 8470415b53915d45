"""The training benchmark: what it computes is a run, what it recorded it does not run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attestrain.bench.rows import EXCERPT, ROWS, TRIALS, Row
from attestrain.bench.simulate import Simulation
from attestrain.bench.training import Plan, chosen_rows, run_plan
from attestrain.bench.trial import Protocol, Trial, recorded, run_trial
from attestrain.errors import FormatError, UsageError
from attestrain.record.statements import CommitClose
from attestrain.run.folder import RunFolder
from attestrain.run.preparation import reopen
from attestrain.train.engine import Engine
from tests.faults.chaos import Running, statements, tiny_config

TINY = Protocol(
    workers=2,
    batch=2,
    warmup=2,
    task=(("width", 16), ("layers", 1), ("heads", 2), ("hidden", 32)),
    dataset=(("source", "slice"), ("sequence_tokens", 32)),
)
TERNARY = Row(
    "tiny-ternary", "tiny", 4, {"inner": {"name": "muon"}}, {"inner.rate": ("0.02", "0.04"), "outer.rate": ("0.5", "1")}
)
ALLREDUCE = Row("tiny-allreduce", "tiny", 1, {"inner": {"name": "adamw"}}, {"inner.rate": ("0.01",)}, "allreduce")


def nothing(trial: Trial, record: dict[str, Any] | None) -> None:
    del trial, record


def test_every_row_has_the_same_budget_and_a_configuration() -> None:
    for row in ROWS:
        points = list(row.trials())
        assert len(points) == TRIALS
        for point in points:
            config = Trial(row, tuple(point.items()), 300, 1).config()
            assert config.schedule.rounds * config.schedule.steps == 300
            tokens = config.schedule.workers * config.schedule.batch
            assert tokens == (4 if row.kind == "solo" else 16)
    assert {row.name for row in ROWS} >= set(EXCERPT)
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({Trial(row, tuple(point.items()), 300, 1).name for row in ROWS for point in row.trials()}) == 4 * len(
        ROWS
    )


ADAPTIVE = {
    "overlap": {"delay": 1, "blend": 1},
    "codec": {"name": "lowrank", "settings": {"rank": 8}},
    "adaptive": {"window": 1, "share": 0.8},
}


@pytest.mark.parametrize("sections", [{}, {"overlap": {"fragments": 2, "blend": 0.5}}, ADAPTIVE])
def test_a_simulation_is_a_run_to_the_last_bit(tmp_path: Path, sections: dict[str, Any]) -> None:
    folder = tmp_path / "run"
    with Running(folder, tiny_config(**sections)) as run:
        assert run.wait() == 0, (folder / "conductor.log").read_text()
    closes = [item for item in statements(folder) if isinstance(item, CommitClose)]
    prepared = reopen(RunFolder(folder))
    simulation = Simulation(prepared.spec, Engine(prepared.spec, prepared.task), prepared.dataset)
    checkpoints = list(simulation.rounds(iter([item.commitment for item in closes])))
    last = json.loads((folder / "bundle" / "manifest.json").read_text())
    assert last
    closed = [item for item in statements(folder) if type(item).__name__ == "Aggregated"]
    assert [item.record.digest for item in checkpoints] == [item.checkpoint for item in closed]


def test_a_trial_is_recorded_once_and_repeats_itself(tmp_path: Path) -> None:
    trial = Trial(TERNARY, (("inner.rate", "0.02"), ("outer.rate", "1")), 8, 1, TINY)
    first = run_trial(tmp_path / "a", trial)
    assert run_trial(tmp_path / "a", trial) == first == recorded(tmp_path / "a", trial)
    again = run_trial(tmp_path / "b", trial)
    same = ("checkpoint", "validation", "test", "curve", "uploaded", "rounds_bytes")
    assert {name: again[name] for name in same} == {name: first[name] for name in same}
    assert sum(first["rounds_bytes"]) == pytest.approx(2 * first["uploaded"], abs=1)
    assert first["uploaded"] == pytest.approx(first["downloaded"], abs=1)
    assert first["ratio"] == pytest.approx(4 * first["parameters"] * 8 / first["uploaded"], rel=1e-3)


def test_a_plan_goes_on_where_it_stopped(tmp_path: Path) -> None:
    plan = Plan((TERNARY, ALLREDUCE), steps=8, tuning_steps=4, seeds=(1,), protocol=TINY, tuned_on=TINY)
    told: list[str] = []

    def note(trial: Trial, record: dict[str, Any] | None) -> None:
        if record is not None:
            told.append(trial.name)

    table = run_plan(plan, tmp_path, 1, note)
    assert len(told) == len(set(told)) == 4 + 1 + 2
    assert run_plan(plan, tmp_path, 1, note) == table
    assert len(told) == 7
    (tmp_path / f"{told[-1]}.json").unlink()
    assert run_plan(plan, tmp_path, 1, note)[0].test == table[0].test
    assert len(told) == 8
    tuned = dict((json.dumps(point), loss) for point, loss in table[0].tuned)
    assert tuned[json.dumps(table[0].point)] == min(loss for loss in tuned.values() if loss is not None)
    assert table[1].record["ratio"] == 1.0


def test_a_damaged_record_is_an_error_and_a_row_unknown(tmp_path: Path) -> None:
    trial = Trial(TERNARY, (), 4, 1, TINY)
    (tmp_path / f"{trial.name}.json").write_text("{}")
    with pytest.raises(FormatError, match="not a record"):
        recorded(tmp_path, trial)
    with pytest.raises(UsageError, match="no row 'x'"):
        chosen_rows(["x"])
    with pytest.raises(UsageError, match="whole rounds"):
        Trial(TERNARY, (), 5, 1, TINY).config()
