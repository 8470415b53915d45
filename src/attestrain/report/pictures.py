"""The two pictures of a run folder, made from its events alone."""

from __future__ import annotations

from pathlib import Path

from attestrain.report.events import FILE, read_events
from attestrain.report.loss import Level, loss_svg
from attestrain.report.reference import Reference
from attestrain.report.story import Story, tell_story
from attestrain.report.timeline import timeline_svg

ALONE = "one worker alone"
"""How the labels of methods without any communication begin."""


def write_pictures(folder: Path, reference: Reference | None = None) -> tuple[Path, Path]:
    """Write ``loss.svg`` and ``timeline.svg`` into a run folder and return their paths.

    Raises:
        UsageError: the folder holds no events.
        FormatError: its events cannot be read.
    """
    lines = read_events(folder / FILE)
    story = tell_story(lines)
    loss, timeline = folder / "loss.svg", folder / "timeline.svg"
    loss.write_text(loss_svg(story, levels(story, reference)), encoding="utf-8")
    timeline.write_text(timeline_svg(lines), encoding="utf-8")
    return loss, timeline


def levels(story: Story, reference: Reference | None) -> list[Level]:
    """Losses to compare ``story`` with: one worker alone as this run measured it, and the reference where it fits."""
    found = [Level(ALONE, story.solo[-1][1], "measured in this run")] if story.solo else []
    if reference is not None and reference.fits(story):
        note = f"measured {reference.date}" + ("" if story.dataset == reference.dataset else ", other data")
        found += [Level(method.label, float(method.loss), note) for method in reference.methods]
    return found
