from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import Codec
from attestrain.update.factors import Factors
from attestrain.update.integer import Levels
from attestrain.update.lowrank import LowRank, memory_size, resize_memory
from attestrain.update.scales import Scales

ROOT = Path(__file__).parents[2]


def codec(rank: int, bits: str = "4", block: int = 64) -> Codec:
    return Codec("lowrank", block, "1", {"rank": str(rank), "bits": bits})


def layout(*shapes: tuple[int, ...]) -> Layout:
    return Layout(tuple(TensorSpec(f"t{i}", shape, Init("zeros")) for i, shape in enumerate(shapes)))


def decaying(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    """A matrix whose singular values fall like those of a pseudo-gradient: ever more slowly, and never to zero."""
    random = np.random.default_rng(seed)
    strengths = 1 / (1 + np.arange(min(rows, columns))) ** 0.7
    left = random.standard_normal((rows, len(strengths))) * strengths
    return (left @ random.standard_normal((len(strengths), columns)) / 1000).astype(np.float32)


def start(rank: int, columns: int) -> np.ndarray:
    """The signs that every matrix starts from, by the words of spec/update.md."""
    rows = []
    for component in range(rank):
        bits = ""
        for number in range(-(-columns // 256)):
            label = (
                b"attestrain.dev/lowrank-start@v1\n" + component.to_bytes(4, "little") + number.to_bytes(4, "little")
            )
            bits += f"{int.from_bytes(hashlib.sha256(label).digest(), 'big'):0256b}"
        rows.append([-1.0 if bit == "1" else 1.0 for bit in bits[:columns]])
    return np.array(rows)


def power_sgd(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PowerSGD's approximation by one iteration in float64, and its right factor."""
    left = np.linalg.qr(matrix.astype(np.float64) @ right.T)[0]
    following = left.T @ matrix
    return left @ following, following


def lost(matrix: np.ndarray, found: np.ndarray) -> float:
    """Square error as a share of the matrix's own square."""
    return float(np.sum((matrix - found.reshape(matrix.shape)) ** 2) / np.sum(matrix.astype(np.float64) ** 2))


def rounds(matrix: np.ndarray, how: Codec, count: int) -> list[LowRank]:
    shape = layout(matrix.shape)
    memory, bodies = np.zeros(memory_size(how, shape), dtype=np.float32), []
    for _ in range(count):
        bodies.append(LowRank.quantise(how, shape, matrix.reshape(-1), memory))
        memory = bodies[-1].memory()
    return bodies


@pytest.mark.parametrize(("bits", "tolerance"), [("8", 1e-4), ("4", 0.06)])
@pytest.mark.parametrize("shape", [(120, 200), (200, 120)])
def test_one_round_is_power_sgd(shape: tuple[int, int], bits: str, tolerance: float) -> None:
    matrix = decaying(*shape)
    expected, _ = power_sgd(matrix, start(12, shape[1]))
    found = rounds(matrix, codec(12, bits), 1)[0].values().reshape(shape)
    assert np.sum((found - expected) ** 2) < tolerance * np.sum(expected**2)
    assert abs(lost(matrix, found) - lost(matrix, expected)) < tolerance


def test_following_rounds_are_power_sgd_too() -> None:
    matrix = decaying(120, 200)
    right = start(12, 200)
    for body in rounds(matrix, codec(12, "8"), 3):
        expected, right = power_sgd(matrix, right)
        assert lost(matrix, body.values()) == pytest.approx(lost(matrix, expected), abs=3e-3)


@pytest.mark.parametrize(("bits", "extra"), [("8", 0.005), ("4", 0.05)])
def test_warm_start_turns_the_factors_to_the_largest_singular_vectors(bits: str, extra: float) -> None:
    matrix = decaying(120, 200)
    singular = np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2
    best = float(np.sum(singular[12:]) / np.sum(singular))
    errors = [lost(matrix, body.values()) for body in rounds(matrix, codec(12, bits), 6)]
    assert errors[0] > best + 0.1
    assert errors[1] < errors[0] - 0.05
    assert errors[5] < best + extra


def test_spectrum_approaches_the_squares_of_the_singular_values() -> None:
    matrix = decaying(120, 200)
    singular = np.linalg.svd(matrix.astype(np.float64), compute_uv=False) ** 2
    body = rounds(matrix, codec(12, "8"), 8)[-1]
    found = [float(value) for value in body.spectrum()]
    assert found == sorted(found, reverse=True)
    assert found[:6] == pytest.approx(singular[:6], rel=0.03)
    assert sum(found) == pytest.approx(np.sum(singular[:12]), rel=0.01)


def test_error_feedback_sends_everything_in_the_end() -> None:
    """What is decoded over the rounds adds up to what was to be sent, less a feedback that stays bounded."""
    matrix = decaying(40, 60)
    how, shape = codec(4), layout((40, 60))
    memory, feedback, total = np.zeros(memory_size(how, shape), dtype=np.float32), np.zeros(2400, np.float32), 0
    for _ in range(40):
        wanted = feedback + matrix.reshape(-1)
        body = LowRank.quantise(how, shape, wanted, memory)
        memory, feedback, total = body.memory(), wanted - body.values(), total + body.values().astype(np.float64)
    assert lost(matrix, total / 40) < 0.02


def test_values_are_the_exact_sum_of_products_rounded_once() -> None:
    matrix = decaying(30, 50)
    for bits in "48":
        factors = rounds(matrix, codec(5, bits, 16), 1)[0].factors[0]
        left, right = factors.left.values().reshape(5, 30), factors.right.values().reshape(5, 50)
        found = rounds(matrix, codec(5, bits, 16), 1)[0].values().reshape(30, 50)
        for row, column in [(0, 0), (7, 33), (29, 49)]:
            products = [
                Fraction(float(a)) * Fraction(float(b)) for a, b in zip(left[:, row], right[:, column], strict=True)
            ]
            assert found[row, column] == np.float32(float(sum(products)))


def test_parts_keep_their_places() -> None:
    shapes = ((6,), (5, 2, 4), (3, 9), (9, 3), (7, 7))
    how, shape = codec(3, "8"), layout(*shapes)
    values = np.concatenate([np.full(int(np.prod(one)), i + 1, dtype=np.float32) for i, one in enumerate(shapes)])
    body = LowRank.quantise(how, shape, values, np.zeros(memory_size(how, shape), dtype=np.float32))
    assert [(factors.shape.rows, factors.shape.columns) for factors in body.factors] == [(5, 8), (7, 7)]
    assert body.values() == pytest.approx(values, rel=0.02)
    assert memory_size(how, shape) == 3 * (8 + 7) == len(body.memory())


def test_matrix_of_lower_rank_needs_fewer_components_and_the_rest_is_zero() -> None:
    matrix = np.outer(np.arange(1, 21), np.linspace(-1, 1, 30)).astype(np.float32)
    body = rounds(matrix, codec(4, "8"), 1)[0]
    assert [value > 0 for value in body.spectrum()] == [True, False, False, False]
    assert lost(matrix, body.values()) < 2e-4
    assert body.memory().reshape(4, 30).any(axis=1).tolist() == [True, False, False, False]


@pytest.mark.parametrize("scale", [0.0, 2.0**-140, 2.0**-100])
def test_zeros_and_matrices_too_small_are_zeros(scale: float) -> None:
    matrix = (decaying(20, 30) * scale).astype(np.float32)
    body = rounds(matrix, codec(4), 1)[0]
    assert not any(body.to_bytes())
    assert not np.any(body.values())
    assert body.norm_squared() == 0


def test_matrix_too_large_is_sent_in_its_direction() -> None:
    matrix = decaying(20, 30)
    plain = rounds(matrix, codec(4), 1)[0].values()
    huge = rounds((matrix * np.float32(2.0**110)).astype(np.float32), codec(4), 1)[0]
    assert np.max(np.abs(huge.values())) < 2.0**62
    ratio = huge.values()[plain != 0] / plain[plain != 0]
    assert np.all(ratio == ratio[0])
    assert LowRank.from_bytes(codec(4), layout((20, 30)), memoryview(huge.to_bytes())).to_bytes() == huge.to_bytes()


def test_no_memory_is_memory_of_zeros_and_another_size_is_refused() -> None:
    values, shape = decaying(20, 30).reshape(-1), layout((20, 30))
    zeros = np.zeros(memory_size(codec(4), shape), dtype=np.float32)
    plain = LowRank.quantise(codec(4), shape, values)
    assert plain.to_bytes() == LowRank.quantise(codec(4), shape, values, zeros).to_bytes()
    with pytest.raises(ValueError, match="expected 120 values"):
        LowRank.quantise(codec(4), shape, values, zeros[:-1])


def test_norm_is_the_sum_of_squares() -> None:
    how, shape = codec(4), layout((7,), (20, 30), (3, 3))
    values = np.concatenate([np.arange(7), decaying(20, 30).reshape(-1), np.ones(9)]).astype(np.float32)
    body = LowRank.quantise(how, shape, values)
    exact = float(np.sum(body.values().astype(np.float64) ** 2))
    assert float(body.norm_squared()) == pytest.approx(exact, rel=1e-6)
    alone = LowRank.quantise(how, layout((7,), (3, 3)), np.concatenate([values[:7], values[-9:]]))
    assert alone.norm_squared() == sum(Fraction(float(value)) ** 2 for value in alone.values())


def test_memory_that_is_not_finite_counts_as_none() -> None:
    matrix = decaying(20, 30)
    shape, good = layout((20, 30)), np.zeros(4 * 30, dtype=np.float32)
    bad = good.copy()
    bad[5], bad[40], bad[70:80] = np.nan, np.inf, -np.inf
    bodies = [LowRank.quantise(codec(4), shape, matrix.reshape(-1), memory) for memory in (good, bad)]
    assert bodies[0].to_bytes() == bodies[1].to_bytes()


def test_memory_of_another_rank_keeps_the_leading_components() -> None:
    shape = layout((6, 5), (3,), (9, 8))
    before, after, more = codec(4), codec(2), codec(5)
    memory = np.arange(1, 4 * 5 + 4 * 8 + 1, dtype=np.float32)
    fewer = resize_memory(memory, shape, before, after)
    assert fewer.tolist() == [*range(1, 11), *range(21, 37)]
    assert len(fewer) == memory_size(after, shape)
    assert resize_memory(memory, shape, before, more).tolist() == [*range(21, 53), *([0] * 8)]
    assert resize_memory(fewer, shape, codec(7), before).tolist()[:20] == [0] * 20


def test_size() -> None:
    """Rank (rows + columns) levels, scales of two bytes for every block, and int8 for the vector."""
    how, shape = codec(8, "4", 64), layout((100, 130), (10,))
    body = LowRank.quantise(how, shape, np.ones(13_010, np.float32), np.zeros(memory_size(how, shape), np.float32))
    assert len(body.to_bytes()) == 8 * (100 + 130) // 2 + 2 * 8 * (2 + 3) + 2 + 10


def test_a_small_body_of_a_large_layout_is_refused_at_once() -> None:
    how, shape = codec(16, block=1 << 16), layout((1 << 20, 1 << 20), (1 << 20,))
    tracemalloc.start()
    with pytest.raises(FormatError, match="early"):
        LowRank.from_bytes(how, shape, memoryview(b"\0" * 1000))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def _levels(factor: Levels, change: Callable[[np.ndarray], None]) -> Levels:
    levels = factor.levels.reshape(4, -1).copy()
    change(levels)
    return dataclasses.replace(factor, levels=levels.reshape(-1))


def _scales(factor: Levels, mantissas: int, exponents: int, component: int | slice = slice(None)) -> Levels:
    """Add to mantissas and exponents of all scales of a component."""
    new = [factor.scales.mantissas.reshape(4, -1).copy(), factor.scales.exponents.reshape(4, -1).copy()]
    new[0][component] += np.uint8(mantissas)
    new[1][component] += exponents
    return dataclasses.replace(factor, scales=Scales(new[0].reshape(-1), new[1].reshape(-1)))


def _zero(factor: Levels, component: int) -> Levels:
    kept = np.arange(4)[:, np.newaxis] != component
    scales = Scales(
        (factor.scales.mantissas.reshape(4, -1) * kept).reshape(-1),
        (factor.scales.exponents.reshape(4, -1) * kept).reshape(-1),
    )
    return dataclasses.replace(factor, levels=(factor.levels.reshape(4, -1) * kept).reshape(-1), scales=scales)


def _negated(levels: np.ndarray) -> None:
    levels[2] *= -1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: dataclasses.replace(f, left=_levels(f.left, _negated)), "begins with a negative"),
        (lambda f: dataclasses.replace(f, left=_scales(f.left, 1, 0)), "another size"),
        (lambda f: dataclasses.replace(f, left=_scales(f.left, 0, 1, 3)), "another size"),
        (lambda f: dataclasses.replace(f, left=_scales(f.left, 0, -1, 3)), "another size"),
        (lambda f: dataclasses.replace(f, right=_scales(f.right, 0, 100)), "out of range"),
        (lambda f: dataclasses.replace(f, right=_scales(f.right, 0, -80)), "out of range"),
        (lambda f: dataclasses.replace(f, right=_scales(f.right, 0, -20, 3)), "too far below"),
        (lambda f: dataclasses.replace(f, right=_scales(f.right, 0, 3, 3)), "descending"),
        (lambda f: dataclasses.replace(f, left=_zero(f.left, 3)), "one factor is zero"),
        (lambda f: dataclasses.replace(f, right=_zero(f.right, 3)), "one factor is zero"),
        (lambda f: dataclasses.replace(f, left=_zero(f.left, 0), right=_zero(f.right, 0)), "descending"),
    ],
)
def test_factors_that_are_not_canonical_are_refused(change: Callable[[Factors], Factors], reason: str) -> None:
    body = rounds(decaying(20, 30), codec(4), 3)[-1]
    assert min(body.spectrum()) > 0
    changed = LowRank(body.parts, (change(body.factors[0]),), None).to_bytes()
    with pytest.raises(FormatError, match=reason):
        LowRank.from_bytes(codec(4), layout((20, 30)), memoryview(changed))


def test_left_scale_far_below_is_refused() -> None:
    """A block of the left factor whose scale is 2^7 below the largest one of its vector."""
    matrix = np.ones((20, 30), dtype=np.float32)
    matrix[10:] = 2.0**-6
    factors = rounds(matrix, codec(1, block=10), 1)[0].factors[0]
    assert factors.left.scales.exponents.tolist() == [-9, -15]
    exponents = np.array([-9, -16], dtype=np.int64)
    left = dataclasses.replace(factors.left, scales=Scales(factors.left.scales.mantissas, exponents))
    with pytest.raises(FormatError, match="too far below"):
        LowRank.from_bytes(codec(1, block=10), layout((20, 30)), memoryview(left.to_bytes() + factors.right.to_bytes()))
    matrix[10:] = 2.0**-7
    assert not rounds(matrix, codec(1, block=10), 1)[0].values().reshape(20, 30)[10:].any()


def digests() -> list[str]:
    """Updates of some rounds of matrices large enough for every kernel of a BLAS."""
    found = []
    for bits, rank in (("4", 24), ("8", 96)):
        for body in rounds(decaying(211, 307), codec(rank, bits), 3):
            found.append(hashlib.sha256(body.to_bytes() + body.values().tobytes()).hexdigest())
    return found


CHILD = "from tests.unit.test_update_lowrank import digests\nprint('\\n'.join(digests()))"


@pytest.mark.parametrize(
    "changes",
    [
        {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Prescott"},
        {"OPENBLAS_NUM_THREADS": "4", "OPENBLAS_CORETYPE": "Haswell"},
        {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX AVX2 FMA3"},
    ],
    ids=["one thread, old kernels", "four threads, newer kernels", "fewer vector instructions"],
)
def test_same_updates_under_other_kernels(changes: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "NPY"))}
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(command, cwd=ROOT, env=environment | changes, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == digests()
