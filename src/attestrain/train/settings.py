"""What an inner optimizer is told and what it remembers: settings in a run spec, components of a state.

Settings are decimal texts, because the run spec hashes them. Every default is written out when the spec is made, so
that a later change of a default cannot change an old run.
"""

from __future__ import annotations

from collections.abc import Mapping

from attestrain.record.layout import Layout, TensorSpec
from attestrain.record.spec import Codec, Overlap
from attestrain.train.layout import is_embedding, is_head
from attestrain.update.components import GRADIENTS, protocol_components
from attestrain.update.settings import Table, complete

_COMMON = {"weight_decay": ("0.1", 0.0, 10.0), "clip": ("1", 1e-6, 1e9)}
_ADAM = {"beta1": ("0.9", 0.0, 0.999999), "beta2": ("0.95", 0.0, 0.999999), "eps": ("0.00000001", 1e-18, 1.0)}
SETTINGS: Table = {
    "adamw": {**_ADAM, **_COMMON},
    "muon": {"momentum": ("0.95", 0.0, 0.999999), "adam_ratio": ("0.15", 0.0, 100.0), **_ADAM, **_COMMON},
    "sgd": {"momentum": ("0.9", 0.0, 0.999999), **_COMMON},
    "gradient": {"clip": _COMMON["clip"]},
}
"""Per optimizer: setting to default, lowest and highest value. ``clip`` is the largest norm of a gradient;
``adam_ratio`` the rate of Muon's AdamW part as a fraction of the table's."""
PEAK_RATES: Mapping[str, str] = {"adamw": "0.006", "muon": "0.04", "sgd": "0.1", "gradient": "1"}
"""Peak rates to start from. Those of Muon and AdamW won trials of the default model; that of SGD was never tuned.
``gradient`` takes no steps."""


def inner_settings(name: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Complete settings of optimizer ``name``: ``overrides``, and defaults for the rest.

    Raises:
        UsageError: an unknown optimizer or setting, or a value that is no decimal in its range.
    """
    return complete("inner optimizer", SETTINGS, name, overrides)


def muon_tensors(layout: Layout) -> list[TensorSpec]:
    """What Muon orthogonalises: matrices between features. Embeddings, heads, vectors and kernels are AdamW's."""
    return [t for t in layout.tensors if len(t.shape) == 2 and not is_embedding(t.name) and not is_head(t.name)]


def optimizer_sizes(layout: Layout, inner: str) -> dict[str, int]:
    """Components of an optimizer's memory and their number of float32 values.

    ``adamw``: first and second moments ``opt.m`` and ``opt.v``; ``sgd``: ``opt.momentum``, all in layout order.
    ``muon``: ``opt.momentum`` holds its matrices grouped by shape, shapes in order of first appearance; ``opt.m`` and
    ``opt.v`` hold the other tensors in layout order. ``gradient``: ``opt.sum``, the sum of the round's gradients.
    """
    total = layout.parameters
    if inner == "adamw":
        return {"opt.m": total, "opt.v": total}
    if inner == "sgd":
        return {"opt.momentum": total}
    if inner == "gradient":
        return {GRADIENTS: total}
    matrices = sum(tensor.size for tensor in muon_tensors(layout))
    return {"opt.momentum": matrices, "opt.m": total - matrices, "opt.v": total - matrices}


def state_sizes(layout: Layout, inner: str, codec: Codec, overlap: Overlap) -> dict[str, int]:
    """Every component of a worker's state and its size in bytes: what a run spec's ``state`` holds.

    Raises:
        FormatError: more fragments than tensors.
    """
    optimizer = {name: 4 * count for name, count in optimizer_sizes(layout, inner).items()}
    return protocol_components(layout, codec, overlap) | optimizer
