"""Codecs of updates on one thread: time, size, error; next to plain memory traffic and to general-purpose packing.

    python benchmarks/bench_update.py [PARAMETERS]      default: 230000, the demo's model

Best of seven. Values are Gaussian; MB/s counts float32 input. `copy` is what a copy of the values takes in the same
run, and the column "x copy" divides by it, so that tables of different machines can be compared.
"""

from __future__ import annotations

import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from attestrain.record.layout import Init, TensorSpec
from attestrain.record.names import Worker
from attestrain.update.checkpoint import Checkpoint, advance, genesis
from attestrain.update.codec import decode, encode
from tests.vectors.make_update import CODECS, header_of, make_spec

BLOCK = 512
REPEATS = 7
TENSORS = 10
Result = TypeVar("Result")


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds of the fastest of ``REPEATS`` calls, and the result."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def row(name: str, values: np.ndarray, there: float, back: float, size: int, decoded: np.ndarray, copy: float) -> None:
    error = float(((decoded - values) ** 2).sum() / (values**2).sum())
    megabytes = values.nbytes / 1e6
    print(
        f"{name:<22}{there * 1e3:>10.2f}{back * 1e3:>10.2f}{megabytes / there:>10.0f}{megabytes / back:>10.0f}"
        f"{back / copy:>8.1f}{8 * size / values.size:>9.3f}{error:>10.4f}"
    )


def two_bit_raw(values: np.ndarray) -> tuple[bytes, float]:
    """Signs and magnitudes above the mean, packed: what a first attempt would do, one scale for everything."""
    scale = float(np.abs(values).mean()) * 0.62
    return np.packbits([values < 0, np.abs(values) >= 2 * scale]).tobytes(), scale


def two_bit_raw_back(data: bytes, scale: float, count: int) -> np.ndarray:
    negative, large = np.unpackbits(np.frombuffer(data, np.uint8), count=2 * count).reshape(2, count).view(np.bool_)
    return np.where(negative, -scale, scale) * np.where(large, 3, 1)


def advance_row(checkpoint: Checkpoint, codec: str, parameters: int, values: np.ndarray) -> None:
    spec = make_spec(codec, block=BLOCK, tensors=layout(parameters))
    updates = {Worker(i): encode(spec, header_of(spec, checkpoint, i), np.roll(values, i)) for i in range(3)}
    seconds, step = timed(lambda: advance(spec, checkpoint, updates))
    assert not step.rejected
    print(f"advance, 3 {codec} updates: {seconds * 1e3:.1f} ms, {seconds * 1e3 / 3:.2f} ms an update")


def layout(parameters: int) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(f"w{i}", (parameters // TENSORS,), Init("uniform", 81, -12)) for i in range(TENSORS))


def main(parameters: int) -> None:
    count = parameters // TENSORS * TENSORS
    values = (np.random.default_rng(0).standard_normal(count) * 1e-3).astype(np.float32)
    copy, _ = timed(values.copy)
    print(f"{count} parameters, blocks of {BLOCK}; copy of the values: {copy * 1e3:.3f} ms")
    columns = ("encode ms", "decode ms", "enc MB/s", "dec MB/s", "x copy", "bits", "rel. MSE")
    widths = (10, 10, 10, 10, 8, 9, 10)
    print(f"{'':<22}" + "".join(f"{column:>{width}}" for column, width in zip(columns, widths, strict=True)))
    for codec in CODECS:
        spec = make_spec(codec, block=BLOCK, tensors=layout(count))
        checkpoint = genesis(spec)
        header = header_of(spec, checkpoint, 0)
        there, data = timed(lambda spec=spec, header=header: encode(spec, header, values))
        back, decoded = timed(lambda spec=spec, data=data: decode(spec, data).values())
        row(codec, values, there, back, len(data), decoded, copy)
    there, (packed, scale) = timed(lambda: two_bit_raw(values))
    back, decoded = timed(lambda: two_bit_raw_back(packed, scale, count))
    row("raw 2-bit, one scale", values, there, back, len(packed), decoded, copy)
    there, squeezed = timed(lambda: zlib.compress(values.tobytes(), 1))
    back, plain = timed(lambda: zlib.decompress(squeezed))
    row("zlib -1 of float32", values, there, back, len(squeezed), np.frombuffer(plain, np.float32), copy)
    for codec in CODECS:
        spec = make_spec(codec, block=BLOCK, tensors=layout(count))
        advance_row(genesis(spec), codec, count, values)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 230_000)
