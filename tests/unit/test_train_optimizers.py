from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from attestrain.errors import UsageError
from attestrain.record.spec import Inner
from attestrain.train.flat import FlatModel
from attestrain.train.layout import layout_of
from attestrain.train.llama import LlamaTask
from attestrain.train.muon import orthogonalize
from attestrain.train.optimizers import make_optimizer
from attestrain.train.settings import inner_settings, muon_tensors, optimizer_sizes, state_sizes
from attestrain.update.initial import initial_params
from tests.algorithms import PLAIN, make_codec
from tests.training import TINY, make_spec

CONFIG = {**TINY, "layers": 2}
STEPS = 4


def trained(name: str, **settings: str) -> tuple[FlatModel, list[torch.Tensor]]:
    """A model after some optimizer steps on made-up gradients, and those gradients."""
    spec = make_spec(name, config=CONFIG)
    flat = FlatModel(LlamaTask().build_model(CONFIG), spec.layout)
    flat.load(initial_params(spec))
    optimizer = make_optimizer(Inner(name, inner_settings(name, settings), ""), flat)
    rng = np.random.default_rng(0)
    grads = [torch.from_numpy(rng.normal(size=len(flat.grads)).astype(np.float32)) for _ in range(STEPS)]
    for index, grad in enumerate(grads, 1):
        flat.grads.copy_(grad)
        optimizer.step(0.01 / index, index)
    return flat, grads


def oracle() -> tuple[dict[str, torch.nn.Parameter], FlatModel]:
    spec = make_spec(config=CONFIG)
    flat = FlatModel(LlamaTask().build_model(CONFIG), spec.layout)
    flat.load(initial_params(spec))
    return {name: torch.nn.Parameter(p.detach().clone()) for name, p in flat.module.named_parameters()}, flat


def set_grads(parameters: dict[str, torch.nn.Parameter], flat: FlatModel, grad: torch.Tensor) -> None:
    for tensor, start, end in flat.layout.offsets():
        parameters[tensor.name].grad = grad[start:end].view(tensor.shape).clone()


def assert_close(flat: FlatModel, parameters: dict[str, torch.nn.Parameter], tolerance: float) -> None:
    for name, parameter in flat.module.named_parameters():
        torch.testing.assert_close(parameter.data, parameters[name].data, rtol=0, atol=tolerance, msg=name)


def test_adamw_is_torch_adamw() -> None:
    flat, grads = trained("adamw")
    parameters, shape = oracle()
    groups = [
        {"params": [p for p in parameters.values() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in parameters.values() if p.ndim == 1], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    for index, grad in enumerate(grads, 1):
        set_grads(parameters, shape, grad)
        for group in reference.param_groups:
            group["lr"] = 0.01 / index
        reference.step()
    assert_close(flat, parameters, 1e-6)


def test_sgd_is_torch_sgd() -> None:
    flat, grads = trained("sgd", weight_decay="0")
    parameters, shape = oracle()
    reference = torch.optim.SGD(parameters.values(), momentum=0.9)
    for index, grad in enumerate(grads, 1):
        set_grads(parameters, shape, grad)
        reference.param_groups[0]["lr"] = 0.01 / index
        reference.step()
    assert_close(flat, parameters, 1e-6)


def reference_newton_schulz(gradient: torch.Tensor) -> torch.Tensor:
    """As published, one matrix at a time."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient / (gradient.norm() + 1e-7)
    if transposed := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if transposed else x


def test_muon_is_the_published_algorithm() -> None:
    flat, grads = trained("muon", adam_ratio="0.5")
    parameters, shape = oracle()
    matrices = {tensor.name for tensor in muon_tensors(shape.layout)}
    others = [p for name, p in parameters.items() if name not in matrices]
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in others if p.ndim == 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)
    momentum = {name: torch.zeros_like(parameters[name]) for name in matrices}
    for index, grad in enumerate(grads, 1):
        set_grads(parameters, shape, grad)
        for group in adamw.param_groups:
            group["lr"] = 0.5 * 0.01 / index
        adamw.step()
        for name in matrices:
            p, g = parameters[name].data, parameters[name].grad
            assert g is not None
            momentum[name] = 0.95 * momentum[name] + 0.05 * g
            update = reference_newton_schulz(0.05 * g + 0.95 * momentum[name])
            p.mul_(1 - 0.01 / index * 0.1)
            p.sub_(update, alpha=0.01 / index * math.sqrt(max(1, p.shape[0] / p.shape[1])))
    assert_close(flat, parameters, 1e-5)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 5, 12), (2, 12, 5)])
def test_orthogonalized_matrices_have_singular_values_near_one(shape: tuple[int, int, int]) -> None:
    batch = torch.from_numpy(np.random.default_rng(1).normal(size=shape).astype(np.float32))
    values = torch.linalg.svdvals(orthogonalize(batch))
    # The coefficients trade exactness for speed: published range is about 0.7 to 1.2, small singular values lag.
    assert values.min() > 0.3
    assert values.max() < 1.3
    assert orthogonalize(torch.zeros(shape)).abs().max() == 0


def test_muon_leaves_embeddings_head_and_vectors_to_adamw() -> None:
    layout = make_spec().layout
    names = {tensor.name for tensor in muon_tensors(layout)}
    assert len(names) == 7
    assert all("proj" in name for name in names)
    sizes = optimizer_sizes(layout, "muon")
    assert sizes["opt.momentum"] + sizes["opt.m"] == layout.parameters


def test_muon_without_matrices_is_adamw() -> None:
    model = torch.nn.LayerNorm(4)
    layout = layout_of(LlamaTask(), model)
    assert state_sizes(layout, "muon", make_codec("dense"), PLAIN) == {
        "params": 32,
        "cursor": 8,
        "opt.momentum": 0,
        "opt.m": 32,
        "opt.v": 32,
    }
    results = []
    for name, rate in (("muon", 0.1), ("adamw", 0.015)):
        flat = FlatModel(torch.nn.LayerNorm(4), layout)
        flat.grads.fill_(1.0)
        make_optimizer(Inner(name, inner_settings(name, {}), ""), flat).step(rate, 1)
        results.append(flat.params())
    assert np.allclose(*results, rtol=1e-6)


def test_error_feedback_exists_only_with_compression() -> None:
    layout = make_spec().layout
    dense, ternary = (state_sizes(layout, "adamw", make_codec(name), PLAIN) for name in ("dense", "ternary"))
    assert ternary == dense | {"ef": 4 * layout.parameters}


def test_settings_are_completed() -> None:
    assert inner_settings("muon", {"clip": "0.5"})["clip"] == "0.5"
    assert inner_settings("muon", {})["adam_ratio"] == "0.15"


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("lion", {}),
        ("adamw", {"momentum": "0.9"}),
        ("adamw", {"beta1": "1"}),
        ("adamw", {"beta1": ".9"}),
        ("adamw", {"eps": "1e-8"}),
        ("sgd", {"clip": "0"}),
        ("sgd", {"weight_decay": "-0.1"}),
    ],
)
def test_impossible_settings_are_refused(name: str, overrides: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        inner_settings(name, overrides)
    assert caught.value.hint
