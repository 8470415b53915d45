"""Muon (Jordan et al. 2024): momentum, then the nearest semi-orthogonal matrix by a Newton-Schulz iteration.

Matrices of one shape are handled as one batch: a small model has dozens of small matrices, and calling a kernel for
each costs more than the arithmetic. The iteration is in float32 on every device, though bfloat16 would do: the run's
numbers are float32 throughout, and a GPU that rounds products to TF32 says so in its environment class.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from attestrain.record.layout import TensorSpec
from attestrain.train.flat import FlatModel

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the iteration x -> ax + bx^3 + cx^5 on singular values (Jordan et al. 2024)."""
ITERATIONS = 5
_EPS = 1e-7
"""Added to norms, so that a gradient of zeros stays zero."""


class MuonGroup:
    """All matrices of one shape, with their momentum in one flat buffer."""

    def __init__(self, model: FlatModel, tensors: list[TensorSpec], momentum: torch.Tensor) -> None:
        rows, columns = tensors[0].shape
        names = {tensor.name for tensor in tensors}
        places = [(start, end) for tensor, start, end in model.layout.offsets() if tensor.name in names]
        self._values = [model.values[start:end].view(rows, columns) for start, end in places]
        self._grads = [model.grads[start:end].view(rows, columns) for start, end in places]
        self._momentum = momentum.view(len(places), rows, columns)
        self._update = torch.empty_like(self._momentum)
        self._scale = math.sqrt(max(1.0, rows / columns))

    def step(self, rate: float, *, momentum: float, weight_decay: float) -> None:
        """One step with Nesterov momentum; the step grows with the root of rows over columns where rows exceed them."""
        update = torch.stack(self._grads, out=self._update)
        self._momentum.lerp_(update, 1 - momentum)
        direction = orthogonalize(update.lerp_(self._momentum, momentum))
        torch._foreach_mul_(self._values, 1 - rate * weight_decay)
        torch._foreach_add_(self._values, direction.unbind(), alpha=-rate * self._scale)


def orthogonalize(batch: torch.Tensor) -> torch.Tensor:
    """For each matrix of ``batch`` (N, rows, columns) one with the same singular vectors and singular values near 1."""
    a, b, c = QUINTIC
    tall = batch.shape[1] > batch.shape[2]
    x = batch.transpose(1, 2) if tall else batch
    x = x / (torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True) + _EPS)
    for _ in range(ITERATIONS):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x


def group_by_shape(tensors: Iterable[TensorSpec]) -> list[list[TensorSpec]]:
    """Tensors by shape: shapes in order of first appearance, tensors of a shape in layout order."""
    groups: dict[tuple[int, ...], list[TensorSpec]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.shape, []).append(tensor)
    return list(groups.values())
