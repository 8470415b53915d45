"""The field of the erasure code, GF(2^8), and the Cauchy code over it, without the codec's library.

Slow beside the codec and enough to judge one stripe: a fraud proof must be checkable with numpy alone. Polynomial
x^8 + x^4 + x^3 + x^2 + 1 (0x11d) and parity rows 1 / ((k + i) xor j) are those of Intel's isa-l, gf_gen_cauchy1_matrix;
the tests hold every row against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x11D
Bytes = NDArray[np.uint8]
Row = list[int]


def _tables() -> tuple[list[int], list[int]]:
    """Powers of the generator 2, twice over so that sums of logarithms need no reduction, and logarithms."""
    powers, logarithms, value = [], [0] * 256, 1
    for exponent in range(255):
        powers.append(value)
        logarithms[value] = exponent
        value = value << 1 ^ (POLYNOMIAL if value & 0x80 else 0)
    return powers * 2, logarithms


_POWERS, _LOGARITHMS = _tables()


def multiply(a: int, b: int) -> int:
    """Product in the field."""
    return _POWERS[_LOGARITHMS[a] + _LOGARITHMS[b]] if a and b else 0


def invert(a: int) -> int:
    """The inverse of ``a``, which is not 0."""
    if a == 0:
        raise ZeroDivisionError("0 has no inverse")
    return _POWERS[255 - _LOGARITHMS[a]]


@lru_cache(maxsize=256)
def _times(factor: int) -> Bytes:
    """All products of ``factor``, to look bytes up in."""
    return np.array([multiply(factor, value) for value in range(256)], np.uint8)


def code_row(data: int, shard: int) -> Row:
    """How a shard's bytes follow from the ``data`` data shards': one coefficient for each."""
    if shard < data:
        return [int(column == shard) for column in range(data)]
    return [invert(shard ^ column) for column in range(data)]


def weights(data: int, known: Sequence[int], wanted: int) -> Row:
    """Coefficients with which the ``known`` shards, ``data`` of them, all different, add up to the ``wanted`` one.

    Solves x M = w, where M has the known shards' rows and w is the wanted one's: Gauss-Jordan on the transpose. Any
    ``data`` rows of a Cauchy code are independent, so there is a solution.
    """
    rows = [code_row(data, shard) for shard in known]
    target = code_row(data, wanted)
    system = [[rows[column][line] for column in range(data)] + [target[line]] for line in range(data)]
    for pivot in range(data):
        swap = next(line for line in range(pivot, data) if system[line][pivot])
        system[pivot], system[swap] = system[swap], system[pivot]
        scale = invert(system[pivot][pivot])
        system[pivot] = [multiply(scale, value) for value in system[pivot]]
        for line in range(data):
            if line != pivot and (factor := system[line][pivot]):
                pairs = zip(system[line], system[pivot], strict=True)
                system[line] = [value ^ multiply(factor, other) for value, other in pairs]
    return [line[data] for line in system]


def recompute(data: int, known: Mapping[int, bytes], wanted: int, width: int) -> bytes:
    """A stripe's cell in shard ``wanted`` from ``data`` others, each filled up with zeros to ``width`` bytes."""
    total = np.zeros(width, np.uint8)
    for factor, cell in zip(weights(data, list(known), wanted), known.values(), strict=True):
        total[: len(cell)] ^= _times(factor)[np.frombuffer(cell, np.uint8)]
    return total.tobytes()
