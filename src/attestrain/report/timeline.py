"""timeline.svg: what every process did when, one lane each; segments that replay refuted are red."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from attestrain.report.events import Line
from attestrain.report.story import tell_story
from attestrain.report.svg import Picture, ticks

WIDTH, LEFT, RIGHT, TOP = 960, 150, 940, 76
CROP = 36
"""Height of the title, which a page around the picture does not need."""
LANE, BAR = 26, 16
"""Height of a lane and of the bars in it, in pixels."""
MAX_LANES = 24
"""Most lanes drawn: more do not fit on a screen; those with faults come first."""
MAX_BARS = 1200
"""Most bars drawn: keeps the file below 60 kB; beyond it, neighbours a few pixels apart melt into one."""
THIN = 1.5
"""Least width of a bar in pixels."""

KINDS = ("training", "compress", "publish", "audit", "aggregate")

_LIGHT = """
.training{fill:#8fb8ee}
.compress{fill:#e0a526}
.publish{fill:#1a9c74}
.audit{fill:#8a6fd1}
.aggregate{fill:#47535f}
.fault{fill:#d1242f}
.fault-text{fill:#d1242f}
"""
_DARK = """
.training{fill:#33609b}
.compress{fill:#d9a441}
.publish{fill:#3fb68b}
.audit{fill:#a68be8}
.aggregate{fill:#b9c3cd}
.fault{fill:#ff7b72}
.fault-text{fill:#ff7b72}
"""

Span = tuple[float, float]


@dataclass(slots=True)
class _Lane:
    """One process: its bars by kind, in seconds since the start."""

    label: str
    bars: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Chart:
    """Everything to draw, in seconds since the start."""

    lanes: dict[tuple[int, int], _Lane] = field(default_factory=dict)
    rounds: list[tuple[int, float]] = field(default_factory=list)
    segments: dict[tuple[int, int, int], Span] = field(default_factory=dict)
    latest_update: float = 0.0
    end: float = 0.0

    def lane(self, order: int, number: int, label: str) -> _Lane:
        return self.lanes.setdefault((order, number), _Lane(label))


def timeline_svg(lines: Sequence[Line], *, embedded: bool = False) -> str:
    """The picture of a run's events, for a file of its own or for a page."""
    story = tell_story(lines)
    title = f"Who did what when: {story.name}"
    chart = _collect(lines, story.started or 0.0)
    excluded = {caught.worker for caught in story.caught}
    chosen = sorted(chart.lanes, key=lambda key: (not chart.lanes[key].notes, key))[:MAX_LANES]
    height, crop = TOP + LANE * len(chosen) + 60, CROP if embedded else None
    picture = Picture(WIDTH, height, title, light=_LIGHT, dark=_DARK, embedded=crop)
    if not embedded:
        picture.text(16, 28, title, "title")
    _draw_legend(picture)
    scale = (RIGHT - LEFT) / max(chart.end, 1e-3)
    bottom = TOP + LANE * len(chosen)
    _draw_grid(picture, chart, scale, bottom)
    gap = _melting_gap([chart.lanes[key] for key in chosen], scale)
    for row, key in enumerate(sorted(chosen)):
        _draw_lane(picture, chart.lanes[key], TOP + LANE * row, scale, gap, out=key[0] == 0 and key[1] in excluded)
    if hidden := len(chart.lanes) - len(chosen):
        picture.text(16, bottom + 44, f"{hidden} more processes are not shown", "soft small")
    return picture.render()


def _collect(lines: Iterable[Line], start: float) -> _Chart:
    chart = _Chart()
    for line in lines:
        at = line.time - start
        chart.end = max(chart.end, at)
        if line.kind == "round-open":
            chart.rounds.append((line.integer("round"), at))
        elif line.kind in _COLLECTORS:
            _COLLECTORS[line.kind](chart, line, at)
    return chart


def _segment(chart: _Chart, line: Line, at: float) -> None:
    worker = line.integer("worker")
    span = (at - (line.number("seconds") or 0.0), at)
    kind = "compress" if line.text("phase") == "compress" else "training"
    chart.lane(0, worker, f"worker {worker}").bars[kind].append(span)
    chart.segments[worker, line.integer("round"), line.integer("segment")] = span


def _published(chart: _Chart, line: Line, at: float) -> None:
    worker = line.integer("worker")
    chart.lane(0, worker, f"worker {worker}").bars["publish"].append((at, at))
    chart.latest_update = at


def _aggregated(chart: _Chart, line: Line, at: float) -> None:
    """Aggregating begins when the last update is there."""
    chart.lane(2, 0, "sequencer").bars["aggregate"].append((chart.latest_update, at))


def _finding(chart: _Chart, line: Line, at: float) -> None:
    auditor = line.integer("auditor")
    span = (at - (line.number("seconds") or 0.0), at)
    lane = chart.lane(1, auditor, f"auditor {auditor}")
    if line.text("outcome") != "fault":
        lane.bars["audit"].append(span)
        return
    lane.bars["fault"].append(span)
    worker, round_, segment = (line.integer(key) for key in ("worker", "round", "segment"))
    accused = chart.lane(0, worker, f"worker {worker}")
    accused.notes.append(f"round {round_}, segment {segment}: {line.text('detail')}")
    if (worker, round_, segment) in chart.segments:
        accused.bars["fault"].append(chart.segments[worker, round_, segment])


_COLLECTORS = {"segment": _segment, "published": _published, "aggregated": _aggregated, "finding": _finding}


def _draw_legend(picture: Picture) -> None:
    x = 16.0
    for kind in (*KINDS, "fault"):
        label = "refuted by replay" if kind == "fault" else kind
        picture.bars([(x, x + 12)], 44, 12, kind)
        picture.text(x + 18, 55, label, "small")
        x += 36 + 6.4 * len(label)


def _draw_grid(picture: Picture, chart: _Chart, scale: float, bottom: float) -> None:
    for round_, at in chart.rounds:
        picture.line((LEFT + at * scale, TOP), (LEFT + at * scale, bottom), "grid", f"round {round_} opens")
    for value in ticks(0, chart.end, 10):
        picture.text(LEFT + value * scale, bottom + 18, f"{value:g} s", "soft small", anchor="middle")
    picture.line((LEFT, bottom), (RIGHT, bottom), "axis")


def _draw_lane(picture: Picture, lane: _Lane, y: float, scale: float, gap: float, *, out: bool) -> None:
    label = f"{lane.label}, excluded" if out else lane.label
    picture.text(16, y + LANE / 2 + 4, label, "fault-text" if out else "")
    for kind in (*KINDS, "fault"):
        spans = _melt(lane.bars.get(kind, []), scale, gap)
        note = "; ".join(lane.notes[:3]) if kind == "fault" else kind
        picture.bars([(LEFT + a, LEFT + b) for a, b in spans], y + (LANE - BAR) / 2, BAR, kind, note)


def _melt(spans: Iterable[Span], scale: float, gap: float) -> list[Span]:
    """Spans in pixels, at least ``THIN`` wide, joined where less than ``gap`` apart."""
    joined: list[Span] = []
    for a, b in sorted((a * scale, max(b * scale, a * scale + THIN)) for a, b in spans):
        if joined and a - joined[-1][1] < gap:
            joined[-1] = (joined[-1][0], max(b, joined[-1][1]))
        else:
            joined.append((a, b))
    return joined


def _melting_gap(lanes: Sequence[_Lane], scale: float) -> float:
    """Smallest gap, in pixels, at which no more than ``MAX_BARS`` bars remain."""
    gap = 0.5
    while sum(len(_melt(spans, scale, gap)) for lane in lanes for spans in lane.bars.values()) > MAX_BARS:
        gap *= 2
    return gap
