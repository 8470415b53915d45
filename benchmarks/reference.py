"""Measure the lines that the demo is held against: AllReduce with AdamW and with Muon, and one worker alone.

    python benchmarks/reference.py [--workers 4] [--out FILE]

Model, data, schedule and validation sequences are the demo's. AllReduce of N workers is exactly one process that takes
N times the batch, because averaging gradients over workers is averaging them over sequences. Every method gets the same
tuning budget: the three peak rates in ``TRIALS``, each trained to the end, the best on validation kept. All settings
that were tried are written down with their losses. About eight minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from attestrain.report.reference import FORMAT
from attestrain.run.baseline import train_solo
from attestrain.run.config import RunConfig, make_config
from attestrain.run.demo import demo_config
from attestrain.run.evaluation import Evaluator
from attestrain.run.folder import RunFolder
from attestrain.run.preparation import prepare
from attestrain.train.engine import Engine

OUT = Path(__file__).resolve().parent.parent / "src/attestrain/data/reference/demo.json"
HONEST_WORKERS = 4
"""Workers of the demo that do their work: the reference gets as much data a step as they bring."""


class Trial(NamedTuple):
    """One way to train: what it is called, its inner optimizer, the rates tried, whether it is AllReduce."""

    name: str
    label: str
    inner: str
    rates: Sequence[str]
    allreduce: bool


TRIALS = (
    Trial("allreduce-adamw", "AllReduce AdamW", "adamw", ("0.006", "0.01", "0.02"), True),
    Trial("allreduce-muon", "AllReduce Muon", "muon", ("0.02", "0.04", "0.06"), True),
    Trial("solo-muon", "one worker alone, tuned", "muon", ("0.02", "0.04", "0.06"), False),
)
"""Rates on both sides of the best one of earlier trials, so that the best is not the last one tried."""


def settings(trial: Trial, rate: str, workers: int) -> RunConfig:
    """The demo's configuration turned into one process that trains alone on ``workers`` times the batch."""
    demo = demo_config(quick=False)
    batch = demo.schedule.batch * (workers if trial.allreduce else 1)
    document: dict[str, Any] = demo.model_dump(mode="json", exclude={"cheat", "audit", "trust"})
    document["schedule"] |= {"workers": 1, "batch": batch}
    document["inner"] |= {"name": trial.inner, "rate": rate}
    return make_config(document, trial.name)


def measure(trial: Trial, rate: str, workers: int, folder: Path) -> tuple[float, dict[str, Any]]:
    """Train once; the validation loss at the end and what the run was about."""
    config = settings(trial, rate, workers)
    prepared = prepare(config, RunFolder(folder))
    engine = Engine(prepared.spec, prepared.task)
    begin = time.perf_counter()
    params = [params for _, params in train_solo(engine, prepared.dataset)][-1]
    loss = Evaluator(engine, prepared.dataset, config.local.validation_sequences)(params)
    if loss is None:
        raise SystemExit("error: the demo's dataset has no validation split")
    print(f"{trial.name:16} rate {rate:6} loss {loss:.4f}  {time.perf_counter() - begin:.0f} s", file=sys.stderr)
    spec = prepared.spec
    facts = {
        "dataset": spec.dataset.hex(),
        "steps": spec.schedule.total_steps,
        "batch": demo_config(quick=False).schedule.batch,
        "parameters": spec.layout.parameters,
    }
    return loss, facts


def machine_class() -> str:
    """What the figures were measured on, without naming a machine."""
    import torch

    return f"{platform.machine()} CPU ({torch.backends.cpu.get_cpu_capability()}), torch {torch.__version__}, 1 thread"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=HONEST_WORKERS)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    methods, facts = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for trial in TRIALS:
            tried = []
            for rate in trial.rates:
                loss, facts = measure(trial, rate, arguments.workers, Path(folder))
                tried.append({"rate": rate, "loss": f"{loss:.4f}"})
            best = min(tried, key=lambda item: float(item["loss"]))
            inner = {"inner": trial.inner, "rate": best["rate"]}
            method = {"name": trial.name, "label": trial.label, "loss": best["loss"], "settings": inner, "tried": tried}
            methods.append(method)
    document = {
        "format": FORMAT,
        "command": " ".join(["python", "benchmarks/reference.py", *sys.argv[1:]]),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine_class(),
        "workers": arguments.workers,
        **facts,
        "methods": methods,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
