"""Hiding: how much of publishing and aggregating took place while the next round trained anyway.

With a delay, nobody waits for that part of it. Workers tell, by their own clocks, of what they published and derived
(event ``overlap``). Of the conductor's aggregating, that part is hidden which lies between the opening of the next
round and the earliest moment at which its slowest worker can have trained it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from attestrain.record.names import Round
from attestrain.run.background import Span, common
from attestrain.run.events import Event, Watcher


class Hiding:
    """Listens to events, adds up, and passes every event on.

    Args:
        watcher: who else listens.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._opened: dict[Round, float] = {}
        self._training: defaultdict[Round, float] = defaultdict(float)
        self._aggregating: dict[Round, Span] = {}
        self._workers: list[tuple[float, float]] = []

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event.kind, event.data.get("round"):
            case "round-open", int(number):
                self._opened[Round(number)] = event.time
            case "aggregated", int(number):
                self._aggregating[Round(number)] = event.time - _seconds(event.data, "aggregating"), event.time
            case "overlap", int(number):
                seconds, round_ = _seconds(event.data, "seconds"), Round(number)
                self._workers.append((seconds, min(seconds, _seconds(event.data, "hidden"))))
                self._training[round_] = max(self._training[round_], _seconds(event.data, "training"))
        self._watcher(event)

    def sums(self) -> dict[str, float]:
        """Data of the ``hidden`` event: seconds of publishing and aggregating, and how many of them were hidden."""
        parts = [*self._workers, *(self._aggregated(round_) for round_ in self._aggregating)]
        seconds, hidden = (sum(part[side] for part in parts) for side in (0, 1))
        return {"seconds": round(seconds, 3), "hidden_seconds": round(hidden, 3)}

    def _aggregated(self, round_: Round) -> tuple[float, float]:
        span, following = self._aggregating[round_], Round(round_ + 1)
        begin = self._opened.get(following, math.inf)
        return span[1] - span[0], common(span, (begin, begin + self._training[following]))


def _seconds(data: dict[str, Any], key: str) -> float:
    """A duration that somebody tells; what is none counts as nothing."""
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) and value > 0 else 0.0
