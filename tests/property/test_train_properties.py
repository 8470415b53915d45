from __future__ import annotations

import math
import struct

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.train.flat import FlatModel
from attestrain.train.layout import layout_of, scaled_uniform
from attestrain.train.llama import LlamaTask
from attestrain.train.schedule import bits_float, cosine_rates, float_bits
from attestrain.train.settings import SETTINGS, optimizer_sizes
from attestrain.train.state import changed_refs, genesis_state, state_from_blobs, state_refs, state_to_blobs
from tests.training import make_spec

SPEC = make_spec()


@given(st.floats(width=32, allow_nan=False))
def test_float_bits_round_trip(value: float) -> None:
    assert struct.pack(">f", bits_float(float_bits(value))) == struct.pack(">f", value)


@given(st.integers(1, 300), st.data())
def test_rates_lie_between_floor_and_peak(steps: int, data: st.DataObject) -> None:
    warmup = data.draw(st.integers(0, steps))
    text = cosine_rates(steps, peak="0.5", warmup=warmup, floor="0.25")
    rates = [bits_float(int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]
    assert len(rates) == steps
    assert all(0.125 <= rate <= 0.5 for rate in rates[warmup:])
    assert all(0 < rate <= 0.5 for rate in rates[:warmup])


@given(st.integers(1, 10**4), st.integers(1, 10**9))
def test_scaled_uniform_is_within_one_mantissa_step(numerator: int, denominator: int) -> None:
    if numerator > denominator:
        numerator, denominator = denominator, numerator
    init = scaled_uniform(numerator, denominator)
    exact = math.sqrt(numerator * 12 / (denominator * 65024)) * 2.0**-init.exponent
    assert 128 <= init.mantissa <= exact * (1 + 1e-12) < init.mantissa + 1 + 1e-9


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from(sorted(SPEC.state)), st.binary(min_size=1, max_size=8)))
def test_states_survive_bytes_and_shared_refs_are_right(changes: dict[str, bytes]) -> None:
    before = genesis_state(SPEC)
    blobs = state_to_blobs(before)
    blobs |= {name: data + blobs[name][len(data) :] for name, data in changes.items()}
    state = state_from_blobs(SPEC, blobs)
    assert state_to_blobs(state) == blobs
    mixed = {name: state[name] if name in changes else before[name] for name in before}
    assert changed_refs(mixed, before, state_refs(before)) == state_refs(state)


@settings(max_examples=30)
@given(st.integers(1, 9000), st.integers(0, 2**32 - 1))
def test_gradient_norm_is_the_euclidean_norm(size: int, seed: int) -> None:
    model = torch.nn.Linear(size, 1, bias=False)
    flat = FlatModel(model, layout_of(LlamaTask(), model))
    values = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    flat.grads.numpy()[:] = values
    assert math.isclose(flat.grad_norm(), float(np.linalg.norm(values.astype(np.float64))), rel_tol=1e-6)


shapes = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)
names = st.sampled_from(["a.weight", "norm.weight", "embed.weight", "lm_head.weight"])


@given(st.lists(st.tuples(names, shapes), min_size=1, max_size=12), st.sampled_from(sorted(SETTINGS)))
def test_every_parameter_has_its_place_in_the_optimizer(tensors: list[tuple[str, tuple[int, ...]]], inner: str) -> None:
    layout = Layout(tuple(TensorSpec(f"{i}.{name}", shape, Init("zeros")) for i, (name, shape) in enumerate(tensors)))
    sizes = optimizer_sizes(layout, inner)
    first_moments = sum(size for name, size in sizes.items() if name != "opt.v")
    assert first_moments == layout.parameters
