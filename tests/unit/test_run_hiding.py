from __future__ import annotations

from typing import Any

import pytest

from attestrain.run.events import Event
from attestrain.run.hiding import Hiding


def told(*events: tuple[str, float, dict[str, Any]]) -> dict[str, float]:
    passed: list[Event] = []
    hiding = Hiding(passed.append)
    for kind, time, data in events:
        hiding(Event(kind, time, data))
    assert [event.kind for event in passed] == [kind for kind, _, _ in events]
    return hiding.sums()


OPEN = ("round-open", 10.0, {"round": 1})


def overlap(
    training: float, seconds: float = 0.0, hidden: float = 0.0, round_: int = 1
) -> tuple[str, float, dict[str, Any]]:
    return "overlap", 30.0, {"round": round_, "worker": 0, "training": training, "seconds": seconds, "hidden": hidden}


def test_what_workers_hide_adds_up() -> None:
    assert told(overlap(5, 2, 1.5), overlap(5, 1, 0.5, round_=2)) == {"seconds": 3.0, "hidden_seconds": 2.0}


@pytest.mark.parametrize(("training", "hidden"), [(8.0, 3.0), (3.0, 1.0), (1.0, 0.0)])
def test_aggregating_is_hidden_while_the_slowest_worker_of_the_next_round_trains(
    training: float, hidden: float
) -> None:
    """Round 1 opens at 10, round 0 is aggregated from 12 to 15."""
    aggregated = ("aggregated", 15.0, {"round": 0, "aggregating": 3.0})
    assert told(OPEN, aggregated, overlap(training), overlap(0.5)) == {"seconds": 3.0, "hidden_seconds": hidden}


def test_without_a_next_round_nothing_hides_the_last() -> None:
    aggregated = ("aggregated", 25.0, {"round": 1, "aggregating": 3.0})
    assert told(OPEN, overlap(100.0), aggregated) == {"seconds": 3.0, "hidden_seconds": 0.0}


def test_no_more_is_hidden_than_there_was_and_nonsense_counts_as_nothing() -> None:
    odd = ("overlap", 1.0, {"round": 0, "seconds": "long", "hidden": float("nan"), "training": -1})
    assert told(overlap(1, 2, 50), odd, ("overlap", 1.0, {}), ("aggregated", 2.0, {"round": 7})) == {
        "seconds": 2.0,
        "hidden_seconds": 2.0,
    }
