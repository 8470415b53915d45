"""Rotary position tables that are the same on every machine.

A C library's cosine differs from another's in the last bit, so none is asked. The angle of each frequency is computed
in software decimals (correctly rounded by definition), doubled there, and the rows are combined in float64 with
multiplications and additions alone, which IEEE 754 fixes.
"""

from __future__ import annotations

import functools
from decimal import Context, Decimal, localcontext

import numpy as np
import numpy.typing as npt

PRECISION = 60
"""Decimal digits: a doubling at most quadruples the error, so the 20 of the longest context lose thirteen of them."""
_TERMS = 30
"""Taylor terms for angles up to 1: 1/60! is below 10^-80."""


@functools.cache
def rotary_tables(context: int, width: int, theta: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosine and sine of position x theta^(-2i/width), each float32 of shape (context, width/2).

    Every value is rounded to float32 once, from a float64 within a few units of its last place.
    """
    bits = max(1, (context - 1).bit_length())
    with localcontext(Context(prec=PRECISION)):
        rotations = [_doublings(_frequency(i, width, theta), bits) for i in range(width // 2)]
    step = np.array([[[float(value) for value in pair] for pair in row] for row in rotations], np.float64)
    cos, sin = np.ones((1, width // 2)), np.zeros((1, width // 2))
    for bit in range(bits):
        c, s = step[:, bit, 0], step[:, bit, 1]
        cos, sin = np.concatenate([cos, cos * c - sin * s]), np.concatenate([sin, sin * c + cos * s])
    return cos[:context].astype(np.float32), sin[:context].astype(np.float32)


def _frequency(i: int, width: int, theta: int) -> Decimal:
    """theta^(-2i/width)."""
    return (Decimal(theta).ln() * Decimal(-2 * i) / Decimal(width)).exp()


def _doublings(angle: Decimal, count: int) -> list[tuple[Decimal, Decimal]]:
    """Cosine and sine of angle x 2^k for k below ``count``. The angle is at most 1."""
    cos, sin = _taylor(angle, 0), _taylor(angle, 1)
    pairs = []
    for _ in range(count):
        pairs.append((cos, sin))
        cos, sin = cos * cos - sin * sin, 2 * cos * sin
    return pairs


def _taylor(angle: Decimal, first: int) -> Decimal:
    """Cosine (``first`` 0) or sine (1) by its power series."""
    term = angle if first else Decimal(1)
    total = term
    for n in range(1, _TERMS):
        k = 2 * n + first
        term = -term * angle * angle / (k * (k - 1))
        total += term
    return total
