"""The one way in which evidence fails: refused, with the reason."""

from __future__ import annotations

from attestrain.errors import Refuted


class Refused(Refuted):
    """Evidence that is not what it has to be. The message names what was observed and what is required."""


def require(condition: bool, reason: str) -> None:
    """Raise `Refused` unless ``condition`` holds."""
    if not condition:
        raise Refused(reason)
