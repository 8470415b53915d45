"""The ways in which evidence fails, with the reason: refused, or in order and less than the policy asks for."""

from __future__ import annotations

from attestrain.errors import PolicyNotMet, Refuted


class Refused(Refuted):
    """Evidence that is not what it has to be. The message names what was observed and what is required."""


def require(condition: bool, reason: str) -> None:
    """Raise `Refused` unless ``condition`` holds."""
    if not condition:
        raise Refused(reason)


def demand(condition: bool, reason: str) -> None:
    """Raise `PolicyNotMet` unless ``condition`` holds: nothing is wrong with the evidence, but more is asked for."""
    if not condition:
        raise PolicyNotMet(reason)
