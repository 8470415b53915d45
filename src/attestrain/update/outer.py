"""Outer optimizers: how the aggregated pseudo-gradient moves the parameters.

Elementwise float64 over float32 arrays, one rounding to float32 per stored value, which stops at the largest float32.
What an optimizer remembers is one flat array, plane after plane of one value a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np

from attestrain.record.layout import Layout
from attestrain.record.spec import Outer
from attestrain.update.arrays import Float32s, Float64s, chunks
from attestrain.update.parts import CHUNK

LARGEST: Final = float(np.finfo(np.float32).max)
PLANES: Final[Mapping[str, int]] = {"sgd": 1, "nesterov": 1, "adamw": 2, "sign": 0}
"""Values that an optimizer remembers of each parameter: momentum; first and second moment; nothing."""


class Step(NamedTuple):
    """What one outer step is about.

    Attributes:
        outer: the optimizer.
        rate: its learning rate, a float32.
        number: steps that these parameters have been through, this one included.
        layout: of the parameters, which are the model's or a fragment's.
    """

    outer: Outer
    rate: float
    number: int
    layout: Layout


def outer_step(step: Step, params: Float32s, memory: Float32s, aggregate: Float64s) -> tuple[Float32s, Float32s]:
    """One outer step against the aggregate A, with rate lr.

    ``sgd`` and ``nesterov`` (momentum mu; Sutskever et al. 2013): M = mu M + A; params - lr M, or params - lr (A + mu
    M), M not yet rounded. Without momentum M stays as it is and both are params - lr A.

    ``adamw`` (arXiv 1711.05101): m = beta1 m + (1 - beta1) A, v = beta2 v + (1 - beta2) A^2, both corrected for their
    start at zero; params (1 - lr decay) - lr m / (sqrt(v) + eps). Tensors of fewer than two axes do not decay.

    ``sign`` (arXiv 1802.04434): params (1 - lr decay) - lr sign(A), with decay as above.

    Returns:
        Parameters and memory after the step.
    """
    moved, kept = np.empty_like(params), np.empty_like(memory)
    size, rule = len(params), _RULES[step.outer.name]
    old, new = memory.reshape(-1, size), kept.reshape(-1, size)
    setup = _Setup.of(step)
    for start, end, decays in _runs(step.layout):
        for chunk in chunks(end - start, CHUNK):
            part = slice(start + chunk.start, start + chunk.stop)
            planes = [plane[part].astype(np.float64) for plane in old]
            values, planes = rule(setup, params[part].astype(np.float64), planes, aggregate[part], decays)
            moved[part] = _stored(values)
            for plane, remembered in zip(new, planes, strict=True):
                plane[part] = _stored(remembered)
    return moved, kept


class _Setup(NamedTuple):
    """Settings as float64, and what follows from the number of the step."""

    name: str
    rate: float
    values: dict[str, float]
    first: float
    second: float

    @classmethod
    def of(cls, step: Step) -> _Setup:
        values = {name: float(text) for name, text in step.outer.settings.items()}
        powers = [1.0 - _power(values.get(name, 0.0), step.number) for name in ("beta1", "beta2")]
        return cls(step.outer.name, step.rate, values, *powers)


_Planes = list[Float64s]


def _momentum(
    setup: _Setup, params: Float64s, planes: _Planes, aggregate: Float64s, decays: bool
) -> tuple[Float64s, _Planes]:
    del decays
    mu = setup.values["momentum"]
    if not mu:
        return params - setup.rate * aggregate, planes
    moved = mu * planes[0] + aggregate
    return params - setup.rate * (moved if setup.name == "sgd" else aggregate + mu * moved), [moved]


def _adamw(
    setup: _Setup, params: Float64s, planes: _Planes, aggregate: Float64s, decays: bool
) -> tuple[Float64s, _Planes]:
    beta1, beta2 = setup.values["beta1"], setup.values["beta2"]
    first = beta1 * planes[0] + (1.0 - beta1) * aggregate
    second = beta2 * planes[1] + (1.0 - beta2) * (aggregate * aggregate)
    scale = np.sqrt(second / setup.second) + setup.values["eps"]
    return _decayed(setup, params, decays) - setup.rate * ((first / setup.first) / scale), [first, second]


def _sign(
    setup: _Setup, params: Float64s, planes: _Planes, aggregate: Float64s, decays: bool
) -> tuple[Float64s, _Planes]:
    return _decayed(setup, params, decays) - setup.rate * np.sign(aggregate), planes


_RULES: Final[dict[str, Callable[..., tuple[Float64s, _Planes]]]] = {
    "sgd": _momentum,
    "nesterov": _momentum,
    "adamw": _adamw,
    "sign": _sign,
}


def _decayed(setup: _Setup, params: Float64s, decays: bool) -> Float64s:
    return params * (1.0 - setup.rate * setup.values["weight_decay"]) if decays else params


def _power(base: float, exponent: int) -> float:
    """``base`` to ``exponent`` by squaring: the multiplications are fixed, where libm's differ between machines."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def _runs(layout: Layout) -> list[tuple[int, int, bool]]:
    """Neighbouring tensors that decay, or do not: first value, end, which."""
    runs: list[tuple[int, int, bool]] = []
    for tensor, start, end in layout.offsets():
        decays = len(tensor.shape) > 1
        if runs and runs[-1][2] == decays:
            runs[-1] = (runs[-1][0], end, decays)
        else:
            runs.append((start, end, decays))
    return runs


def _stored(values: Float64s) -> Float32s:
    return np.clip(values, -LARGEST, LARGEST).astype(np.float32)


def memory_values(outer: Outer, layout: Layout) -> int:
    """Float32 values that an optimizer remembers."""
    return PLANES[outer.name] * layout.parameters
