"""Calibrations: how far honest machines of different classes drift apart, measured, with the bounds that follow.

A calibration is a document (spec/calibration.md) made by ``tools/calibrate.py``. Those shipped with the package lie in
``data/calibration``.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from attestrain.errors import FormatError, Undecided
from attestrain.record.canonical import Json, parse
from attestrain.record.fields import Fields
from attestrain.replay.compare import METRICS, Tolerance
from attestrain.train.environment import environment_digest

FORMAT = "attestrain.dev/calibration@v1"
MAX_CALIBRATION = 1 << 18
"""Largest document read: ours are about four thousand bytes."""
MAX_CLASSES = 256
MAX_MODELS = 256
MAX_BOUND = 1e6
"""Largest bound: beyond it nothing is told apart."""
MATCHED = ("device", "machine", "torch")
"""What an environment must have in common with a calibration for its bounds to apply."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is read of a calibration: where it applies and what it tolerates."""

    name: str
    applies: Mapping[str, str]
    tolerance: Tolerance

    def covers(self, environment: Json) -> bool:
        """Whether an environment document is one that this calibration speaks for."""
        return all(environment.get(key) == value for key, value in self.applies.items())

    @classmethod
    def from_bytes(cls, data: bytes) -> Calibration:
        """Read a calibration strictly.

        Raises:
            FormatError: malformed, or bounds that do not follow from its own measurements.
        """
        keys = ("format", "name", "date", "command", "applies", "classes", "models", "margin", "metrics", "cheats")
        fields = Fields(parse(data, max_bytes=MAX_CALIBRATION), keys, "calibration")
        fields.constant("format", FORMAT)
        for key in ("date", "command"):
            fields.text(key)
        fields.array("classes", max_length=MAX_CLASSES)
        fields.array("models", max_length=MAX_MODELS)
        applies = Fields(fields.object("applies"), MATCHED, "calibration.applies")
        margin = float(fields.decimal("margin", 1.0, 1e6))
        metrics = Fields(fields.object("metrics"), METRICS, "calibration.metrics")
        bounds = {name: _read_bound(metrics.object(name), name, margin) for name in METRICS}
        name = fields.text("name")
        return cls(name, {key: applies.text(key) for key in MATCHED}, Tolerance(name, bounds))


def _read_bound(value: dict[str, Any], name: str, margin: float) -> float:
    where = f"calibration.metrics.{name}"
    fields = Fields(value, ("honest", "cheat", "tolerance"), where)
    honest, bound = (float(fields.decimal(key, 0.0, MAX_BOUND)) for key in ("honest", "tolerance"))
    if value["cheat"] is not None:
        fields.decimal("cheat", 0.0, float("inf"))
    if bound < margin * honest:
        raise FormatError(f"{where} tolerates {bound}, less than {margin:g} times the worst honest {honest}")
    return bound


@functools.cache
def shipped() -> tuple[Calibration, ...]:
    """The calibrations that come with the package, by file name."""
    folder = files("attestrain") / "data" / "calibration"
    found = sorted((item for item in folder.iterdir() if item.name.endswith(".json")), key=lambda item: item.name)
    return tuple(Calibration.from_bytes(item.read_bytes()) for item in found)


def tolerance_for(worker_environment: Json, auditor_environment: Json) -> Tolerance | None:
    """What may differ between a worker's and an auditor's environment (`train.environment` documents).

    Returns:
        None if they are of one class: then nothing may.

    Raises:
        Undecided: no calibration covers both, so a difference would say nothing.
    """
    if environment_digest(worker_environment) == environment_digest(auditor_environment):
        return None
    for calibration in shipped():
        if calibration.covers(worker_environment) and calibration.covers(auditor_environment):
            return calibration.tolerance
    raise Undecided(
        "no calibration covers the environments of worker and auditor",
        hint="replay on a machine of the worker's class, or measure one with tools/calibrate.py",
    )
