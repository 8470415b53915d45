"""Inner optimizers over flat buffers: AdamW, Muon, SGD with momentum, and none at all.

An optimizer's whole memory is ``buffers``: component name to flat float32 tensor. The engine loads them from a state
before a segment and copies them out after it, so nothing outlives a segment anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch

from attestrain.record.layout import TensorSpec
from attestrain.record.spec import Inner
from attestrain.train.flat import FlatModel
from attestrain.train.muon import MuonGroup, group_by_shape
from attestrain.train.settings import inner_settings, muon_tensors, optimizer_sizes
from attestrain.update.components import GRADIENTS


class InnerOptimizer(Protocol):
    """One step at a time over a `FlatModel`'s values and gradients."""

    buffers: dict[str, torch.Tensor]

    def step(self, rate: float, index: int) -> None:
        """Change the values.

        Args:
            rate: learning rate of this step.
            index: number of this step in the worker's life, counted from 1.
        """
        ...


def make_optimizer(inner: Inner, model: FlatModel) -> InnerOptimizer:
    """The optimizer that the spec's ``inner`` describes.

    Raises:
        UsageError: unknown settings, or values out of range.
    """
    settings = {key: float(value) for key, value in inner_settings(inner.name, inner.settings).items()}
    sizes = optimizer_sizes(model.layout, inner.name)
    buffers = {name: torch.zeros(size, device=model.values.device) for name, size in sizes.items()}
    if inner.name == "gradient":
        return Gradients(model, buffers)
    if inner.name == "sgd":
        return SGD(model, buffers, settings)
    return Muon(model, buffers, settings) if inner.name == "muon" else AdamW(model, buffers, settings)


class _AdamSlices:
    """AdamW (Loshchilov and Hutter 2019) over some tensors; weight decay on those of two or more axes."""

    def __init__(
        self,
        model: FlatModel,
        tensors: Iterable[TensorSpec],
        m: torch.Tensor,
        v: torch.Tensor,
        settings: dict[str, float],
    ) -> None:
        self._settings = settings
        self._device = model.values.device
        self._slices = _adam_slices(model, {tensor.name for tensor in tensors}, m, v)

    def step(self, rate: float, index: int) -> None:
        """One AdamW step; bias correction is that of step ``index``."""
        s = self._settings
        count = torch.full((), float(index), device=self._device)
        for decay, (values, grads, m, v) in self._slices.items():
            torch._fused_adamw_(
                values,
                grads,
                m,
                v,
                [],
                [count] * len(values),
                lr=rate,
                beta1=s["beta1"],
                beta2=s["beta2"],
                weight_decay=s["weight_decay"] if decay else 0.0,
                eps=s["eps"],
                amsgrad=False,
                maximize=False,
            )


_Views = tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]


def _adam_slices(model: FlatModel, names: set[str], m: torch.Tensor, v: torch.Tensor) -> dict[bool, _Views]:
    """Views of values, gradients and moments, by whether weights decay; neighbours become one view."""
    runs: list[tuple[bool, int, int, int]] = []
    at = 0
    for tensor, start, end in model.layout.offsets():
        if tensor.name not in names:
            continue
        decay = len(tensor.shape) > 1
        if runs and runs[-1][0] == decay and runs[-1][2] == start:
            runs[-1] = (decay, runs[-1][1], end, runs[-1][3])
        else:
            runs.append((decay, start, end, at))
        at += tensor.size
    slices: dict[bool, _Views] = {}
    for decay, start, end, packed in runs:
        views = slices.setdefault(decay, ([], [], [], []))
        views[0].append(model.values[start:end])
        views[1].append(model.grads[start:end])
        views[2].append(m[packed : packed + end - start])
        views[3].append(v[packed : packed + end - start])
    return slices


class AdamW:
    """AdamW on every tensor."""

    def __init__(self, model: FlatModel, buffers: dict[str, torch.Tensor], settings: dict[str, float]) -> None:
        self.buffers = buffers
        self._adam = _AdamSlices(model, model.layout.tensors, buffers["opt.m"], buffers["opt.v"], settings)

    def step(self, rate: float, index: int) -> None:
        """One step."""
        self._adam.step(rate, index)


class SGD:
    """Gradient descent with heavy-ball momentum and decoupled weight decay on matrices."""

    def __init__(self, model: FlatModel, buffers: dict[str, torch.Tensor], settings: dict[str, float]) -> None:
        self.buffers = buffers
        self._model = model
        self._momentum, self._decay = settings["momentum"], settings["weight_decay"]
        self._decayed = [model.values[start:end] for t, start, end in model.layout.offsets() if len(t.shape) > 1]

    def step(self, rate: float, index: int) -> None:
        """One step; ``index`` plays no part."""
        velocity = self.buffers["opt.momentum"].mul_(self._momentum).add_(self._model.grads)
        torch._foreach_mul_(self._decayed, 1 - rate * self._decay)
        self._model.values.add_(velocity, alpha=-rate)


class Gradients:
    """No optimizer: gradients are summed and parameters stay, for algorithms whose only optimizer is the outer one."""

    def __init__(self, model: FlatModel, buffers: dict[str, torch.Tensor]) -> None:
        self.buffers = buffers
        self._model = model

    def step(self, rate: float, index: int) -> None:
        """Add one gradient; neither ``rate`` nor ``index`` plays a part."""
        self.buffers[GRADIENTS].add_(self._model.grads)


class Muon:
    """Muon on matrices between features, AdamW on everything else, at ``adam_ratio`` times the rate."""

    def __init__(self, model: FlatModel, buffers: dict[str, torch.Tensor], settings: dict[str, float]) -> None:
        self.buffers = buffers
        self._settings = settings
        tensors = muon_tensors(model.layout)
        taken = {tensor.name for tensor in tensors}
        others = [tensor for tensor in model.layout.tensors if tensor.name not in taken]
        self._adam = _AdamSlices(model, others, buffers["opt.m"], buffers["opt.v"], settings)
        self._groups: list[MuonGroup] = []
        at = 0
        for group in group_by_shape(tensors):
            size = sum(tensor.size for tensor in group)
            self._groups.append(MuonGroup(model, group, buffers["opt.momentum"][at : at + size]))
            at += size

    def step(self, rate: float, index: int) -> None:
        """One step."""
        s = self._settings
        for group in self._groups:
            group.step(rate, momentum=s["momentum"], weight_decay=s["weight_decay"])
        self._adam.step(rate * s["adam_ratio"], index)
