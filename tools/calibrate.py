"""Measure how far honest machines drift apart and how little a cheat shows, and write a calibration.

    python tools/calibrate.py                      rewrite data/calibration/cpu-fp32.json (a quarter of an hour)
    python tools/calibrate.py --out FILE           write it elsewhere

One machine stands for several: subprocesses that force other kernels or two threads (simulated classes). Segments of
the demonstration's model are executed from states of a short run, by every class and by every cheat.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attestrain.corpus.dataset import Batch, Dataset
from attestrain.record.canonical import canonical
from attestrain.record.digest import sha256
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.trace import StepRecord
from attestrain.replay.calibration import FORMAT, MATCHED, Calibration
from attestrain.replay.compare import METRICS, measure, measure_steps
from attestrain.run.config import make_config
from attestrain.run.folder import RunFolder
from attestrain.run.preparation import prepare
from attestrain.train.batches import RoundBatches
from attestrain.train.engine import Engine
from attestrain.train.environment import environment
from attestrain.train.state import State, genesis_state, state_from_blobs, state_to_blobs
from attestrain.train.task import Task, load_task
from attestrain.train.trace import RoundInputs, run_round
from attestrain.update.checkpoint import advance, genesis

OUT = Path(__file__).resolve().parent.parent / "src" / "attestrain" / "data" / "calibration" / "cpu-fp32.json"
MARGIN = 10
"""DESIGN section 5: bounds are at least this many times the worst honest error."""
CLASSES: dict[str, tuple[dict[str, str], int]] = {
    "default": ({}, 1),
    "aten-default": ({"ATEN_CPU_CAPABILITY": "default"}, 1),
    "mkl-compatible": ({"MKL_CBWR": "COMPATIBLE"}, 1),
    "both": ({"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}, 1),
    "two-threads": ({}, 2),
}
"""Simulated classes: environment variables, threads."""
RUN: dict[str, Any] = {
    "algorithm": {"preset": "ternary-muon"},
    "schedule": {"rounds": 30, "steps": 20, "segment_steps": 10, "batch": 4, "workers": 5},
    "dataset": {"source": "slice"},
    "audit": {"auditors": 3},
    "trust": {"preset": "full"},
}
"""What is measured, whatever presets and demonstrations become."""
OPTIMIZERS = {"muon": "0.04", "adamw": "0.006", "sgd": "0.1"}
"""Inner optimizers measured, with the peak rate of each."""
SEEDS = (1, 2, 3, 4)
"""Runs measured per optimizer. The worst honest error of one short run is a poor guess of that of another (factors of
ten for the largest entries), so the worst is taken over several. Cheats are measured in the first."""
ROUNDS = (0, 2, 7)
"""Rounds whose inner segments are measured: during the warm-up, after it, well into training."""
WORKER = Worker(0)
DOCTORED_NORM = 1e-4
"""Second moments are zeroed, smallest first, up to this part of their Euclidean norm."""
LARGEST = Decimal(9_999_999_999)
"""Largest value that a document's decimal can hold: stands for anything larger."""

Measured = dict[str, float]


@dataclass(frozen=True, slots=True)
class Case:
    """A segment to execute: where it starts and what it is given."""

    round: int
    segment: int
    state: State
    batches: list[Batch]
    rates: list[int]


@dataclass(frozen=True, slots=True)
class Done:
    """What a class made of a case."""

    state: State
    steps: list[StepRecord]


def make_cases(spec: RunSpec, task: Task, dataset: Dataset) -> list[Case]:
    """Train one worker alone and keep the inner segments of `ROUNDS`."""
    engine, checkpoint, state, cases = Engine(spec, task), genesis(spec), genesis_state(spec), list[Case]()
    for round_ in range(max(ROUNDS) + 1):
        batches = _batches(spec, dataset, round_)
        digest = checkpoint.record.digest
        inputs = RoundInputs(Branch(0), Round(round_), WORKER, digest, checkpoint.params, batches)
        work = run_round(engine, inputs, state)
        state = work.states[-1]
        checkpoint = advance(spec, checkpoint, {WORKER: work.update}).checkpoint
        if round_ in ROUNDS:
            for segment in range(1, spec.schedule.segments - 1):
                cases.append(_case(spec, dataset, round_, segment, work.states[segment]))
    return cases


def _batches(spec: RunSpec, dataset: Dataset, round_: int) -> RoundBatches:
    beacon = sha256(f"calibration {spec.seed} {round_}".encode())
    return RoundBatches(spec, dataset.split("train"), beacon, WORKER)


def _case(spec: RunSpec, dataset: Dataset, round_: int, segment: int, state: State) -> Case:
    steps = spec.schedule.steps_of(segment)
    first = round_ * spec.schedule.steps
    rates = [spec.inner.rate_bits(first + step) for step in steps]
    return Case(round_, segment, state, _batches(spec, dataset, round_)(steps), rates)


