"""Aggregation rules and outer optimizers on one thread: decoded updates in, parameters out.

    python benchmarks/bench_aggregate.py [PARAMETERS [WORKERS]]      default: 10000000 parameters, 8 workers

Processor time, best of three. Values are Gaussian, one update is shortened by screening. MB/s counts the float32 values
that go in: all updates for a rule, parameters and memory for an optimizer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import AGGREGATES, OUTERS
from attestrain.update.aggregate import aggregate_parts
from attestrain.update.dense import Dense
from attestrain.update.fragments import share
from attestrain.update.outer import Step, memory_values, outer_step
from attestrain.update.parts import Part
from tests.algorithms import make_aggregate, make_outer

REPEATS = 3
COLUMNS = 1000


def row(name: str, parameters: int, read: int, call: Callable[[], object]) -> None:
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    print(f"{name:<14}{best * 1e3:>10.0f}{parameters / best / 1e6:>16.0f}{4 * read / best / 1e6:>10.0f}")


def main(parameters: int, workers: int) -> None:
    layout = Layout((TensorSpec("w", (-(-parameters // COLUMNS), COLUMNS), Init("zeros")),))
    size, place, random = layout.parameters, share(layout, COLUMNS, 1, 0), np.random.default_rng(0)
    updates = [(random.standard_normal(size) * 1e-3).astype(np.float32) for _ in range(workers)]
    parts = [Part(Dense(values), place, 0.37 if index == 0 else 1.0, 2048) for index, values in enumerate(updates)]
    print(f"{size} parameters, {workers} workers\n{'':<14}{'ms':>10}{'M parameters/s':>16}{'MB/s':>10}")
    for name in AGGREGATES:
        rule = make_aggregate(name)
        row(name, size, size * workers, lambda rule=rule: aggregate_parts(rule, size, parts))
    whole = aggregate_parts(make_aggregate(), size, parts)
    for name in OUTERS:
        settings = {"momentum": "0.9"} if name in ("sgd", "nesterov") else {}
        step = Step(make_outer(name, "0.5", **settings), 0.5, 3, layout)
        memory = np.full(memory_values(step.outer, layout), 1e-3, dtype=np.float32)
        row(
            name, size, size + len(memory), lambda step=step, memory=memory: outer_step(step, updates[0], memory, whole)
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 8)
