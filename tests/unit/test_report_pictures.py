from __future__ import annotations

import itertools
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from attestrain.errors import FormatError, UsageError
from attestrain.report.events import Line, read_events
from attestrain.report.loss import Level, loss_svg
from attestrain.report.pictures import levels, write_pictures
from attestrain.report.reference import Method, Reference
from attestrain.report.story import Story, tell_story
from attestrain.report.svg import spread, ticks
from attestrain.report.timeline import timeline_svg

MAX_PICTURE = 60_000


def make_events(rounds: int = 4, workers: int = 3, *, cheat: int | None = 2) -> list[Line]:
    """A run as it would tell itself, with one worker caught in round 1 while round 2 is trained."""
    clock, lines = 1000.0, []

    def say(kind: str, **data: object) -> None:
        nonlocal clock
        clock += 0.5
        lines.append(Line(kind, clock, data))

    sizes = {"parameters": 1000, "rounds": rounds, "steps": 4, "batch": 4, "workers": workers, "auditors": 1}
    say("start", run="ab" * 32, name='a <run> & "more"', **sizes, allreduce=16_000 * rounds, dataset_digest="cd" * 32)
    for round_ in range(rounds):
        out = set() if cheat is None or round_ < 3 else {cheat}
        say("round-open", round=round_)
        for worker in sorted(set(range(workers)) - out):
            say("segment", worker=worker, round=round_, segment=0, phase="adopt", loss=None, tokens=0, seconds=0.1)
            say("segment", worker=worker, round=round_, segment=1, phase="inner", loss=2.0, tokens=100, seconds=0.4)
            say("segment", worker=worker, round=round_, segment=2, phase="compress", loss=None, tokens=0, seconds=0.1)
            say("receipt", round=round_, worker=worker)
        if round_ == 2 and cheat is not None:
            place = {"round": 1, "worker": cheat, "segment": 1}
            say("finding", **place, phase="inner", outcome="fault", detail="step 3: loss", seconds=0.3)
            say("excluded", worker=cheat, round=1, segment=1, detail="step 3: loss")
        say("close", round=round_, receipts=workers)
        for worker in sorted(set(range(workers)) - out):
            say("published", round=round_, worker=worker, bytes=100)
            place = {"round": round_, "worker": worker, "segment": 0}
            say("finding", **place, phase="adopt", outcome="exact", detail="", seconds=0.1)
        absent = {str(worker): "excluded" for worker in out}
        say("aggregated", round=round_, members=[], absent=absent, seconds=0.2)
        say("evaluated", round=round_, loss=5.0 / (round_ + 1) + 1)
    say("solo", round=rounds - 1, loss=2.5)
    say("finish", loss=5.0 / rounds + 1, uploaded=100 * rounds, allreduce=16_000 * rounds, seconds=clock - 1000)
    return lines


def test_a_pause_takes_no_time() -> None:
    lines = make_events()
    later = [Line(line.kind, line.time + 3600.0, line.data) for line in lines]
    went_on = tell_story([*lines[:9], *later])
    assert went_on.seconds == pytest.approx(tell_story(lines).seconds + (lines[8].time - lines[0].time))


def test_the_story_adds_up() -> None:
    story = tell_story(make_events())
    assert story.finished
    assert story.losses == [(1, 6.0), (2, 3.5), (3, 5 / 3 + 1), (4, 2.25)]
    assert story.solo == [(4, 2.5)]
    assert [worker.updates for worker in story.workers.values()] == [4, 4, 3]
    assert story.workers[2].state == "excluded"
    assert (story.workers[2].passed, story.workers[2].failed) == (3, 1)
    assert [(caught.worker, caught.round, caught.segment, caught.during) for caught in story.caught] == [(2, 1, 1, 2)]
    assert story.absent == {3: {2: "excluded"}}
    assert story.ratio(story.workers[0]) == 160.0
    assert story.mean_ratio() == 160.0
    assert story.tokens == 100 * 11


def test_a_resumed_run_measures_a_round_once() -> None:
    lines = make_events()
    again = [line for line in lines if line.kind in ("start", "evaluated")][:2]
    assert tell_story([*lines[:-1], *again]).losses == tell_story(lines).losses
    assert tell_story([*lines, *again]).started == lines[0].time


def test_a_loss_that_is_not_finite_is_no_loss() -> None:
    assert tell_story([Line("evaluated", 1.0, {"round": 0, "loss": float("nan")})]).losses == []


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_loss_picture_labels_every_line_and_the_exclusion() -> None:
    story = tell_story(make_events())
    svg = loss_svg(story, [Level("one worker alone", 2.5), Level("AllReduce AdamW", 2.4, "measured today")])
    found = texts(svg)
    assert 'Validation loss of a <run> & "more"' in found
    assert "this run  2.250" in found
    assert "AllReduce AdamW  2.400" in found
    assert "worker 2 caught in round 1, excluded" in found
    assert "prefers-color-scheme:dark" in svg
    assert len(svg) < MAX_PICTURE


