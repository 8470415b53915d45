"""Rows of the training benchmark: methods as settings, and the grid in which each is tuned.

Every row has the same number of tuning trials. A row's grid is a product of two short lists, most often of the inner
rate and one thing more; the best trial on the validation split is the setting of the final runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TRIALS = 4
"""Tuning trials of each row."""
Settings = Mapping[str, Any]
"""Sections of RUN.toml."""


@dataclass(frozen=True, slots=True)
class Row:
    """A method.

    Attributes:
        name: short, for the command line.
        label: for the table.
        steps: inner steps of a round (H).
        settings: sections of RUN.toml; ``algorithm.preset`` where one is the beginning.
        grid: settings to try, dotted name to values; their product has ``TRIALS`` members.
        kind: ``run``; ``allreduce``, one optimizer on the gradient of all workers' batches; ``solo``, one worker alone.
        key: whether its final run is repeated with other seeds.
    """

    name: str
    label: str
    steps: int
    settings: Settings
    grid: Mapping[str, tuple[str, ...]]
    kind: str = "run"
    key: bool = False

    def trials(self) -> Iterator[dict[str, str]]:
        """The points of the grid."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


MUON_RATES = ("0.03", "0.05")
ADAM_RATES = ("0.004", "0.008")
"""On both sides of what earlier trials found best (0.04 and 0.006)."""


BASE = "ternary-muon"
"""Preset that the rows without one of their own begin from, whatever the default is."""


def _muon(codec: str, **codec_settings: Any) -> dict[str, Any]:
    return _preset(BASE, inner={"name": "muon"}, codec={"name": codec, **codec_settings})


def _preset(name: str, **sections: Any) -> dict[str, Any]:
    return {"algorithm": {"preset": name}, **sections}


def _tuned(name: str, label: str, steps: int, outer: tuple[str, str], **codec: Any) -> Row:
    """A row with Muon inside and Nesterov outside, tuned over both rates."""
    settings = {**_muon(**codec), "outer": {"settings": {"momentum": "0.3"}}}
    return Row(name, label, steps, settings, {"inner.rate": MUON_RATES, "outer.rate": outer})


SPARSE = {"name": "sgd", "settings": {"momentum": "0"}}
_MOMENTA = ("0.3", "0.6")

