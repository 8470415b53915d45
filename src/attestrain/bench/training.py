"""The training benchmark: tune every row with the same budget, then measure the best setting on a split nobody saw."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from attestrain.bench.rows import ROWS, Row
from attestrain.bench.trial import PROTOCOL, Protocol, Trial, recorded, run_trial
from attestrain.errors import RunFailed, UsageError

Progress = Callable[[Trial, dict[str, Any] | None], None]
"""Told of every trial: before it begins with None, and with its record when it is done."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Attributes:
        rows: which.
        steps: of a final run.
        tuning_steps: of a tuning trial.
        seeds: seeds of the final runs of key rows; the others have the first alone.
        protocol: equal for all rows.
        tuned_on: protocol of the tuning trials: a smaller model's, where a larger one would take too long.
    """

    rows: tuple[Row, ...]
    steps: int = 1200
    tuning_steps: int = 300
    seeds: tuple[int, ...] = (1, 2, 3)
    protocol: Protocol = PROTOCOL
    tuned_on: Protocol = PROTOCOL

    def tuning(self) -> Iterator[Trial]:
        """All tuning trials."""
        for row in self.rows:
            for point in row.trials():
                yield Trial(row, tuple(point.items()), self.tuning_steps, self.seeds[0], self.tuned_on)

    def final(self, row: Row, point: dict[str, str]) -> Iterator[Trial]:
        """Final runs of a row at its best point."""
        for seed in self.seeds if row.key else self.seeds[:1]:
            yield Trial(row, tuple(point.items()), self.steps, seed, self.protocol)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the table. ``spread`` is the standard deviation over seeds, None of one."""

    row: Row
    point: dict[str, str]
    test: float
    spread: float | None
    validation: float
    tuned: list[tuple[dict[str, str], float | None]]
    record: dict[str, Any]


def chosen_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """Rows by name, all of them for no names.

    Raises:
        UsageError: there is no such row.
    """
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there is no row {unknown[0]!r}", hint=f"there are: {', '.join(known)}")
    return tuple(known[name] for name in names) if names else ROWS


def run_plan(plan: Plan, folder: Path, jobs: int, progress: Progress) -> list[Outcome]:
    """Run what is missing of a plan, ``jobs`` trials at a time, and read its table.

    Raises:
        UsageError, FormatError: a row cannot be run, or a record is damaged.
    """
    _run_all(list(plan.tuning()), folder, jobs, progress)
    finals = [trial for row in plan.rows for trial in plan.final(row, _best(plan, folder, row))]
    _run_all(finals, folder, jobs, progress)
    return [outcome for row in plan.rows if (outcome := _outcome(plan, folder, row)) is not None]


def _run_all(trials: list[Trial], folder: Path, jobs: int, progress: Progress) -> None:
    missing = [trial for trial in trials if recorded(folder, trial) is None]
    if not missing:
        return
    # Processes of their own: torch keeps settings and threads per process, and a trial that dies takes nobody along.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = []
        for trial in missing:
            progress(trial, None)
            running.append((trial, pool.submit(_attempt, folder, trial)))
        for trial, future in running:
            progress(trial, future.result())


def _attempt(folder: Path, trial: Trial) -> dict[str, Any]:
    try:
        return run_trial(folder, trial)
    except RunFailed as error:
        return {"diverged": str(error)}


def _tuned(plan: Plan, folder: Path, row: Row) -> list[tuple[dict[str, str], float | None]]:
    found = []
    for point in row.trials():
        record = recorded(folder, Trial(row, tuple(point.items()), plan.tuning_steps, plan.seeds[0], plan.tuned_on))
        found.append((point, None if record is None else float(record["validation"])))
    return found


def _best(plan: Plan, folder: Path, row: Row) -> dict[str, str]:
    tried = [(loss, point) for point, loss in _tuned(plan, folder, row) if loss is not None]
    if not tried:
        raise RunFailed(f"every trial of row {row.name} diverged", hint="give the row smaller rates")
    return min(tried, key=lambda item: item[0])[1]


def _outcome(plan: Plan, folder: Path, row: Row) -> Outcome | None:
    point = _best(plan, folder, row)
    records = [record for trial in plan.final(row, point) if (record := recorded(folder, trial)) is not None]
    if not records:
        return None
    tests = [float(record["test"]) for record in records]
    validations = [float(record["validation"]) for record in records]
    spread = stdev(tests) if len(tests) > 1 else None
    return Outcome(row, point, mean(tests), spread, mean(validations), _tuned(plan, folder, row), records[0])
