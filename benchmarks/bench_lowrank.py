"""Low-rank codec on one thread: time, size and error by rank, over the matrices of a model.

    python benchmarks/bench_lowrank.py [WIDTH]      default: 320, 14.1 million parameters

Matrices have singular values that fall as 1 / k^0.7, and the fourth round of one matrix is measured. `best` is the
error of the best approximation of that rank, `x fp32` what AllReduce of float32 in every step sends over 125 steps
against one update. Processor seconds, fastest of three.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import Codec
from attestrain.update.lowrank import LowRank, memory_size

STEPS = 125
BLOCK = 512
LAYERS = 7
VOCABULARY = 4096
Result = TypeVar("Result")


def timed(call: Callable[[], Result], repeats: int = 3) -> tuple[float, Result]:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        best = min(best, time.process_time() - start)
    return best, result


def model(width: int) -> Layout:
    """A Llama: embedding and head, and per layer four square matrices, three of the MLP and two norms."""
    layer = [(width, width)] * 4 + [(4 * width, width)] * 2 + [(width, 4 * width)] + [(width,)] * 2
    shapes = [(VOCABULARY, width), *(layer * LAYERS), (width,), (VOCABULARY, width)]
    return Layout(tuple(TensorSpec(f"t{i}", shape, Init("zeros")) for i, shape in enumerate(shapes)))


def drawn(shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    if len(shape) == 1:
        return random.standard_normal(shape)
    strengths = 1 / (1 + np.arange(min(shape))) ** 0.7
    return (random.standard_normal((shape[0], len(strengths))) * strengths) @ random.standard_normal(
        (len(strengths), shape[1])
    )


def best_error(layout: Layout, values: np.ndarray, rank: int) -> float:
    lost = 0.0
    for tensor, at, end in layout.offsets():
        if len(tensor.shape) == 2:
            lost += float((np.linalg.svd(values[at:end].reshape(tensor.shape), compute_uv=False)[rank:] ** 2).sum())
    return lost / float((values.astype(np.float64) ** 2).sum())


def measure(layout: Layout, values: np.ndarray, rank: int, bits: str) -> None:
    codec = Codec("lowrank", BLOCK, "1", {"rank": str(rank), "bits": bits})
    memory = np.zeros(memory_size(codec, layout), dtype=np.float32)
    for _ in range(3):
        memory = LowRank.quantise(codec, layout, values, memory).memory()
    there, update = timed(lambda: LowRank.quantise(codec, layout, values, memory))
    data = update.to_bytes()
    read, update = timed(lambda: LowRank.from_bytes(codec, layout, memoryview(data)))
    back, decoded = timed(update.values)
    norm, _ = timed(update.norm_squared)
    per_value = 8 * len(data) / len(values)
    error = float(((decoded - values) ** 2).sum() / (values**2).sum())
    print(
        f"{rank:>5}{bits:>5}{there:>10.3f}{read:>10.3f}{back:>10.3f}{norm:>10.3f}{per_value:>9.3f}"
        f"{32 * STEPS / per_value:>9.0f}{error:>9.4f}{best_error(layout, values, rank):>9.4f}"
    )


def main(width: int) -> None:
    layout, random = model(width), np.random.default_rng(0)
    values = np.concatenate([drawn(tensor.shape, random).reshape(-1) for tensor in layout.tensors]).astype(np.float32)
    print(f"{len(values)} parameters; seconds")
    titles = ("encode", "read", "values", "norm")
    print(f"{'rank':>5}{'bits':>5}" + "".join(f"{title:>10}" for title in titles), end="")
    print(f"{'bits/v':>9}{'x fp32':>9}{'error':>9}{'best':>9}")
    for rank in (width // 32, width // 8, width // 4):
        for bits in ("4", "8"):
            measure(layout, values, rank, bits)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 320)