ROWS: tuple[Row, ...] = (
    Row(
        "allreduce-muon",
        "AllReduce Muon",
        1,
        _preset(BASE, inner={"name": "muon"}),
        {"inner.rate": ("0.02", "0.03", "0.04", "0.06")},
        "allreduce",
        key=True,
    ),
    Row(
        "allreduce-adamw",
        "AllReduce AdamW",
        1,
        _preset(BASE, inner={"name": "adamw"}),
        {"inner.rate": ("0.004", "0.006", "0.01", "0.015")},
        "allreduce",
        key=True,
    ),
    Row(
        "solo-muon",
        "one worker alone, Muon",
        1,
        _preset(BASE, inner={"name": "muon"}),
        {"inner.rate": ("0.02", "0.03", "0.04", "0.06")},
        "solo",
        key=True,
    ),
    Row(
        "diloco",
        "DiLoCo",
        20,
        _preset("diloco"),
        {"inner.rate": ADAM_RATES, "outer.settings.momentum": _MOMENTA},
    ),
    Row(
        "diloco-int8",
        "DiLoCo, int8",
        20,
        _preset("diloco-int8"),
        {"inner.rate": ADAM_RATES, "outer.settings.momentum": _MOMENTA},
    ),
    Row(
        "streaming-diloco",
        "Streaming DiLoCo, int4, 2 fragments",
        10,
        _preset("streaming-diloco"),
        {"inner.rate": ADAM_RATES, "outer.settings.momentum": _MOMENTA},
    ),
    Row(
        "sparseloco",
        "SparseLoCo, 128 of 4096",
        10,
        _preset("sparseloco"),
        {"inner.rate": ADAM_RATES, "outer.rate": ("0.7", "1")},
    ),
    Row(
        "dilocox",
        "DiLoCoX, rank 16, int4, no delay",
        20,
        _preset("dilocox", overlap={"delay": 0, "blend": 0}),
        {"inner.rate": ADAM_RATES, "outer.settings.momentum": ("0", "0.5")},
    ),
    Row(
        "decoupled-momentum",
        "DeMo, 32 of 64x64 cosines, two bits",
        1,
        _preset("decoupled-momentum"),
        {"outer.rate": ("0.0005", "0.001", "0.002", "0.004")},
    ),
    Row(
        "averaging-muon",
        "averaging, Muon, dense",
        20,
        {**_muon("dense"), "outer": SPARSE},
        {"inner.rate": MUON_RATES, "outer.rate": ("0.9", "1")},
    ),
    _tuned("muloco-5", "MuLoCo, two-bit, H=5", 5, ("0.7", "0.9"), codec="two-bit"),
    _tuned("ternary-5", "ternary, Muon, H=5", 5, ("0.7", "0.9"), codec="ternary"),
    _tuned("ternary-10", "ternary, Muon, H=10", 10, ("0.7", "0.9"), codec="ternary"),
    Row(
        "ternary-20",
        "ternary, Muon, H=20",
        20,
        _preset(BASE),
        {"inner.rate": MUON_RATES, "outer.rate": ("0.7", "0.9")},
        key=True,
    ),
    _tuned("sign-20", "sign, Muon, H=20", 20, ("0.7", "0.9"), codec="sign", block=4096),
    _tuned("ternary-50", "ternary, Muon, H=50", 50, ("0.7", "0.9"), codec="ternary"),
    Row(
        "shares-10",
        "ternary in 4 shares, Muon, H=10",
        10,
        {**_muon("ternary"), "overlap": {"shares": 4}, "outer": SPARSE},
        {"inner.rate": MUON_RATES, "outer.rate": ("0.9", "1.1")},
        key=True,
    ),
    Row(
        "shares-20",
        "ternary in 4 shares, Muon, H=20",
        20,
        {**_muon("ternary"), "overlap": {"shares": 4}, "outer": SPARSE},
        {"inner.rate": MUON_RATES, "outer.rate": ("0.9", "1.1")},
    ),
    Row(
        "shares-5",
        "ternary in 4 shares, Muon, H=5",
        5,
        {**_muon("ternary"), "overlap": {"shares": 4}, "outer": SPARSE},
        {"inner.rate": MUON_RATES, "outer.rate": ("0.9", "1.1")},
    ),
    Row(
        "two-bit-shares-10",
        "two-bit in 4 shares, Muon, H=10",
        10,
        {**_muon("two-bit"), "overlap": {"shares": 4}, "outer": SPARSE},
        {"inner.rate": MUON_RATES, "outer.rate": ("0.9", "1.1")},
    ),
    Row(
        "top10-10",
        "top tenth, Muon, H=10",
        10,
        {**_muon("topk", block=1024, settings={"keep": "102", "levels": "1"}), "outer": SPARSE},
        {"inner.rate": MUON_RATES, "outer.rate": ("0.8", "1")},
        key=True,
    ),
    Row(
        "top10-10-merged",
        "top tenth, Muon, H=10, merged in int4",
        10,
        {
            **_muon("topk", block=1024, settings={"keep": "102", "levels": "1"}),
            "outer": SPARSE,
            "merge": {"name": "int4", "block": 1024},
        },
        {"inner.rate": MUON_RATES, "outer.rate": ("0.8", "1")},
    ),
    Row(
        "top5-10",
        "top twentieth, Muon, H=10",
        10,
        {
            **_muon("topk", block=1024, settings={"keep": "51", "levels": "1"}),
            "outer": SPARSE,
            "overlap": {"blend": "0.3"},
        },
        {"inner.rate": MUON_RATES, "outer.rate": ("0.8", "1")},
        key=True,
    ),
    Row(
        "top2-10",
        "top fiftieth, Muon, H=10",
        10,
        {**_muon("topk", block=1024, settings={"keep": "20", "levels": "1"}), "outer": SPARSE},
        {"inner.rate": MUON_RATES, "outer.rate": ("0.8", "1")},
    ),
)
EXCERPT = ("allreduce-adamw", "solo-muon", "ternary-20")
"""The rows to run in a quarter of an hour."""
