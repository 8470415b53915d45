from __future__ import annotations

import dataclasses

import numpy as np

from attestrain.record.digest import tagged
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.update.initial import initial_params
from tests.vectors.make_update import make_spec

MASK = (1 << 64) - 1


def philox_block(counter: int, key: int) -> list[int]:
    """Philox 4x64-10 from the paper, written out: the reference for what the library calls give."""
    c = [(counter >> 64 * i) & MASK for i in range(4)]
    k = [key & MASK, key >> 64]
    for _ in range(10):
        first, third = c[0] * 0xD2E7470EE14C6C93, c[2] * 0xCA5A826395121157
        c = [third >> 64 ^ c[1] ^ k[0], third & MASK, first >> 64 ^ c[3] ^ k[1], first & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return c


def reference_integers(seed: int, name: str, index: int, count: int) -> list[int]:
    tag = "attestrain.dev/initial@v1"
    digest = tagged(tag, seed.to_bytes(8, "big"), name.encode(), index.to_bytes(8, "big"))
    key, counter, found = int.from_bytes(digest[:16], "little"), 0, []
    while len(found) < count:
        counter += 1
        words = b"".join(word.to_bytes(8, "little") for word in philox_block(counter, key))
        found += [byte - 127 for byte in words if byte != 255]
    return found[:count]


def test_integers_are_those_of_the_written_out_generator() -> None:
    tensors = (TensorSpec("a", (2000,), Init("uniform", 1, 0)), TensorSpec("b", (33, 3), Init("uniform", 1, 0)))
    spec = make_spec(tensors=tensors)
    params = initial_params(spec)
    assert params[:2000].tolist() == reference_integers(spec.seed, "a", 0, 2000)
    assert params[2000:].tolist() == reference_integers(spec.seed, "b", 1, 99)


def test_every_integer_is_equally_likely() -> None:
    spec = make_spec(tensors=(TensorSpec("a", (255_000,), Init("uniform", 1, 0)),))
    counts = np.bincount(initial_params(spec).astype(np.int64) + 127)
    assert len(counts) == 255
    assert counts.min() > 1000 - 6 * 32  # six standard deviations
    assert counts.max() < 1000 + 6 * 32


def test_scales_are_exact_at_the_bounds() -> None:
    for mantissa, exponent in ((255, 60), (255, -60), (1, -60), (0, 0)):
        spec = make_spec(tensors=(TensorSpec("a", (100,), Init("uniform", mantissa, exponent)),))
        integers = reference_integers(spec.seed, "a", 0, 100)
        assert initial_params(spec).astype(np.float64).tolist() == [i * mantissa * 2.0**exponent for i in integers]


def test_kinds_names_and_seeds() -> None:
    tensors = tuple(TensorSpec(name, (50,), Init("uniform", 3, -2)) for name in "ab")
    spec = make_spec(tensors=(*tensors, TensorSpec("one", (3,), Init("ones")), TensorSpec("zero", (2,), Init("zeros"))))
    params = initial_params(spec)
    assert params[100:].tolist() == [1, 1, 1, 0, 0]
    assert not np.array_equal(params[:50], params[50:100])
    assert not np.array_equal(params, initial_params(dataclasses.replace(spec, seed=1)))
    swapped = dataclasses.replace(spec, layout=Layout(spec.layout.tensors[::-1]))
    assert not np.array_equal(initial_params(swapped)[-50:], params[:50])
