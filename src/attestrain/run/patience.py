"""How long a round waits for somebody who does not come: long while nothing is known, then as the run's speed says."""

from __future__ import annotations

from statistics import median

FLOOR = 30.0
"""Least seconds to wait, however short rounds are: a process that was restarted does its round again."""
MULTIPLE = 5.0
"""Rounds' worth of waiting: beyond that somebody is not slow but gone."""


class Patience:
    """A deadline that adapts.

    Args:
        most: seconds to wait before any round was measured, and never more than that.
    """

    def __init__(self, most: float) -> None:
        self._most = most
        self._rounds: list[float] = []

    def note(self, seconds: float) -> None:
        """A round took so long."""
        self._rounds.append(seconds)

    @property
    def seconds(self) -> float:
        """How long to wait now."""
        if not self._rounds:
            return self._most
        return min(self._most, max(FLOOR, MULTIPLE * median(self._rounds)))
