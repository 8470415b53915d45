"""What CPU went into: counted by each process, added up by the conductor."""

from __future__ import annotations

import os
import time

from attestrain.run.effort import CPU, Effort, Tally, effort_of
from attestrain.run.events import Event


def burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_what_is_not_counted_apart_is_protocol() -> None:
    effort, tally = Effort(), Tally(lambda event: None)
    with effort.on("training"):
        burn(0.05)
    burn(0.05)
    tally.add(effort.report())
    share = tally.share()
    assert share["training_seconds"] > 0.04
    assert share["protocol_seconds"] > 0.04
    assert share["replay_seconds"] == share["evaluation_seconds"] == 0


def test_the_rest_can_be_named() -> None:
    effort, tally = Effort(), Tally(lambda event: None)
    burn(0.05)
    tally.add(effort.report(rest="training"))
    assert tally.share()["training_seconds"] >= 0.04
    assert tally.share()["protocol_seconds"] < 0.04


def test_a_later_report_of_a_process_replaces_the_earlier_and_events_pass_on() -> None:
    seen: list[Event] = []
    tally = Tally(seen.append)
    for total in (1.0, 3.0):
        tally(Event(CPU, 0.0, {"process": 7, "training": total, "total": total}))
    tally(Event(CPU, 0.0, {"process": 8, "training": 1.0, "total": 2.0}))
    assert tally.share() == {
        "training_seconds": 4.0,
        "replay_seconds": 0,
        "evaluation_seconds": 0,
        "protocol_seconds": 1.0,
    }
    assert len(seen) == 3


def test_nonsense_counts_as_nothing() -> None:
    tally = Tally(lambda event: None)
    tally.add({"process": "x", "training": "much", "total": -5})
    assert set(tally.share().values()) == {0}


def test_another_process_is_read_from_the_system() -> None:
    burn(0.05)
    report = effort_of(os.getpid())
    assert report is None or report["total"] >= 0.04
    assert effort_of(2**22 + 1) is None


def test_it_is_told_at_once_and_then_not_for_a_while() -> None:
    effort = Effort()
    assert effort.due()
    effort.report()
    assert not effort.due()
