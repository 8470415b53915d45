"""What an inner optimizer is told and what it remembers: settings in a run spec, components of a state.

Settings are decimal texts, because the run spec hashes them. Every default is written out when the spec is made, so
that a later change of a default cannot change an old run.
"""

from __future__ import annotations

from collections.abc import Mapping

from attestrain.errors import UsageError
from attestrain.record.fields import is_decimal
from attestrain.record.layout import Layout, TensorSpec
from attestrain.train.layout import is_embedding, is_head

_COMMON = {"weight_decay": ("0.1", 0.0, 10.0), "clip": ("1", 1e-6, 1e9)}
_ADAM = {"beta1": ("0.9", 0.0, 0.999999), "beta2": ("0.95", 0.0, 0.999999), "eps": ("0.00000001", 1e-18, 1.0)}
SETTINGS: Mapping[str, Mapping[str, tuple[str, float, float]]] = {
    "adamw": {**_ADAM, **_COMMON},
    "muon": {"momentum": ("0.95", 0.0, 0.999999), "adam_ratio": ("0.15", 0.0, 100.0), **_ADAM, **_COMMON},
    "sgd": {"momentum": ("0.9", 0.0, 0.999999), **_COMMON},
}
"""Per optimizer: setting to default, lowest and highest value. ``clip`` is the largest norm of a gradient;
``adam_ratio`` the rate of Muon's AdamW part as a fraction of the table's."""
PEAK_RATES: Mapping[str, str] = {"adamw": "0.006", "muon": "0.04", "sgd": "0.1"}
"""Peak rates to start from. Those of Muon and AdamW won trials of the default model; that of SGD was never tuned."""


def inner_settings(name: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Complete settings of optimizer ``name``: ``overrides``, and defaults for the rest.

    Raises:
        UsageError: an unknown optimizer or setting, or a value that is no decimal in its range.
    """
    if name not in SETTINGS:
        raise UsageError(f"unknown inner optimizer {name!r}", hint=f"one of {', '.join(SETTINGS)}")
    known = SETTINGS[name]
    if unknown := sorted(overrides.keys() - known.keys()):
        raise UsageError(f"{name} has no setting {', '.join(unknown)}", hint=f"it has {', '.join(known)}")
    settings = {key: overrides.get(key, default) for key, (default, _, _) in known.items()}
    for key, value in settings.items():
        _, low, high = known[key]
        if not is_decimal(value) or not low <= float(value) <= high:
            raise UsageError(
                f"{name} setting {key} is not a decimal in {low}..{high}: {str(value)[:40]!r}", hint=f'{key} = "0.1"'
            )
    return settings


def muon_tensors(layout: Layout) -> list[TensorSpec]:
    """What Muon orthogonalises: matrices between features. Embeddings, heads, vectors and kernels are AdamW's."""
    return [t for t in layout.tensors if len(t.shape) == 2 and not is_embedding(t.name) and not is_head(t.name)]


def optimizer_sizes(layout: Layout, inner: str) -> dict[str, int]:
    """Components of an optimizer's memory and their number of float32 values.

    ``adamw``: first and second moments ``opt.m`` and ``opt.v``; ``sgd``: ``opt.momentum``, all in layout order.
    ``muon``: ``opt.momentum`` holds its matrices grouped by shape, shapes in order of first appearance; ``opt.m`` and
    ``opt.v`` hold the other tensors in layout order.
    """
    total = layout.parameters
    if inner == "adamw":
        return {"opt.m": total, "opt.v": total}
    if inner == "sgd":
        return {"opt.momentum": total}
    matrices = sum(tensor.size for tensor in muon_tensors(layout))
    return {"opt.momentum": matrices, "opt.m": total - matrices, "opt.v": total - matrices}


def state_sizes(layout: Layout, inner: str, codec: str) -> dict[str, int]:
    """Every component of a worker's state and its size in bytes: what a run spec's ``state`` holds.

    ``params``; the optimizer's; ``ef``, what compression has left out so far (absent without compression); ``cursor``,
    the inner steps this worker has executed (u64, little-endian).
    """
    sizes = {"params": 4 * layout.parameters, "cursor": 8}
    sizes |= {name: 4 * count for name, count in optimizer_sizes(layout, inner).items()}
    return sizes if codec == "dense" else sizes | {"ef": 4 * layout.parameters}
