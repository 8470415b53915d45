"""One trial of the training benchmark, from settings to figures; every trial is one file, so that a rerun goes on."""

from __future__ import annotations

import json
import platform
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attestrain.bench.rows import Row
from attestrain.bench.simulate import Simulation
from attestrain.errors import FormatError, UsageError
from attestrain.record.digest import sha256
from attestrain.record.names import Round
from attestrain.run.baseline import FLOAT32, train_solo
from attestrain.run.config import RunConfig, make_config
from attestrain.run.evaluation import Evaluator
from attestrain.run.folder import RunFolder
from attestrain.run.preparation import Prepared, prepare
from attestrain.store.atomic import write_atomic
from attestrain.train.engine import Engine

FORMAT = "attestrain.dev/bench-trial@v1"
SEQUENCES = 128
"""Sequences of each split that the loss is measured on."""
POINTS = 10
"""Points of the loss curve."""
MAX_RECORD = 1 << 20
"""Largest record read."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What is equal for all rows: workers, sequences a step and worker, model and data as RUN.toml sections."""

    workers: int = 4
    batch: int = 4
    warmup: int = 30
    task: tuple[tuple[str, Any], ...] = ()
    dataset: tuple[tuple[str, Any], ...] = ()


PROTOCOL = Protocol()
"""The demo's model and data, four workers, four sequences each."""
SIZES = {
    "small": PROTOCOL,
    "medium": Protocol(task=(("width", 128), ("layers", 4), ("heads", 4), ("hidden", 352))),
    "large": Protocol(task=(("width", 768), ("layers", 12), ("heads", 12), ("hidden", 2048)), workers=8, batch=8),
}
"""Protocols by the size of their model: 0.23, 0.84 and 85 million parameters, the last for a machine with a GPU."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A row at one point of its grid, for so many steps, from one seed."""

    row: Row
    point: tuple[tuple[str, str], ...]
    steps: int
    seed: int
    protocol: Protocol = PROTOCOL

    def config(self) -> RunConfig:
        """The trial as a run.

        Raises:
            UsageError: it cannot be one.
        """
        row, protocol = self.row, self.protocol
        if self.steps % row.steps:
            raise UsageError(f"{self.steps} steps are no whole rounds of {row.steps}, as row {row.name} has them")
        settings: dict[str, Any] = {name: dict(section) for name, section in row.settings.items()}
        workers, batch = protocol.workers, protocol.batch
        if row.kind != "run":
            workers, batch = 1, batch * (workers if row.kind == "allreduce" else 1)
        rounds = self.steps // row.steps
        sizes = {"batch": batch, "workers": workers}
        schedule = {"rounds": rounds, "steps": row.steps, "segment_steps": row.steps, **sizes}
        settings["schedule"] = {**settings.get("schedule", {}), **schedule}
        settings["run"] = {"name": "bench", "seed": self.seed}
        settings["inner"] = {**settings.get("inner", {}), "warmup": min(protocol.warmup, self.steps)}
        settings["task"] = {"config": dict(protocol.task)}
        settings["dataset"] = dict(protocol.dataset)
        if "warmup" in settings.get("outer", {}):
            settings["outer"]["warmup"] = min(settings["outer"]["warmup"], rounds)
        for name, value in self.point:
            _set(settings, name, value)
        return make_config(settings, f"row {row.name}")

    @property
    def name(self) -> str:
        """Digest of everything that decides the trial, and the row's name for people."""
        parts = {
            "config": json.loads(self.config().model_dump_json()),
            "kind": self.row.kind,
            "protocol": [self.protocol.workers, self.protocol.batch],
        }
        return f"{self.row.name}-{sha256(json.dumps(parts, sort_keys=True).encode()).hex()[:16]}"


def _set(settings: dict[str, Any], name: str, value: str) -> None:
    *sections, key = name.split(".")
    target = settings
    for section in sections:
        target[section] = dict(target.get(section, {}))
        target = target[section]
    target[key] = value


def recorded(folder: Path, trial: Trial) -> dict[str, Any] | None:
    """The record of a trial that is done.

    Raises:
        FormatError: its file is not one.
    """
    path = folder / f"{trial.name}.json"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        data = file.read(MAX_RECORD + 1)
    try:
        record = json.loads(data)
    except ValueError as error:
        raise FormatError(f"{path} is not JSON") from error
    if len(data) > MAX_RECORD or not isinstance(record, dict) or record.get("format") != FORMAT:
        raise FormatError(f"{path} is not a record of a trial", hint="delete it to run the trial again")
    return record


