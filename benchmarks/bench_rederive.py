"""Re-deriving a checkpoint on one thread: what every verifier repeats for every round, part by part.

    python benchmarks/bench_rederive.py [PARAMETERS [WORKERS [CODEC ...]]]      default: 10000000, 8, every row of ROWS

Processor time in milliseconds, best of three. Values are Gaussian, blocks of 512, one update is four times as long as
the others and is shortened. `total` is one whole `advance` with mean and Nesterov's momentum; M/s are millions of the
model's parameters that it re-derives in a second. `moved` is what it cannot but read and write: updates once, and
parameters and momentum three times (read, written, hashed). `of copy` is that over the time, as a share of what a copy
of a large array moves in the same run: 100 % would be a computation that costs nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attestrain.record.blob import blob_ref
from attestrain.record.layout import Init, TensorSpec
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec, Schedule
from attestrain.update.aggregate import aggregate
from attestrain.update.checkpoint import Checkpoint, advance, genesis, stored
from attestrain.update.codec import decode, encode
from attestrain.update.fragments import share_of
from attestrain.update.header import HEADER_SIZE
from attestrain.update.outer import Step, outer_step
from attestrain.update.screen import screen
from tests.algorithms import PLAIN, make_aggregate, make_codec, make_outer
from tests.vectors.make_update import header_of, make_spec

REPEATS = 3
TENSORS = 10
COLUMNS = 1000
ROWS = {
    "dense": ({}, 512, 1),
    "ternary": ({}, 512, 1),
    "two-bit": ({}, 512, 1),
    "sign": ({}, 512, 1),
    "int8": ({}, 512, 1),
    "int4": ({}, 512, 1),
    "topk": ({"keep": "64", "levels": "2"}, 4096, 1),
    "topk/tenth": ({"keep": "102", "levels": "1"}, 1024, 1),
    "dct": ({}, 512, 1),
    "lowrank": ({}, 512, 1),
    "ternary/4": ({}, 512, 4),
    "two-bit/4": ({}, 512, 4),
    "int4/4": ({}, 512, 4),
    "topk/4": ({"keep": "64", "levels": "2"}, 4096, 4),
}
"""Settings and block of the codec, and shares."""
PARTS = ("decode", "screen", "mean", "contrib.", "nesterov", "sgd", "naming", "total", "M/s", "MB moved", "of copy")


def milliseconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best * 1e3


def spec_of(row: str, parameters: int, workers: int) -> RunSpec:
    settings, block, shares = ROWS[row]
    shape = (parameters // TENSORS // COLUMNS, COLUMNS)
    spec = make_spec(tensors=tuple(TensorSpec(f"w{i}", shape, Init("uniform", 81, -12)) for i in range(TENSORS)))
    return replace(
        spec,
        codec=make_codec(row.partition("/")[0], block, "0.95", **settings),
        schedule=Schedule(
            rounds=3, steps=1, segment_steps=1, batch=1, accumulate=1, workers=workers, sequence_tokens=8
        ),
        overlap=replace(PLAIN, shares=shares) if shares > 1 else PLAIN,
    )


def updates_of(spec: RunSpec, checkpoint: Checkpoint) -> dict[Worker, bytes]:
    """Every worker's bytes: those of a share are made for each, whole ones share three bodies."""
    random, bodies, updates = np.random.default_rng(0), dict[int, bytes](), {}
    for index in range(spec.schedule.workers):
        header = header_of(spec, checkpoint, index)
        kind = index if spec.overlap.shares > 1 else min(index, 1) + (index == 2)
        if kind not in bodies:
            size = share_of(spec, Round(0), Worker(index)).layout.parameters
            values = random.standard_normal(size, dtype=np.float32) * np.float32(4e-3 if index == 2 else 1e-3)
            bodies[kind] = encode(spec, header, values)[HEADER_SIZE:]
        size = share_of(spec, Round(0), Worker(index)).layout.parameters
        updates[Worker(index)] = header.to_bytes(spec.codec.name, size) + bodies[kind]
    return updates


def measured(row: str, parameters: int, workers: int, bandwidth: float) -> list[float]:
    spec = spec_of(row, parameters, workers)
    checkpoint = genesis(spec)
    updates = updates_of(spec, checkpoint)
    decoded = {worker: decode(spec, data) for worker, data in updates.items()}
    screened = screen(decoded, spec.norm_clip)
    both = [replace(spec, aggregate=make_aggregate(name)) for name in ("mean", "contributors")]
    whole = aggregate(spec, Round(0), decoded, screened)
    outers = [make_outer(name, "0.8", momentum="0.5") for name in ("nesterov", "sgd")]
    steps = [Step(outer, 0.8, 1, spec.layout) for outer in outers]
    after = advance(spec, checkpoint, updates)
    assert not after.rejected
    params, momentum = after.checkpoint.params, after.checkpoint.momentum
    times = [
        milliseconds(lambda: [decode(spec, data) for data in updates.values()]),
        milliseconds(lambda: screen({w: decode(spec, d) for w, d in updates.items()}, spec.norm_clip)),
        *(milliseconds(lambda rule=rule: aggregate(rule, Round(0), decoded, screened)) for rule in both),
        *(
            milliseconds(lambda step=step: outer_step(step, checkpoint.params, checkpoint.momentum, whole))
            for step in steps
        ),
        milliseconds(
            lambda: [blob_ref(stored(values)) for values in (after.checkpoint.params, after.checkpoint.momentum)]
        ),
        milliseconds(lambda: advance(spec, checkpoint, updates)),
    ]
    times[1] = max(0.0, times[1] - times[0])
    moved = sum(map(len, updates.values())) + 3 * (params.nbytes + momentum.nbytes)
    return [*times, spec.layout.parameters / times[-1] / 1e3, moved / 1e6, 100 * moved / bandwidth / (times[-1] / 1e3)]


def copied() -> float:
    """Bytes that a copy of 200 MB reads and writes in a second."""
    large = np.ones(50_000_000, dtype=np.float32)
    other = np.empty_like(large)
    return 2 * large.nbytes / (milliseconds(lambda: np.copyto(other, large)) / 1e3)


def main(parameters: int, workers: int, rows: list[str]) -> None:
    bandwidth = copied()
    print(f"{parameters} parameters, {workers} updates; a copy moves {bandwidth / 1e9:.1f} GB/s")
    print(f"{'':<11}" + "".join(f"{part:>9}" for part in PARTS))
    for row in rows:
        print(
            f"{row:<11}" + "".join(f"{number:>9.1f}" for number in measured(row, parameters, workers, bandwidth)),
            flush=True,
        )


if __name__ == "__main__":
    arguments = sys.argv[1:]
    numbers = [int(argument) for argument in arguments[:2]]
    main(*(numbers + [10_000_000, 8][len(numbers) :]), arguments[2:] or list(ROWS))
