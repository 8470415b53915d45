"""The two pictures of a run folder, made from its events alone."""

from __future__ import annotations

from pathlib import Path

from attestrain.report.events import FILE, read_events
from attestrain.report.loss import Level, loss_svg
from attestrain.report.reference import Reference
from attestrain.report.story import Story, tell_story
from attestrain.report.timeline import timeline_svg

SOLO = "solo-muon"
"""The reference for one worker alone: of interest only where the run did not measure its own."""


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
    found = [Level("one worker alone", story.solo[-1][1], "measured in this run")] if story.solo else []
    if reference is not None and reference.fits(story):
        note = f"measured {reference.date}" + ("" if story.dataset == reference.dataset else ", other data")
        methods = [method for method in reference.methods if method.name != SOLO or not story.solo]
        found += [Level(method.label, float(method.loss), note) for method in methods]
    return found
