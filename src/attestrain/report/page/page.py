"""The whole page before it is drawn: one value that the template walks through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from attestrain.record.bundle import Files
from attestrain.report.events import Line
from attestrain.report.loss import loss_svg
from attestrain.report.page import words
from attestrain.report.page.chain import ChainPage, chain_page
from attestrain.report.page.figures import bars_svg, strip_svg
from attestrain.report.page.justice import Justice, justice
from attestrain.report.page.people import People, people
from attestrain.report.page.reading import read_bundle
from attestrain.report.page.result import Result, chart_data, result
from attestrain.report.page.rounds import STATES, Rounds, rounds
from attestrain.report.page.sources import EntryRow, FileRow, Sources
from attestrain.report.page.strength import ClaimGroup, Guarantee, claim_groups, guarantees, qualifier_notes
from attestrain.report.page.subject import Subject, subject
from attestrain.report.pictures import levels
from attestrain.report.reference import Reference
from attestrain.report.story import Story, tell_story
from attestrain.report.timeline import timeline_svg
from attestrain.verify.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """How the verdict came about.

    Attributes:
        policy: name of the policy file, empty without one.
        found: it was not given but lay beside the bundle.
        bundle: the bundle's folder as the page's commands name it.
        command: what gives the verdict again.
    """

    policy: str
    found: bool
    bundle: str
    command: str


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that the template shows. ``pictures`` are finished SVG, ``charts`` the data of interactive ones."""

    judged: Judged
    verdict: Verdict
    sentence: str
    consequence: str
    subject: Subject
    when: str
    seconds: float
    has_events: bool
    note: str
    troubles: list[str]
    guarantees: list[Guarantee]
    qualifiers: list[tuple[str, str]]
    not_claimed: tuple[tuple[str, str], ...]
    claims: list[ClaimGroup]
    people: People
    justice: Justice
    rounds: Rounds
    states: dict[str, str]
    result: Result
    chain: ChainPage
    files: list[FileRow]
    entries: list[EntryRow]
    pictures: dict[str, str]
    charts: dict[str, Any]


def compose(
    files: Files, verdict: Verdict, judged: Judged, lines: Sequence[Line], reference: Reference | None, note: str = ""
) -> Page:
    """The page of a bundle.

    Args:
        files: the bundle.
        verdict: what `verify` made of it.
        judged: how.
        lines: events of the same run; none where only the bundle is at hand.
        reference: what shipped figures the loss may be compared with.
        note: a remark on what was left aside.
    """
    reading, story = read_bundle(files), tell_story(lines)
    sources = Sources(reading)
    strength = guarantees(verdict, sources)
    worked, achieved = rounds(reading, verdict, story, sources), result(reading, story, reference, sources)
    trained = subject(reading, sources, story.name or "unknown run")
    everybody, faults = people(reading, verdict, story, sources), justice(reading, verdict, story, sources)
    chain = chain_page(reading, story, sources)
    return Page(
        judged=judged,
        verdict=verdict,
        sentence=words.verdict_sentence(verdict),
        consequence=words.CONSEQUENCE[verdict.outcome],
        subject=trained,
        when="" if story.started is None else _day(story.started),
        seconds=story.seconds,
        has_events=bool(lines),
        note=note,
        troubles=reading.troubles,
        guarantees=strength,
        qualifiers=qualifier_notes(strength),
        not_claimed=words.NOT_CLAIMED,
        claims=claim_groups(verdict),
        people=everybody,
        justice=faults,
        rounds=worked,
        states=STATES,
        result=achieved,
        chain=chain,
        files=sources.files(),
        entries=sources.entries(),
        pictures=_pictures(story, lines, reference, worked, achieved),
        charts=chart_data(story, reference, achieved.traffic),
    )


def _day(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return ""


def _pictures(
    story: Story, lines: Sequence[Line], reference: Reference | None, worked: Rounds, achieved: Result
) -> dict[str, str]:
    """Pictures by name; a name is missing where there is nothing to draw."""
    drawn = {"strip": strip_svg(worked.cells)}
    if story.losses:
        drawn["loss"] = loss_svg(story, levels(story, reference), embedded=True)
    if achieved.traffic is not None:
        drawn["bytes"] = bars_svg(achieved.traffic)
    if lines:
        drawn["timeline"] = timeline_svg(lines, embedded=True)
    return {name: svg for name, svg in drawn.items() if svg}
