"""Where a model is trained: the processor, or one NVIDIA GPU.

A process uses the first GPU that it sees; ``CUDA_VISIBLE_DEVICES`` chooses another. Nothing here initialises CUDA: a
process that has done so cannot fork children that use it, and a run's roles are forks of its conductor.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import torch

from attestrain.errors import UsageError
from attestrain.train.state import Component

AUTO = "auto"
"""The GPU if there is one, otherwise the processor."""


class Device(StrEnum):
    """A device and its arithmetic, by the name that environment documents give it.

    ``cuda-tf32`` rounds the factors of matrix products to eleven bits (TensorFloat-32): faster, and another environment
    class. Everything else is float32 on every device, Muon's iteration included.
    """

    CPU = "cpu"
    CUDA = "cuda"
    CUDA_TF32 = "cuda-tf32"

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self is not Device.CPU

    @property
    def torch(self) -> torch.device:
        """For torch."""
        return torch.device("cuda" if self.is_cuda else "cpu")


NAMES = (AUTO, *(device.value for device in Device))
"""What a user may ask for."""


def gpus() -> int:
    """GPUs that this process may use, counted without initialising CUDA (as long as the driver answers NVML)."""
    return torch.cuda.device_count()


def choose_device(wanted: str, found: int | None = None) -> Device:
    """The device called ``wanted``, one of `NAMES`.

    Args:
        wanted: ``auto`` is ``cuda`` if there is a GPU, otherwise ``cpu``.
        found: number of GPUs; by default they are counted.

    Raises:
        UsageError: there is no such device, or a GPU is wanted and none is there.
    """
    if wanted not in NAMES:
        raise UsageError(f"no device is called {wanted!r}", hint=f"there are {', '.join(NAMES)}")
    if wanted == Device.CPU:
        return Device.CPU
    available = bool(gpus() if found is None else found)
    if wanted == AUTO:
        return Device.CUDA if available else Device.CPU
    if not available:
        build = f"torch {torch.__version__}"
        hint = "install a CUDA build of torch (make install TORCH=cuda) and a driver, or choose the device cpu"
        raise UsageError(f"{build} finds no GPU, and {wanted} was asked for", hint=hint)
    return Device(wanted)


def same_device(stated: Iterable[object], found: int | None = None) -> Device:
    """The first device, of those that others state, that is here too; otherwise the processor.

    Args:
        stated: as environment documents name them, which may be anything.
        found: number of GPUs; by default they are counted.
    """
    for name in stated:
        if isinstance(name, str) and name in set(Device):
            device = Device(name)
            if not device.is_cuda or (gpus() if found is None else found):
                return device
    return Device.CPU


def put(buffer: torch.Tensor, values: Component) -> None:
    """Copy host values into a flat buffer on any device.

    On the way to a GPU they pass through page-locked memory, which torch's allocator keeps until the copy is done.
    """
    host = buffer if buffer.device.type == "cpu" else _host(buffer)
    host.numpy()[:] = values
    if host is not buffer:
        buffer.copy_(host, non_blocking=True)


def taken(buffer: torch.Tensor) -> npt.NDArray[np.float32]:
    """A copy of a flat float32 buffer in host memory, page-locked if it comes from a GPU."""
    host: npt.NDArray[np.float32] = _host(buffer).copy_(buffer).numpy()
    return host


def _host(buffer: torch.Tensor) -> torch.Tensor:
    return torch.empty(buffer.shape, dtype=buffer.dtype, pin_memory=buffer.device.type != "cpu")
