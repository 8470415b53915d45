"""Outer optimizers: how the aggregated pseudo-gradient moves the parameters.

Elementwise float64 over float32 arrays, one rounding to float32 per stored value, which stops at the largest float32.
What an optimizer remembers is one flat array, plane after plane of one value a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from attestrain.record.layout import Layout
from attestrain.record.spec import Outer
from attestrain.update.arrays import Float32s, Float64s, Pieces, chunks
from attestrain.update.blocks import CHUNK

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
    return step_by_pieces(step, params, memory, [(slice(0, len(params)), aggregate)])


def step_by_pieces(step: Step, params: Float32s, memory: Float32s, aggregate: Pieces) -> tuple[Float32s, Float32s]:
    """`outer_step` against an aggregate that is summed while the step is taken."""
    moved, kept = np.empty_like(params), np.empty_like(memory)
    size, rule, setup, runs = len(params), _RULES[step.outer.name], _Setup.of(step), _runs(step.layout)
    stored = [params, *memory.reshape(-1, size)]
    room, spare = np.empty((len(stored), CHUNK), dtype=np.float64), np.empty(CHUNK, dtype=np.float64)
    for place, values in aggregate:
        for part, decays in _cut(runs, place):
            length = part.stop - part.start
            now = room[:, :length]
            for to, array in zip(now, stored, strict=True):
                np.copyto(to, array[part])
            some = values[part.start - place.start : part.stop - place.start]
            rule(setup, _Values(now[0], now[1:], some, spare[:length]), decays)
            for array, after in zip([moved, *kept.reshape(-1, size)], now, strict=True):
                _store(array[part], after)
    return moved, kept


def _cut(runs: list[tuple[int, int, bool]], place: slice) -> Iterator[tuple[slice, bool]]:
    """The parts of ``place`` that decay or do not, ``CHUNK`` values at a time."""
    for start, end, decays in runs:
        first, last = max(start, place.start), min(end, place.stop)
        for chunk in chunks(last - first, CHUNK):
            yield slice(first + chunk.start, first + chunk.stop), decays


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


class _Values(NamedTuple):
    """Some parameters, what is remembered of them, plane by plane, their aggregate, and room for as many values."""

    params: Float64s
    planes: Float64s
    aggregate: Float64s
    spare: Float64s


_Rule = Callable[[_Setup, _Values, bool], None]
"""Moves parameters and planes in place: as float64, not yet rounded."""


def _momentum(setup: _Setup, values: _Values, decays: bool) -> None:
    del decays
    mu, direction, spare = setup.values["momentum"], values.aggregate, values.spare
    if mu:
        moved = direction = values.planes[0]
        moved *= mu
        moved += values.aggregate
        if setup.name == "nesterov":
            direction = np.multiply(moved, mu, out=spare)
            direction += values.aggregate
    _descend(values, np.multiply(direction, setup.rate, out=spare))


def _adamw(setup: _Setup, values: _Values, decays: bool) -> None:
    (first, second), aggregate, spare = values.planes, values.aggregate, values.spare
    beta1, beta2 = setup.values["beta1"], setup.values["beta2"]
    first *= beta1
    first += np.multiply(aggregate, 1.0 - beta1, out=spare)
    second *= beta2
    np.multiply(aggregate, aggregate, out=spare)
    spare *= 1.0 - beta2
    second += spare
    scale = np.sqrt(second / setup.second) + setup.values["eps"]
    _decay(setup, values, decays)
    np.divide(first, setup.first, out=spare)
    spare /= scale
    spare *= setup.rate
    _descend(values, spare)


def _sign(setup: _Setup, values: _Values, decays: bool) -> None:
    _decay(setup, values, decays)
    np.sign(values.aggregate, out=values.spare)
    _descend(values, np.multiply(values.spare, setup.rate, out=values.spare))


_RULES: Final[dict[str, _Rule]] = {
    "sgd": _momentum,
    "nesterov": _momentum,
    "adamw": _adamw,
    "sign": _sign,
}


def _decay(setup: _Setup, values: _Values, decays: bool) -> None:
    params = values.params
    if decays:
        params *= 1.0 - setup.rate * setup.values["weight_decay"]


def _descend(values: _Values, by: Float64s) -> None:
    params = values.params
    params -= by


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


def _store(to: Float32s, values: Float64s) -> None:
    """Round, then stop at the largest float32 what became infinite: the same as to stop first, and half the bytes."""
    with np.errstate(over="ignore"):
        np.copyto(to, values, casting="same_kind")
    np.clip(to, -LARGEST, LARGEST, out=to)


def memory_values(outer: Outer, layout: Layout) -> int:
    """Float32 values that an optimizer remembers."""
    return PLANES[outer.name] * layout.parameters
