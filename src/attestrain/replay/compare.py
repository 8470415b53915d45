"""Comparing what a worker claims with what a replay gave on a machine of another environment class.

Every component has its own measures, because one norm over everything is blind: most of Adam's second moments can be
zeroed within 1e-4 of their Euclidean norm, and the next steps then go elsewhere. Moments are therefore measured by
their effect on the next step, element by element. All scales come from the replay and not from the claim, so nobody
makes room for an error by claiming something large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from attestrain.record.spec import RunSpec
from attestrain.record.trace import StepRecord
from attestrain.train.muon import group_by_shape
from attestrain.train.schedule import bits_float
from attestrain.train.settings import muon_tensors
from attestrain.train.state import Component, State

Float64s = npt.NDArray[np.float64]

METRICS = (
    "params.norm",
    "params.max",
    "opt.m.effect",
    "opt.m.max",
    "opt.v.effect",
    "opt.v.spread",
    "opt.v.max",
    "opt.momentum.norm",
    "opt.momentum.max",
    "steps.loss",
    "steps.grad_norm",
)
"""Every measure, in the order in which they are reported (spec/calibration.md says what each is)."""
TOLERATED = ("params", "opt.m", "opt.v", "opt.momentum")
"""Components that another class may compute differently in the last bits. All others must be equal."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest value of each measure that honest machines of two classes reach, with margin.

    Attributes:
        source: the calibration it comes from.
        bounds: measure to largest value; a measure that is missing tolerates nothing.
    """

    source: str
    bounds: Mapping[str, float]

    def exceeded(self, measured: Mapping[str, float]) -> list[str]:
        """Measures beyond their bound, in the order of `METRICS`."""
        # Written so that a value that is not a number is beyond every bound.
        return [name for name in METRICS if name in measured and not measured[name] <= self.bounds.get(name, 0.0)]


def measure(spec: RunSpec, before: State, claimed: State, observed: State) -> dict[str, float]:
    """How far a claimed state after a segment is from the observed one; infinite where it is not finite.

    Args:
        spec: the run.
        before: state before the segment, from which both began.
        claimed: the worker's.
        observed: the replay's.
    """
    measured: dict[str, float] = {}
    with np.errstate(all="ignore"):  # what overflows becomes infinite and is beyond every bound
        for name, compare in _COMPARISONS.items():
            if name in observed:
                measured |= compare(spec, before, claimed, observed)
    return measured


def measure_steps(claimed: Sequence[StepRecord], observed: Sequence[StepRecord]) -> dict[str, float]:
    """Largest relative difference of losses and of gradient norms over the steps of a segment."""
    measured = {}
    for field in ("loss", "grad_norm"):
        pairs = [
            (bits_float(getattr(a, field)), bits_float(getattr(b, field)))
            for a, b in zip(claimed, observed, strict=True)
        ]
        measured[f"steps.{field}"] = max((_ratio(abs(a - b), abs(b)) for a, b in pairs), default=0.0)
    return measured


def _ratio(difference: float, scale: float) -> float:
    """``difference / scale``; zero if nothing differs, infinite if the scale is zero or either is not finite."""
    if difference == 0:
        return 0.0
    if not (np.isfinite(difference) and np.isfinite(scale)) or scale <= 0:
        return float("inf")
    return float(difference / scale)


def _worst(values: Float64s) -> float:
    """Largest of non-negative ``values``, infinite if one is not a number."""
    worst = float(values.max(initial=0.0))
    return worst if np.isfinite(worst) else float("inf")


def _values(component: Component) -> Float64s:
    return component.view(np.float32).astype(np.float64)


def _norm(values: Float64s) -> float:
    return float(np.sqrt(np.square(values).sum()))


def _compare_params(spec: RunSpec, before: State, claimed: State, observed: State) -> dict[str, float]:
    """Difference relative to what the segment changed, by norm and by largest entry."""
    difference = np.abs(_values(claimed["params"]) - _values(observed["params"]))
    update = np.abs(_values(observed["params"]) - _values(before["params"]))
    return {
        "params.norm": _ratio(_norm(difference), _norm(update)),
        "params.max": _ratio(_worst(difference), _worst(update)),
    }


def _compare_moments(spec: RunSpec, before: State, claimed: State, observed: State) -> dict[str, float]:
    """Difference of Adam's moments by the change of the next step, and by their largest entries."""
    eps = float(spec.inner.settings["eps"])
    claimed_root, root = (np.sqrt(_values(state["opt.v"])) for state in (claimed, observed))
    first, second = (np.abs(_values(claimed[name]) - _values(observed[name])) for name in ("opt.m", "opt.v"))
    # The step is m / (sqrt(v) + eps): against the smaller root, a moment set to zero is as bad as one set too large.
    change = np.abs(claimed_root - root) / (np.minimum(claimed_root, root) + eps)
    return {
        "opt.m.effect": _worst(first / (root + eps)),
        "opt.m.max": _ratio(_worst(first), _worst(np.abs(_values(observed["opt.m"])))),
        "opt.v.effect": _worst(change),
        "opt.v.spread": _ratio(_norm(change), float(np.sqrt(max(1, change.size)))),
        "opt.v.max": _ratio(_worst(second), _worst(_values(observed["opt.v"]))),
    }


def _compare_momentum(spec: RunSpec, before: State, claimed: State, observed: State) -> dict[str, float]:
    """Difference of momenta relative to their norm in the worst tensor, and to the largest entry of all."""
    mine = _values(observed["opt.momentum"])
    difference = np.abs(_values(claimed["opt.momentum"]) - mine)
    norms = [_ratio(_norm(difference[start:end]), _norm(mine[start:end])) for start, end in _tensors(spec)]
    return {
        "opt.momentum.norm": max(norms, default=0.0),
        "opt.momentum.max": _ratio(_worst(difference), _worst(np.abs(mine))),
    }


def _tensors(spec: RunSpec) -> Iterable[tuple[int, int]]:
    """Ranges of the tensors in ``opt.momentum`` (`train.settings.optimizer_sizes` says how they are ordered)."""
    tensors = spec.layout.tensors
    if spec.inner.name == "muon":
        tensors = tuple(tensor for group in group_by_shape(muon_tensors(spec.layout)) for tensor in group)
    at = 0
    for tensor in tensors:
        yield at, at + tensor.size
        at += tensor.size


_Comparison = Callable[[RunSpec, State, State, State], dict[str, float]]
_COMPARISONS: Mapping[str, _Comparison] = {
    "params": _compare_params,
    "opt.v": _compare_moments,
    "opt.momentum": _compare_momentum,
}
"""By the component whose presence asks for it; ``opt.m`` comes with ``opt.v``."""
