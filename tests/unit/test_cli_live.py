from __future__ import annotations

from attestrain.cli.live import chain_line, describe
from attestrain.report.events import Line
from attestrain.report.story import Story, tell_story
from tests.unit.report_world import on_chain


def test_a_case_is_told_from_its_opening_to_the_pay() -> None:
    story, said = Story(), []
    for line in on_chain():
        story.tell(line)
        said.append(describe(line, story))
    assert [text for text in said if text] == [
        f"chain 31337 (embedded), run ledger 0x{'5f' * 20}",
        "case against worker 2 (round 1, segment 1), opened by auditor 1",
        "case against worker 2 decided: guilty, 2 of 3 votes guilty",
        "worker 2 lost 5 coins of its stake: 3 burned, 2 to the accuser",
        "worker 0 was paid 25 coins",
        "worker 1 was paid 0.5 coins",
    ]


def test_the_chain_stands_in_one_line() -> None:
    assert chain_line(tell_story(on_chain())) == (
        "chain 31337 (embedded)  1 anchor, the last of 9 entries in block 12  60 coins staked by 6  "
        "case against worker 2: guilty  25.5 coins paid to 2"
    )


def test_an_open_case_counts_its_votes() -> None:
    story = tell_story(line for line in on_chain() if line.kind not in ("case-closed", "slashed", "claimed"))
    assert "case against worker 2: open, 3 votes" in chain_line(story)


def test_a_case_nobody_opened_is_not_told() -> None:
    line = Line("vote", 1.0, {"case": "x", "auditor": 0, "guilty": True})
    assert describe(line, tell_story([line])) == ""


def test_a_rank_is_told_when_it_is_another_than_in_the_round_before() -> None:
    story, said = Story(), []
    for number, rank in enumerate((16, 16, 13, 13)):
        line = Line("aggregated", 1.0 + number, {"round": number, "rank": rank})
        story.tell(line)
        said.append(describe(line, story))
    assert said == ["round 0 had updates of rank 16", "", "round 2 had updates of rank 13", ""]
