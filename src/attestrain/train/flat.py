"""A model whose values lie in one buffer.

Parameters and gradients are views of two contiguous float32 buffers in layout order, so optimizers, digests and
copies see one array instead of a hundred tensors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from attestrain.errors import UsageError
from attestrain.record.layout import Layout
from attestrain.train.device import put, taken

CPU = torch.device("cpu")
NORM_BLOCK = 4096
"""Values per partial sum of a norm, and the size to which gradient buffers are padded with zeros."""


class FlatModel:
    """``module`` with parameters and gradients in two flat buffers.

    Args:
        module: the model; its parameters are replaced by views and their values by zeros.
        layout: the tensors it must have, in order.
        device: where model and buffers live.

    Raises:
        UsageError: the module does not have this layout (the task's code is not the run's), or it keeps values that
            outlive a step outside of its parameters.
    """

    def __init__(self, module: torch.nn.Module, layout: Layout, device: torch.device = CPU) -> None:
        module.to(device)  # what is no parameter, as tables are, moves with it
        parameters = list(module.named_parameters())
        if [(n, tuple(p.shape)) for n, p in parameters] != [(t.name, t.shape) for t in layout.tensors]:
            raise UsageError("the task builds another model than the run spec describes", hint="use the run's version")
        if hidden := sorted(module.state_dict().keys() - dict(module.named_parameters(remove_duplicate=False)).keys()):
            raise UsageError(
                f"the model keeps state outside of its parameters: {', '.join(hidden)[:200]}",
                hint="a state must be parameters alone: replace batch by layer normalisation",
            )
        self.module = module
        self.layout = layout
        self.values = torch.zeros(layout.parameters, device=device)
        self._padded = torch.zeros(-(-layout.parameters // NORM_BLOCK) * NORM_BLOCK, device=device)
        self.grads = self._padded[: layout.parameters]
        for (_, parameter), (tensor, start, end) in zip(parameters, layout.offsets(), strict=True):
            parameter.data = self.values[start:end].view(tensor.shape)
            parameter.grad = self.grads[start:end].view(tensor.shape)

    def load(self, values: npt.NDArray[np.float32]) -> None:
        """Take parameter values, flat, in layout order."""
        put(self.values, values)

    def params(self) -> npt.NDArray[np.float32]:
        """A copy of the parameter values."""
        return taken(self.values)

    def grad_norm(self) -> float:
        """Euclidean norm of the gradient, summed in an order that no number of threads changes.

        Blocks of 4096 are each summed by one thread, then the squares of the block norms, again in blocks, in float64.
        """
        partial = torch.linalg.vector_norm(self._padded.view(-1, NORM_BLOCK), dim=1).double().square()
        while len(partial) > 1:
            partial = torch.nn.functional.pad(partial, (0, -len(partial) % NORM_BLOCK)).view(-1, NORM_BLOCK).sum(1)
        return float(partial.sqrt())