def test_loss_picture_of_a_run_that_measured_nothing() -> None:
    assert "no loss has been measured yet" in texts(loss_svg(Story(name="x"), []))


@pytest.mark.parametrize("losses", [[(1, 2.0)], [(1, 2.0), (2, 2.0)], [(1, 1e9), (2, 1.0)]])
def test_loss_picture_of_odd_runs_is_well_formed(losses: list[tuple[int, float]]) -> None:
    svg = loss_svg(Story(name="x", rounds=2, losses=losses), [])
    ElementTree.fromstring(svg)
    assert "nan" not in svg


@pytest.mark.parametrize("falling", [[5.0, 2.0, 4.0], [5.0, 2.0, 4.0, 4.5, 4.5]])
def test_a_loss_that_rises_again_before_it_falls_is_drawn_from_where_it_stays_inside(falling: list[float]) -> None:
    losses = list(enumerate([*falling, *[2.0 - 0.01 * step for step in range(8 * len(falling))]], start=1))
    svg = loss_svg(Story(name="x", rounds=len(losses), losses=losses), [])
    ElementTree.fromstring(svg)
    assert "from 5.00 at round 1" in texts(svg)
    assert svg.count('class="run-mark"') == 8 * len(falling)


def test_timeline_has_a_lane_per_process_and_the_fault_in_red() -> None:
    svg = timeline_svg(make_events())
    assert {"worker 0", "worker 1", "worker 2, excluded", "auditor 0", "sequencer"} <= set(texts(svg))
    root = ElementTree.fromstring(svg)
    faults = [path for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("class") == "fault"]
    assert len(faults) == 3  # the legend, the refuted segment, and the replay that refuted it
    assert any("round 1, segment 1: step 3: loss" in "".join(path.itertext()) for path in faults)


def test_timelines_stay_small_however_long_the_run() -> None:
    svg = timeline_svg(make_events(rounds=400, workers=40, cheat=39))
    assert len(svg) < MAX_PICTURE
    assert "worker 39, excluded" in texts(svg)
    assert any("more processes are not shown" in text for text in texts(svg))


def test_timeline_of_nothing() -> None:
    ElementTree.fromstring(timeline_svg([]))


def reference(**changes: object) -> Reference:
    methods = (Method("allreduce-adamw", "AllReduce AdamW", "1.5", {}), Method("solo-muon", "alone", "2.2", {}))
    sizes: dict[str, object] = {"steps": 16, "workers": 3, "batch": 4, "parameters": 1000, "dataset": "cd" * 32}
    return Reference(command="c", date="2026-01-01", machine="m", methods=methods, **sizes | changes)  # type: ignore[arg-type]


def test_levels_come_from_the_run_and_from_a_reference_that_fits() -> None:
    story = tell_story(make_events())
    assert [level.label for level in levels(story, reference())] == ["one worker alone", "AllReduce AdamW", "alone"]
    assert [level.label for level in levels(story, reference(steps=17))] == ["one worker alone"]
    story.solo.clear()
    assert [level.label for level in levels(story, reference())] == ["AllReduce AdamW", "alone"]


def test_a_reference_for_other_data_says_so() -> None:
    story = tell_story(make_events())
    assert "rough guide" not in reference().provenance(story)
    assert "rough guide" in reference(dataset="ee" * 32).provenance(story)
    assert any("other data" in level.note for level in levels(story, reference(dataset="ee" * 32)))


def write_events(path: Path, lines: list[Line]) -> None:
    path.write_text("".join(json.dumps({"time": n.time, "kind": n.kind, **n.data}) + "\n" for n in lines))


def test_pictures_come_from_the_events_alone(tmp_path: Path) -> None:
    lines = make_events()
    write_events(tmp_path / "events.jsonl", lines)
    assert read_events(tmp_path / "events.jsonl") == lines
    loss, timeline = write_pictures(tmp_path)
    assert loss.read_text() == loss_svg(tell_story(lines), [Level("one worker alone", 2.5, "measured in this run")])
    assert timeline.read_text() == timeline_svg(lines)


def test_a_torn_last_line_is_passed_over_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"time": 1, "kind": "start"}\n{"time": 2, "ki')
    assert [line.kind for line in read_events(path)] == ["start"]
    path.write_text('{"time": 1, "kind": "start"}\n{"time": 2}\n')
    with pytest.raises(FormatError, match=":2 is not an event"):
        read_events(path)
    with pytest.raises(UsageError):
        read_events(tmp_path / "none")


def test_ticks_are_round_and_few() -> None:
    assert ticks(0, 30, 10) == [0, 5, 10, 15, 20, 25, 30]
    assert ticks(1.48, 3.02, 8) == pytest.approx([1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0])
    assert ticks(2, 2, 5) == [2]


def test_labels_keep_their_distance_and_their_order() -> None:
    placed = spread([100, 101, 102, 300], 30, 0, 310)
    assert all(b - a >= 30 for a, b in itertools.pairwise(placed))
    assert placed[0] >= 0
    assert placed[-1] <= 310