def run_trial(folder: Path, trial: Trial) -> dict[str, Any]:
    """Train, measure, record; a trial that is recorded is not run again.

    Raises:
        UsageError, RunFailed: it cannot be run, or diverged.
    """
    if (found := recorded(folder, trial)) is not None:
        return found
    begin = time.process_time()
    with tempfile.TemporaryDirectory(prefix="attestrain-bench-") as scratch:
        prepared = prepare(trial.config(), RunFolder(Path(scratch)))
        measured = _alone(trial, prepared) if trial.row.kind != "run" else _together(prepared)
    record = {
        "format": FORMAT,
        "row": trial.row.name,
        "point": dict(trial.point),
        "steps": trial.steps,
        "seed": trial.seed,
        "run": prepared.spec.run_id.hex(),
        "dataset": prepared.spec.dataset.hex(),
        "parameters": prepared.spec.layout.parameters,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine_class(),
        "cpu": round(time.process_time() - begin, 1),
        **measured,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{trial.name}.json", json.dumps(record, indent=1).encode("ascii") + b"\n")
    return record


def machine_class() -> str:
    """What the figures were measured on, without naming a machine."""
    import torch

    return f"{platform.machine()} CPU ({torch.backends.cpu.get_cpu_capability()}), torch {torch.__version__}, 1 thread"


class _Losses:
    """Losses of parameters on the two held-out splits."""

    def __init__(self, prepared: Prepared, engine: Engine) -> None:
        self._splits = {name: Evaluator(engine, prepared.dataset, SEQUENCES, name) for name in ("validation", "test")}
        self.curve: list[list[float]] = []
        self._every = max(1, prepared.spec.schedule.rounds // POINTS)

    def note(self, done: int, params: Any) -> None:
        """A point of the curve, if one is due."""
        if done % self._every == 0:
            self.curve.append([done, round(self._loss("validation", params), 4)])

    def final(self, params: Any) -> dict[str, Any]:
        """Both losses, and the curve."""
        return {name: round(self._loss(name, params), 4) for name in self._splits} | {"curve": self.curve}

    def _loss(self, split: str, params: Any) -> float:
        loss = self._splits[split](params)
        if loss is None:
            raise UsageError(f"the dataset has no {split} split", hint=f"set dataset.{split} above 0")
        return loss


def _together(prepared: Prepared) -> dict[str, Any]:
    """A run of several workers."""
    spec, engine = prepared.spec, Engine(prepared.spec, prepared.task)
    simulation, losses = Simulation(spec, engine, prepared.dataset), _Losses(prepared, engine)
    checkpoint = None
    for done, checkpoint in enumerate(simulation.rounds(), 1):
        losses.note(done, checkpoint.params)
    assert checkpoint is not None
    costs = simulation.costs
    full = FLOAT32 * spec.layout.parameters * spec.schedule.total_steps
    return losses.final(checkpoint.params) | {
        "checkpoint": checkpoint.record.digest.hex(),
        "uploaded": round(costs.uploaded),
        "downloaded": round(costs.downloaded),
        "rounds_bytes": costs.rounds,
        "ratio": round(full / costs.uploaded, 1),
        "training": round(costs.training, 2),
        "compressing": round(costs.compressing, 2),
        "aggregating": round(costs.aggregating, 2),
    }


def _alone(trial: Trial, prepared: Prepared) -> dict[str, Any]:
    """One optimizer: on everybody's batches, whose gradients AllReduce would carry, or on its own alone."""
    engine = Engine(prepared.spec, prepared.task)
    losses, params = _Losses(prepared, engine), None
    for round_, params in train_solo(engine, prepared.dataset):
        if trial.steps <= POINTS or (round_ + 1) % (trial.steps // POINTS) == 0:
            losses.note(Round(round_ + 1), params)
    uploaded = FLOAT32 * prepared.spec.layout.parameters * trial.steps if trial.row.kind == "allreduce" else 0
    return losses.final(params) | {
        "uploaded": uploaded,
        "downloaded": uploaded,
        "ratio": 1.0 if uploaded else None,
    }
