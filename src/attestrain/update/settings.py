"""Settings of codecs: decimal texts in the run spec, complete, so that a later default cannot change an old run."""

from __future__ import annotations

from collections.abc import Mapping

from attestrain.errors import UsageError
from attestrain.record.fields import is_decimal

Table = Mapping[str, Mapping[str, tuple[str, float, float]]]
"""Per name: setting to default, lowest and highest value. Bounds that are integers make the setting one."""

CODECS: Table = {
    "dense": {},
    "ternary": {},
    "two-bit": {},
    "sign": {},
    "int8": {},
    "int4": {},
    "topk": {"keep": ("64", 1, 1 << 20), "levels": ("2", 1, 2)},
    "dct": {"side": ("64", 2, 256), "keep": ("32", 1, 1 << 16), "levels": ("2", 1, 2)},
    "lowrank": {"rank": ("16", 1, 4096), "bits": ("4", 4, 8)},
}
"""``keep`` values of each chunk, with so many ``levels`` of magnitude; ``side`` of a square chunk; ``rank`` of the
factors and ``bits`` of their values."""

AGGREGATES: Table = {
    "mean": {},
    "contributors": {},
    "tokens": {},
    "trimmed": {"trim": ("0.2", 0.0, 0.5)},
    "centered": {"radius": ("1", 0.0, 1000.0), "iterations": ("3", 1, 100)},
    "multi-krum": {"faulty": ("1", 0, 10_000), "choose": ("2", 1, 10_000)},
}
"""``trim``: fraction left out at each end; ``radius`` in median lengths; ``faulty`` updates to be withstood, ``choose``
to be averaged."""
_DECAY = {"weight_decay": ("0", 0.0, 10.0)}
OUTERS: Table = {
    "sgd": {"momentum": ("0", 0.0, 1.0)},
    "nesterov": {"momentum": ("0.5", 0.0, 1.0)},
    "adamw": {
        "beta1": ("0.9", 0.0, 0.999999),
        "beta2": ("0.95", 0.0, 0.999999),
        "eps": ("0.00000001", 1e-18, 1.0),
        "weight_decay": ("0.1", 0.0, 10.0),
    },
    "sign": _DECAY,
}


def aggregate_settings(name: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Complete settings of an aggregation rule; as `codec_settings`."""
    return complete("aggregation rule", AGGREGATES, name, overrides)


def outer_settings(name: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Complete settings of an outer optimizer; as `codec_settings`."""
    return complete("outer optimizer", OUTERS, name, overrides)


CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {("lowrank", "bits"): ("4", "8")}
"""Settings of which not every value in the range will do."""


def codec_settings(name: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Complete settings of codec ``name``: ``overrides``, and defaults for the rest.

    Raises:
        UsageError: an unknown codec or setting, or a value out of range.
    """
    return complete("codec", CODECS, name, overrides)


SHARABLE_CODECS = ("dense", "ternary", "two-bit", "sign", "int8", "int4", "topk")
"""Codecs that do not care what shape a tensor has."""
SHARABLE_RULES = ("mean", "tokens", "contributors")
"""Aggregation rules that do not compare whole updates."""


def require_sharable(shares: int, codec: str, rule: str) -> None:
    """Check that updates of a codec can be sent in shares and aggregated by a rule.

    Raises:
        UsageError: they cannot.
    """
    if shares > 1 and not (codec in SHARABLE_CODECS and rule in SHARABLE_RULES):
        hint = f"set overlap.shares to 1, or use {', '.join(SHARABLE_CODECS)} with {', '.join(SHARABLE_RULES)}"
        raise UsageError(f"shares of updates do not go with codec {codec} and rule {rule}", hint=hint)


def complete(kind: str, table: Table, name: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Complete settings of ``name``, which is a ``kind`` of ``table``.

    Raises:
        UsageError: an unknown name or setting, or a value that is no decimal in its range.
    """
    if name not in table:
        raise UsageError(f"unknown {kind} {name!r}", hint=f"one of {', '.join(table)}")
    known = table[name]
    if unknown := sorted(overrides.keys() - known.keys()):
        hint = f"it has {', '.join(known)}" if known else "it has none"
        raise UsageError(f"{kind} {name} has no setting {', '.join(unknown)}", hint=hint)
    settings = {key: overrides.get(key, default) for key, (default, _, _) in known.items()}
    for key, value in settings.items():
        choices = CHOICES.get((name, key))
        if choices and value not in choices:
            raise UsageError(f"{kind} {name} setting {key} is {value}", hint=f"it can be {' or '.join(choices)}")
        _check(f"{kind} {name} setting {key}", value, *known[key])
    return settings


def _check(what: str, value: object, default: str, low: float, high: float) -> None:
    if isinstance(low, int) and not (is_decimal(value) and str(value).isdigit()):
        raise UsageError(f"{what} is not a whole number: {str(value)[:40]!r}", hint=f'for example "{default}"')
    if not is_decimal(value) or not low <= float(str(value)) <= high:
        raise UsageError(f"{what} is not in {low}..{high}: {str(value)[:40]!r}", hint=f'for example "{default}"')
