from __future__ import annotations

import numpy as np
import pytest
import torch

from attestrain.errors import UsageError
from attestrain.record.layout import Init
from attestrain.train.flat import FlatModel
from attestrain.train.layout import default_init, layout_of, scaled_uniform
from attestrain.train.llama import LlamaTask
from attestrain.update.initial import initial_params
from tests.training import TINY, make_spec


def test_names_are_those_of_hugging_face() -> None:
    names = [tensor.name for tensor in make_spec().layout.tensors]
    assert names[0] == "model.embed_tokens.weight"
    assert names[1:3] == ["model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight"]
    assert names[-2:] == ["model.norm.weight", "lm_head.weight"]


def test_tied_head_counts_once_and_decides_the_start() -> None:
    tensors = make_spec(config={**TINY, "tied": True}).layout.tensors
    assert "lm_head.weight" not in {tensor.name for tensor in tensors}
    assert tensors[0].init == default_init("lm_head.weight", (32, 16))
    assert make_spec().layout.tensors[0].init == default_init("model.embed_tokens.weight", (32, 16)) != tensors[0].init


@pytest.mark.parametrize(
    ("name", "shape", "kind"),
    [
        ("layers.0.input_layernorm.weight", (64,), "ones"),
        ("norm.bias", (64,), "zeros"),
        ("fc.bias", (64,), "zeros"),
        ("scale", (), "zeros"),
        ("fc.weight", (64, 3), "uniform"),
    ],
)
def test_kind_of_start_follows_name_and_shape(name: str, shape: tuple[int, ...], kind: str) -> None:
    assert default_init(name, shape).kind == kind


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 64), (1, 2500), (1, 1), (2, 3), (1, 12288)])
def test_scaled_uniform_has_the_variance_asked_for(numerator: int, denominator: int) -> None:
    init = scaled_uniform(numerator, denominator)
    assert 128 <= init.mantissa <= 255
    variance = np.var(np.arange(-127, 128)) * (init.mantissa * 2.0**init.exponent) ** 2
    assert 0.98 < variance * denominator / numerator <= 1


def test_initial_weights_have_their_spread() -> None:
    spec = make_spec(config={"vocab": 256, "context": 128})
    values = initial_params(spec)
    for tensor, start, end in spec.layout.offsets():
        if tensor.name.endswith(("o_proj.weight", "down_proj.weight")):
            assert (values[start:end] == 0).all()
        elif len(tensor.shape) == 2:
            expected = 1 if "embed" in tensor.name else tensor.shape[1] ** -0.5
            assert np.std(values[start:end]) == pytest.approx(expected, rel=0.05)
        else:
            assert (values[start:end] == 1).all()


def test_task_may_choose_its_own_start() -> None:
    class Zeroed(LlamaTask):
        def init(self, name: str, shape: tuple[int, ...]) -> Init | None:
            return Init("zeros") if name == "lm_head.weight" else None

    layout = layout_of(Zeroed(), Zeroed().build_model(TINY))
    assert layout.tensors[-1].init == Init("zeros")
    assert layout.tensors[0].init.kind == "uniform"


def test_models_that_are_not_float32_are_refused() -> None:
    with pytest.raises(UsageError, match="float64"):
        layout_of(LlamaTask(), torch.nn.Linear(2, 2, dtype=torch.float64))
    with pytest.raises(UsageError, match="no parameters"):
        layout_of(LlamaTask(), torch.nn.ReLU())


def test_flat_buffer_is_the_model() -> None:
    spec = make_spec()
    flat = FlatModel(LlamaTask().build_model(TINY), spec.layout)
    values = np.arange(spec.layout.parameters, dtype=np.float32)
    flat.load(values)
    seen = torch.cat([parameter.flatten() for parameter in flat.module.parameters()])
    assert (seen.detach().numpy() == values).all()
    copy = flat.params()
    flat.values.zero_()
    assert (copy == values).all()


def test_gradients_land_in_the_flat_buffer() -> None:
    model = torch.nn.Linear(3, 2)
    flat = FlatModel(model, layout_of(LlamaTask(), model))
    model(torch.ones(1, 3)).sum().backward()
    assert flat.grads.tolist() == [1.0] * 8
    assert flat.grad_norm() == pytest.approx(8**0.5)


def test_norm_of_a_large_gradient_does_not_depend_on_threads() -> None:
    model = torch.nn.Linear(3000, 1500)
    flat = FlatModel(model, layout_of(LlamaTask(), model))
    flat.grads.copy_(torch.from_numpy(np.random.default_rng(0).normal(size=len(flat.grads)).astype(np.float32)))
    threads = torch.get_num_threads()
    norms = set()
    for count in (1, 2):
        torch.set_num_threads(count)
        norms.add(flat.grad_norm())
    torch.set_num_threads(threads)
    assert len(norms) == 1
    assert norms.pop() == pytest.approx(float(np.linalg.norm(flat.grads.numpy().astype(np.float64))), rel=1e-6)


def test_another_model_than_the_layout_is_refused() -> None:
    with pytest.raises(UsageError, match="another model"):
        FlatModel(LlamaTask().build_model({**TINY, "hidden": 32}), make_spec().layout)


def test_state_outside_of_parameters_is_refused() -> None:
    model = torch.nn.BatchNorm1d(3)
    with pytest.raises(UsageError, match="running_mean"):
        FlatModel(model, layout_of(LlamaTask(), model))
