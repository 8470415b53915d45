"""Training algorithms by name: presets of RUN.toml's sections, each a commented TOML file that ships with the package.

All are settings of one loop (DESIGN section 4): inner steps, a codec with feedback, a rule that makes one update of
many, an outer step, and how workers take the result. Whatever RUN.toml says itself overrides its preset.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from attestrain.errors import UsageError

DEFAULT = "sparse-muon"
"""What a run trains with unless told otherwise: the defaults of the sections, but for settings of components."""
SECTIONS = ("inner", "overlap", "codec", "adaptive", "screen", "aggregate", "merge", "outer")
"""Sections that a preset may set."""
SCHEDULE = ("rounds", "steps", "segment_steps")
"""What it may set of the schedule."""


@functools.cache
def algorithm_names() -> tuple[str, ...]:
    """Names of all presets, in alphabetical order."""
    folder = files("attestrain").joinpath("data", "algorithms")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


def algorithm_text(name: str) -> str:
    """The file of a preset: equations, papers, settings.

    Raises:
        UsageError: no algorithm is called that.
    """
    if name not in algorithm_names():
        raise UsageError(f"no algorithm is called {name!r}", hint=f"there are: {', '.join(algorithm_names())}")
    return files("attestrain").joinpath("data", "algorithms", f"{name}.toml").read_text("utf-8")


def with_algorithm(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` over those of the preset that its section ``algorithm`` names.

    Raises:
        UsageError: no algorithm is called that.
    """
    section = settings.get("algorithm")
    name = section.get("preset", DEFAULT) if isinstance(section, dict) else DEFAULT
    if not isinstance(name, str):
        return dict(settings)
    merged: dict[str, Any] = tomllib.loads(algorithm_text(name))
    for section_name, own in settings.items():
        preset = merged.get(section_name)
        if isinstance(preset, dict) and isinstance(own, dict):
            merged[section_name] = _over(preset, own)
        else:
            merged[section_name] = own
    return merged


def _over(preset: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """One section over its preset; single settings of a component only if it is still the preset's component."""
    merged, settings = {**preset, **own}, own.get("settings", {})
    if merged.get("name") != preset.get("name"):
        return {**merged, "settings": settings}
    if "settings" in preset and isinstance(settings, dict):
        merged["settings"] = {**preset["settings"], **settings}
    return merged