def execute_in_class(folder: Path, name: str) -> list[Done]:
    """Execute the cases of ``folder`` in a fresh process of a simulated class."""
    variables, threads = CLASSES[name]
    clean = {key: value for key, value in os.environ.items() if key not in {"ATEN_CPU_CAPABILITY", "MKL_CBWR"}}
    out = folder / f"{name}.npz"
    command = [sys.executable, __file__, "--execute", str(folder), "--threads", str(threads), "--out", str(out)]
    subprocess.run(command, env={**clean, **variables}, check=True)
    spec = RunSpec.from_bytes((folder / "spec.json").read_bytes())
    return list(_read_done(spec, out))


def _read_done(spec: RunSpec, path: Path) -> Iterator[Done]:
    with np.load(path) as arrays:
        for index in itertools.count():
            if f"{index}/steps" not in arrays:
                return
            steps = [StepRecord.from_hex(str(text)) for text in arrays[f"{index}/steps"]]
            blobs = {part: arrays[f"{index}/{part}"].tobytes() for part in spec.state}
            yield Done(state_from_blobs(spec, blobs), steps)


def execute(folder: Path, threads: int, out: Path) -> None:
    """Body of a subprocess: execute every case of ``folder`` and write the states and step records."""
    spec = RunSpec.from_bytes((folder / "spec.json").read_bytes())
    dataset = Dataset.open(folder / "dataset")
    engine = Engine(spec, load_task(spec.task.name))
    torch.set_num_threads(threads)
    arrays: dict[str, Any] = {}
    for index, (round_, segment) in enumerate(json.loads((folder / "cases.json").read_bytes())["cases"]):
        with np.load(folder / f"case-{index}.npz") as saved:
            state = state_from_blobs(spec, {name: saved[name].tobytes() for name in spec.state})
        case = _case(spec, dataset, round_, segment, state)
        after, steps = engine.inner(case.state, case.batches, case.rates)
        arrays |= {f"{index}/{name}": np.frombuffer(data, np.uint8) for name, data in state_to_blobs(after).items()}
        arrays[f"{index}/steps"] = np.array([step.to_bytes().hex() for step in steps])
    np.savez(out, **arrays)


class Bf16Task:
    """The task in bfloat16 where float32 was promised."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.name = task.name
        self.build_model = task.build_model

    def loss(self, model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """The loss, its matrix products in bfloat16."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self._task.loss(model, tokens)


