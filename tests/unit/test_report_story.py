"""What a run's events add up to."""

from __future__ import annotations

import pytest

from attestrain.report.events import Line
from attestrain.report.page.result import _shares
from attestrain.report.page.sources import Source
from attestrain.report.stakes import ChainStory, Shares, shown_coins
from attestrain.report.story import Story, tell_story


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (1, "less than 0.000001"),
        (10**18, "1"),
        (25 * 10**17, "2.5"),
        (1234 * 10**18 + 10**12, "1,234.000001"),
        (10**18 - 1, "0.999999"),
    ],
)
def test_coins_are_never_rounded_up(amount: int, text: str) -> None:
    assert shown_coins(amount) == text


def test_odd_chain_events_tell_nothing_false() -> None:
    odd = [
        Line("slashed", 1.0, {"worker": 1, "amount": "-5", "burned": "1e3", "reporter_share": None}),
        Line("vote", 1.0, {"case": "unheard of", "auditor": 1, "guilty": True}),
        Line("case-closed", 1.0, {"case": "x", "worker": 1, "outcome": "innocent"}),
        Line("vote", 2.0, {"case": "x", "auditor": 1, "guilty": "yes"}),
        Line("share", 3.0, {"training_seconds": "much"}),
    ]
    chain = tell_story(odd).chain
    assert (chain.slashed[1].amount, chain.slashed[1].burned) == (0, 0)
    assert chain.cases["x"].votes == {1: False}
    assert chain.cases["x"].accuser == -1
    assert chain.shares is not None
    assert chain.shares.overhead == 0.0


def test_the_parts_of_the_processor_time_are_the_whole() -> None:
    shares = Shares(training=6.0, replay=2.0, protocol=1.0, evaluation=1.0)
    assert (shares.total, shares.overhead) == (10.0, 0.1)
    story = Story(chain=ChainStory(shares=shares))
    rows = _shares(story, Source("e", "events.jsonl", "said by the run"))
    assert [share.text for _, _, share in rows] == ["60.0 %", "20.0 %", "10.0 %", "10.0 %"]
