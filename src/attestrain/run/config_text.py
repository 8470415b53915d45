"""RUN.toml as text: every setting, its default, what it means."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from attestrain.run.algorithms import DEFAULT, SCHEDULE, SECTIONS
from attestrain.run.config import RunConfig, make_config

WIDTH = 36
"""Column at which comments begin."""

_CHEAT = """
# A worker that cheats, to see it caught: it lies in one way from a round on, and replay is what finds it. Kinds:
# skip-steps, wrong-data, doctor-optimizer, doctor-feedback, poison (inside a round),
# carry-optimizer, carry-feedback (between rounds).
# [[cheat]]
# worker = 3
# kind = "skip-steps"
# from_round = 3
"""


def starting_toml(algorithm: str = DEFAULT) -> str:
    """RUN.toml to start a run of one's own from: every setting, and how a cheat would be put aboard.

    What the algorithm decides stands there commented out, so that another one can be named without undoing it.

    Raises:
        UsageError: no algorithm is called that.
    """
    config = make_config({"algorithm": {"preset": algorithm}}, "RUN.toml")
    return config_toml(config, decided) + _CHEAT


def decided(section: str, key: str) -> bool:
    """Whether a setting is one of those that an algorithm decides."""
    return section in SECTIONS or (section == "schedule" and key in SCHEDULE)


def config_toml(config: RunConfig, shown: Callable[[str, str], bool] = lambda _section, _key: False) -> str:
    """RUN.toml that `load_config` reads back to ``config``.

    Args:
        config: all settings.
        shown: which settings, by section and name, are commented out; none by default.
    """
    parts = ["# A run of attestrain. Train it with: attestrain train RUN.toml\n"]
    for name, info in RunConfig.model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            title = (type(value).__doc__ or "").strip().splitlines()[0]
            lines = _lines(value, functools.partial(shown, name))
            parts.append(f"# {info.description or title}\n[{name}]\n{lines}")
        else:
            parts += [f"[[{name}]]\n{_lines(item)}" for item in value]
    return "\n".join(parts)


def _lines(section: BaseModel, shown: Callable[[str], bool] = lambda _key: False) -> str:
    lines = []
    for key, info in type(section).model_fields.items():
        value = getattr(section, key)
        if value is None:
            continue
        line = f"{'# ' if shown(key) else ''}{key} = {_toml(value)}"
        lines.append(f"{line:<{WIDTH}} # {info.description}" if info.description else line)
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    # TOML basic strings escape exactly as JSON does, as far as these settings go.
    return json.dumps(str(value))


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)
