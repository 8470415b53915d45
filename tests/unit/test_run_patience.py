from __future__ import annotations

from attestrain.run.patience import FLOOR, MULTIPLE, Patience


def test_before_any_round_it_waits_as_long_as_allowed():
    assert Patience(600).seconds == 600


def test_then_as_the_median_round_says():
    patience = Patience(600)
    for seconds in (20, 10, 500):
        patience.note(seconds)
    assert patience.seconds == MULTIPLE * 20


def test_never_less_than_a_restart_takes_and_never_more_than_allowed():
    patience = Patience(600)
    patience.note(0.1)
    assert patience.seconds == FLOOR
    for _ in range(3):
        patience.note(1000)
    assert patience.seconds == 600
    hurried = Patience(2)
    hurried.note(1)
    assert hurried.seconds == 2