def cheats(spec: RunSpec, task: Task, case: Case, honest: State, other: Batch) -> dict[str, State]:
    """States that cheating leads to: once per kind, and where a step can be chosen, in the last one.

    The last step is where a change of data or a step left out shows least in the optimizer's buffers and has had no
    time to grow.
    """
    engine, bf16 = Engine(spec, task), Engine(spec, Bf16Task(task))  # type: ignore[arg-type]  # has what Engine uses
    last = case.batches[-1]
    tokens = last.tokens.copy()
    tokens[0, tokens.shape[1] // 2] ^= 1
    given: dict[str, tuple[Engine, Sequence[Batch], Sequence[int]]] = {
        "one step skipped": (engine, case.batches[:-1], case.rates[:-1]),
        "one wrong batch": (engine, [*case.batches[:-1], other], case.rates),
        "one token changed": (engine, [*case.batches[:-1], replace(last, tokens=tokens)], case.rates),
        "bfloat16": (bf16, case.batches, case.rates),
    }
    found = {name: used.inner(case.state, batches, rates)[0] for name, (used, batches, rates) in given.items()}
    return found if "opt.v" not in honest else {**found, "second moments zeroed": doctored(honest)}


def doctored(state: State) -> State:
    """``state`` with as many of Adam's second moments zeroed as `DOCTORED_NORM` hides from a Euclidean norm."""
    v = state["opt.v"].view(np.float32).copy()
    order = np.argsort(v, kind="stable")
    sums = np.sqrt(np.cumsum(np.square(v[order].astype(np.float64))))
    v[order[sums <= DOCTORED_NORM * sums[-1]]] = 0
    return {**state, "opt.v": v}


@dataclass
class Findings:
    """Worst honest value per measure, and per cheat its values in every case."""

    honest: Measured
    cheats: dict[str, list[Measured]]
    models: list[dict[str, Any]]


def measure_run(found: Findings, inner: str, seed: int, folder: Path) -> dict[str, Any]:
    """Add the measurements of one run; returns its environment document."""
    sections = RUN | {"run": {"name": "demo", "seed": seed}, "inner": {"name": inner, "rate": OPTIMIZERS[inner]}}
    prepared = prepare(make_config(sections, "calibration"), RunFolder(folder))
    spec, task, dataset = prepared.spec, prepared.task, prepared.dataset
    cases = make_cases(spec, task, dataset)
    (folder / "cases.json").write_bytes(canonical({"cases": [[case.round, case.segment] for case in cases]}))
    for index, case in enumerate(cases):
        np.savez(folder / f"case-{index}.npz", **case.state)  # type: ignore[arg-type]  # arrays by name
    done = {name: execute_in_class(folder, name) for name in CLASSES}
    for index, case in enumerate(cases):
        _add_honest(found.honest, spec, case, [done[name][index] for name in CLASSES])
    if seed == SEEDS[0]:
        honest = [item.state for item in done["default"]]
        _add_cheats(found.cheats, spec, task, cases, honest)
        found.models.append(_model(spec, cases))
    return environment(spec, task)


def _add_cheats(
    values: dict[str, list[Measured]], spec: RunSpec, task: Task, cases: list[Case], honest: list[State]
) -> None:
    for index, case in enumerate(cases):
        other = cases[index - 1].batches[0]
        for name, state in cheats(spec, task, case, honest[index], other).items():
            values.setdefault(name, []).append(measure(spec, case.state, state, honest[index]))


def _model(spec: RunSpec, cases: list[Case]) -> dict[str, Any]:
    """What was measured, for the document."""
    return {
        "task": spec.task.name,
        "parameters": spec.layout.parameters,
        "inner": spec.inner.name,
        "batch": spec.schedule.batch,
        "sequence_tokens": spec.schedule.sequence_tokens,
        "segment_steps": spec.schedule.segment_steps,
        "seeds": list(SEEDS),
        "from_steps": [case.round * spec.schedule.steps + spec.schedule.steps_of(case.segment)[0] for case in cases],
    }


def _add_honest(worst: Measured, spec: RunSpec, case: Case, done: list[Done]) -> None:
    """Every class against every other, both ways round."""
    for claimed, observed in itertools.permutations(done, 2):
        values = measure(spec, case.state, claimed.state, observed.state)
        for name, value in {**values, **measure_steps(claimed.steps, observed.steps)}.items():
            worst[name] = max(worst.get(name, 0.0), value)


def document(found: Findings, name: str, surroundings: dict[str, Any]) -> dict[str, Any]:
    """The calibration document."""
    bounds = {metric: _bound(found.honest[metric]) for metric in METRICS}
    return {
        "format": FORMAT,
        "name": name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": "python tools/calibrate.py",
        "applies": {key: surroundings[key] for key in MATCHED},
        "classes": [
            {"name": key, "simulated": True, "cpu": surroundings["cpu"], "variables": variables, "threads": threads}
            for key, (variables, threads) in CLASSES.items()
        ],
        "models": found.models,
        "margin": str(MARGIN),
        "metrics": {
            metric: {
                "honest": _text(found.honest[metric], up=True),
                "cheat": _least(found, metric),
                "tolerance": _text(bounds[metric], up=True),
            }
            for metric in METRICS
        },
        "cheats": [_cheat(key, values, bounds) for key, values in found.cheats.items()],
    }


def _least(found: Findings, metric: str) -> str | None:
    """Least value over the cheats that show in ``metric`` at all."""
    values = [item[metric] for cases in found.cheats.values() for item in cases if item.get(metric)]
    return _text(min(values), up=False) if values else None


def _cheat(name: str, cases: list[Measured], bounds: Measured) -> dict[str, Any]:
    """Of the case in which a cheat shows least: the measure that shows it best, and how far beyond its bound."""
    best = [max((item[metric] / bounds[metric], metric) for metric in item) for item in cases]
    factor, metric = min(best)
    caught = sum(factor > 1 for factor, _ in best)
    return {"name": name, "cases": len(cases), "caught": caught, "metric": metric, "factor": _text(factor, up=False)}


def _bound(honest: float) -> float:
    """Smallest of 1, 2, 5 x 10^n that is at least `MARGIN` times the worst honest value."""
    wanted = max(MARGIN * honest * (1 + 1e-2), 1e-12)  # room for rounding the honest value up
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= wanted)


def _text(value: float, *, up: bool) -> str:
    """Three significant digits as a plain decimal, rounded up or down."""
    if not math.isfinite(value) or Decimal(value) > LARGEST:
        return str(LARGEST)
    number = Decimal(value)
    if number == 0:
        return "0"
    quantum = Decimal(1).scaleb(max(number.adjusted() - 2, -18))
    near = number.quantize(quantum)
    if abs(near - number) > abs(number) * Decimal("1e-9"):
        near = number.quantize(quantum, rounding="ROUND_CEILING" if up else "ROUND_FLOOR")
    text = f"{near:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; as a subprocess, execute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--execute", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.execute is not None:
        execute(options.execute, options.threads, options.out)
        return 0
    found, surroundings = Findings({}, {}, []), dict[str, Any]()
    for seed, inner in itertools.product(SEEDS, OPTIMIZERS):
        with tempfile.TemporaryDirectory() as folder:
            surroundings = measure_run(found, inner, seed, Path(folder))
        print(f"seed {seed} {inner}: worst so far {json.dumps(found.honest)}", file=sys.stderr, flush=True)
    data = canonical(document(found, options.out.stem, surroundings))
    Calibration.from_bytes(data)
    options.out.write_bytes(data)
    print(json.dumps(json.loads(data), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
