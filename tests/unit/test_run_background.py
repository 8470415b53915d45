from __future__ import annotations

import threading
import time

import pytest

from attestrain.record.names import Round
from attestrain.run.background import Background, Behind, common
from attestrain.run.effort import Effort


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_job_runs_beside_and_says_when_it_ran() -> None:
    background, go = Background(Effort()), threading.Event()
    background.start(go.wait)
    assert background.busy
    begin = time.monotonic()
    go.set()
    span = background.finish()
    assert span is not None
    assert span[0] <= begin <= span[1] <= time.monotonic()
    assert not background.busy


def test_nothing_to_wait_for_is_no_job() -> None:
    assert Background(Effort()).finish() is None


def test_what_a_job_raises_is_raised_where_it_is_waited_for_and_only_once() -> None:
    background = Background(Effort())

    def fail() -> None:
        raise KeyError("lost")

    background.start(fail)
    with pytest.raises(KeyError, match="lost"):
        background.finish()
    assert background.finish() is None
    background.start(time.monotonic)
    assert background.finish() is not None


def test_one_job_at_a_time() -> None:
    background = Background(Effort())
    background.start(time.monotonic)
    with pytest.raises(AssertionError, match="before the one before"):
        background.start(time.monotonic)
    background.finish()


def test_the_processor_time_of_a_job_is_not_that_of_training() -> None:
    effort = Effort()
    background = Background(effort)
    with effort.on("training"):
        background.start(lambda: burn(0.2))
        background.finish()
        burn(0.05)
    report = effort.report()
    assert 0.04 < report["training"] < 0.15
    assert report["total"] > 0.24


@pytest.mark.parametrize(
    ("one", "other", "seconds"),
    [
        ((0, 2), (1, 3), 1),
        ((0, 1), (2, 3), 0),
        ((0, 9), (2, 3), 1),
        ((0, 1), (1, float("inf")), 0),
        ((3, 4), (0, 9), 1),
    ],
)
def test_seconds_in_common(one: tuple[float, float], other: tuple[float, float], seconds: float) -> None:
    assert common(one, other) == common(other, one) == seconds


def test_what_ran_during_training_is_hidden_and_told_once() -> None:
    behind, begin = Behind(), time.monotonic()
    with behind.training(Round(3)):
        during = time.monotonic()
        time.sleep(0.01)
        behind.add((during, time.monotonic()))
    after = time.monotonic()
    behind.add((begin - 5.0, begin))
    behind.add((after, after + 2.0))
    report = behind.report()
    assert report["round"] == 3
    assert 0.01 <= report["training"] <= after - begin + 1e-3
    assert report["seconds"] >= 7.01
    assert 0.0099 <= report["hidden"] <= report["training"] + 1e-4
    assert (behind.report()["seconds"], behind.report()["hidden"]) == (0.0, 0.0)
