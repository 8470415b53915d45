"""The power iteration of the low-rank codec by the words of spec/update.md: plain integers, fractions and floats."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np

WIDTH = {"4": (7, -15, 16), "8": (127, -19, 8)}
"""By ``bits``: L, the smallest exponent of a left scale, and how far a right scale may lie below the largest."""

Vector = list[Fraction]
Coded = tuple[list[int], list[tuple[int, int]]]
"""Levels of a vector, and mantissa and exponent of each of its blocks."""


def power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def above(values: Vector) -> int:
    """Exponent of the smallest power of two above all magnitudes; 0 for zeros."""
    largest = max(map(abs, values))
    exponent = 0
    while largest and largest >= power(exponent):
        exponent += 1
    while largest and largest < power(exponent - 1):
        exponent -= 1
    return exponent


def brought(values: Vector, bits: int) -> list[int]:
    return [round(value * power(bits - above(values))) for value in values]


def dot(a: list[int], b: list[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def signs(component: int, count: int) -> Vector:
    bits = ""
    for number in range(-(-count // 256)):
        counters = component.to_bytes(4, "little") + number.to_bytes(4, "little")
        digest = hashlib.sha256(b"attestrain.dev/lowrank-start@v1\n" + counters).digest()
        bits += "".join(f"{byte:08b}" for byte in digest)
    return [Fraction(-1 if bit == "1" else 1) for bit in bits[:count]]


def orthogonalised(y: list[list[int]]) -> list[list[float]]:
    size = len(y)
    g = [[float(dot(a, b)) for b in y] for a in y]
    c = [[float(i == k) for k in range(size)] for i in range(size)]
    least = [g[j][j] * 2.0**-20 for j in range(size)]
    for j in range(size):
        if not (g[j][j] > least[j] and max(map(abs, c[j])) <= 2.0**12):
            c[j] = [0.0] * size
            continue
        for i in range(j + 1, size):
            s = g[i][j] / g[j][j]
            for k in range(j + 1, size):
                g[i][k] -= s * g[j][k]
            for k in range(j + 1):
                c[i][k] -= s * c[j][k]
    return c


def coded(values: list[float], level: int, block: int) -> Coded:
    """Float32 ``values`` as `int4` or `int8` codes them."""
    levels, scales = [], []
    for at in range(0, len(values), block):
        part = values[at : at + block]
        exact = max(abs(Fraction(value)) for value in part) / level
        exponent = above([exact]) - 7
        mantissa = int(exact / power(exponent))
        if not mantissa or exponent < -120:
            scales.append((0, 0))
            levels += [0] * len(part)
            continue
        scales.append((mantissa, exponent))
        scale = np.float32(math.ldexp(mantissa, exponent))
        steps = [round(float(np.float32(value) / scale)) for value in part]
        levels += [max(-level, min(level, step)) for step in steps]
    return levels, scales


def limited(vector: Coded, lowest: int, block: int) -> Coded:
    levels, scales = vector
    kept = [mantissa > 0 and exponent >= lowest for mantissa, exponent in scales]
    return (
        [level * kept[i // block] for i, level in enumerate(levels)],
        [scale if keep else (0, 0) for scale, keep in zip(scales, kept, strict=True)],
    )


def decoded(vector: Coded, block: int) -> Vector:
    levels, scales = vector
    return [level * scales[i // block][0] * power(scales[i // block][1]) for i, level in enumerate(levels)]


def norm(values: Vector) -> Fraction:
    return sum((value * value for value in values), start=Fraction(0))


def left_vector(w: list[int], bits: str, block: int) -> Coded:
    level, lowest, _ = WIDTH[bits]
    largest = max(map(abs, w)) or 1
    scaled = [float(np.float32(float(value) / float(largest) * (level / (level + 1)))) for value in w]
    levels, scales = limited(coded(scaled, level, block), lowest, block)
    first = next((one for one in levels if one), 1)
    return [one if first > 0 else -one for one in levels], scales


def components(matrix: np.ndarray, memory: np.ndarray, bits: str, block: int) -> list[tuple[Coded, Coded]]:
    """Left and right vector of each component, in order."""
    rows, columns = matrix.shape
    level, _, window = WIDTH[bits]
    exponent = above([Fraction(float(value)) for value in matrix.reshape(-1)])
    a = [[round(Fraction(float(value)) * power(20 - exponent)) for value in row] for row in matrix]
    starts = [[Fraction(float(value)) for value in row] for row in memory]
    q = [brought(start if any(start) else signs(j, columns), 12) for j, start in enumerate(starts)]
    y = [brought([Fraction(dot(row, one)) for row in a], 16) for one in q]
    c = [brought([Fraction(value) for value in row], 24) for row in orthogonalised(y)]
    w = [[sum(row[k] * y[k][i] for k in range(len(y))) for i in range(rows)] for row in c]
    lefts = [left_vector(one, bits, block) for one in w]
    rights = []
    for left in lefts:
        p = [round(value * 4096) for value in decoded(left, block)]
        shares = [float(dot(p, [row[k] for row in a])) / float(dot(p, p) or 1) for k in range(columns)]
        scale = math.ldexp(1.0, 12 + min(exponent, 60) - 20)
        rights.append(coded([float(np.float32(share * scale)) for share in shares], level, block))
    exponents = [scale[1] for _, scales in rights for scale in scales if scale[0]]
    top = max(exponents, default=-120)
    pairs = list(zip(lefts, [limited(right, top - window, block) for right in rights], strict=True))
    return ordered(pairs, block, top)


def ordered(pairs: list[tuple[Coded, Coded]], block: int, top: int) -> list[tuple[Coded, Coded]]:
    spectrum = [norm(decoded(left, block)) * norm(decoded(right, block)) for left, right in pairs]
    order = sorted(range(len(pairs)), key=lambda j: -spectrum[j])
    return [pairs[j] if spectrum[j] and top >= -90 else (zeros(pairs[j][0]), zeros(pairs[j][1])) for j in order]


def zeros(vector: Coded) -> Coded:
    return [0] * len(vector[0]), [(0, 0)] * len(vector[1])
