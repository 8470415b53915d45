"""The logical tensors of a model, in the order in which their values stand in every flat buffer.

Codecs, digests and checkpoints see this layout and never a sharding, so bytes do not depend on how a worker computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from attestrain.errors import FormatError
from attestrain.record.fields import Fields

MAX_TENSORS = 100_000
"""Most tensors in a model: a mixture of experts with a thousand experts in a hundred layers fits."""
MAX_AXES = 8
"""Most axes of a tensor."""
MAX_PARAMETERS = 1 << 40
"""Most parameters of a model (a trillion)."""
MAX_MANTISSA = 255
"""Largest factor of an initial scale; with |exponent| <= 60 every product with an integer below 128 is exact."""
MAX_EXPONENT = 60

INITS = ("uniform", "ones", "zeros")


@dataclass(frozen=True, slots=True)
class Init:
    """How a tensor begins: ``uniform`` draws integers in -127..127 and multiplies by mantissa x 2^exponent.

    ``ones`` and ``zeros`` have mantissa and exponent 0. Integers times an exact scale are the same on every machine,
    which library samplers are not.
    """

    kind: str
    mantissa: int = 0
    exponent: int = 0


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One logical tensor: its name in the model, its shape, how it begins."""

    name: str
    shape: tuple[int, ...]
    init: Init

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the run spec."""
        init = {"kind": self.init.kind, "mantissa": self.init.mantissa, "exponent": self.init.exponent}
        return {"name": self.name, "shape": list(self.shape), "init": init}

    @classmethod
    def from_json(cls, value: object) -> TensorSpec:
        """Read one tensor strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        fields = Fields(value, ("name", "shape", "init"), "layout")
        shape = fields.array("shape", max_length=MAX_AXES)
        if not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n <= MAX_PARAMETERS for n in shape):
            raise FormatError(f"layout.shape has an axis out of range: {shape}")
        init = Fields(fields.object("init"), ("kind", "mantissa", "exponent"), "layout.init")
        kind = init.choice("kind", INITS)
        high = MAX_MANTISSA if kind == "uniform" else 0
        bound = MAX_EXPONENT if kind == "uniform" else 0
        return cls(
            name=fields.text("name"),
            shape=tuple(shape),
            init=Init(kind, init.integer("mantissa", 0, high), init.integer("exponent", -bound, bound)),
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """All tensors, in order."""

    tensors: tuple[TensorSpec, ...]

    @property
    def parameters(self) -> int:
        """Number of values in one flat buffer."""
        return sum(tensor.size for tensor in self.tensors)

    def offsets(self) -> list[tuple[TensorSpec, int, int]]:
        """Every tensor with the half-open range it takes in a flat buffer."""
        placed, at = [], 0
        for tensor in self.tensors:
            placed.append((tensor, at, at + tensor.size))
            at += tensor.size
        return placed

    def to_json(self) -> list[dict[str, Any]]:
        """As it stands in the run spec."""
        return [tensor.to_json() for tensor in self.tensors]

    @classmethod
    def from_json(cls, value: list[Any]) -> Layout:
        """Read a layout strictly.

        Raises:
            FormatError: malformed, empty, too large, or a name used twice.
        """
        if not 0 < len(value) <= MAX_TENSORS:
            raise FormatError(f"layout of {len(value)} tensors is out of range")
        tensors = tuple(TensorSpec.from_json(item) for item in value)
        layout = cls(tensors)
        if len({tensor.name for tensor in tensors}) != len(tensors):
            raise FormatError("layout names a tensor twice")
        if layout.parameters > MAX_PARAMETERS:
            raise FormatError(f"layout of {layout.parameters} parameters is too large")
        return layout
