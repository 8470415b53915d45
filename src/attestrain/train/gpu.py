"""What a GPU and its libraries are called, as far as kernels are chosen by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path

import torch

from attestrain.record.canonical import Json

_DRIVER = Path("/sys/module/nvidia/version")
_LIBRARIES = ("nvidia-", "cuda-")
"""Packages whose names begin so hold the libraries of a pip-installed torch (cuBLAS, cuDNN and so on)."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, its driver and its libraries.

    Attributes:
        name: as its maker calls it.
        capability: compute capability, "9.0" for Hopper.
        multiprocessors: how many may be used; a slice of a GPU has fewer and gets other kernels.
        driver: version of the kernel driver, empty where the system does not tell.
        cuda: version of the CUDA runtime that torch was built for.
        cudnn: its version, 0 if there is none.
        libraries: version of every installed package of NVIDIA's.
    """

    name: str
    capability: str
    multiprocessors: int
    driver: str
    cuda: str
    cudnn: int
    libraries: dict[str, str]

    def to_json(self) -> Json:
        """As it stands in an environment document."""
        return asdict(self)


def this_gpu() -> Gpu:
    """The GPU that this process uses. Initialises CUDA."""
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return Gpu(
        name=properties.name,
        capability=f"{properties.major}.{properties.minor}",
        multiprocessors=properties.multi_processor_count,
        driver=_DRIVER.read_text("ascii", "replace").strip() if _DRIVER.is_file() else "",
        cuda=torch.version.cuda or "",
        cudnn=torch.backends.cudnn.version() or 0,
        libraries=installed_libraries(),
    )


def installed_libraries() -> dict[str, str]:
    """Versions of the installed packages that hold libraries of NVIDIA's, by name."""
    names = {(found.metadata["Name"] or "").lower(): found.version for found in distributions()}
    return {name: names[name] for name in sorted(names) if name.startswith(_LIBRARIES)}
