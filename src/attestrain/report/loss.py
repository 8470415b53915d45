"""loss.svg: validation loss of a run, round by round, against the lines it has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attestrain.report.story import Caught, Story
from attestrain.report.svg import Picture, spread, ticks

WIDTH, HEIGHT = 880, 460
LEFT, RIGHT, TOP, BOTTOM = 56, 640, 64, 410
"""The plot's box, in pixels; to its right stand the labels of the lines."""
CROP = 36
"""Height of the title, which a page around the picture does not need."""
LABEL_GAP = 30
"""Least distance between labels, which have two lines each."""
SETTLED = 8
"""The axis begins at the loss after a rounds/SETTLED share: the first fall would flatten all that follows."""

_LIGHT = """
.run{fill:none;stroke:#1f6feb;stroke-width:2.5;stroke-linejoin:round}
.run-mark{fill:#1f6feb}
.level{fill:none;stroke:#59636e;stroke-width:1.5;stroke-dasharray:6 4}
.lead{fill:none;stroke:#b7bfc8;stroke-width:1}
.fault{fill:none;stroke:#d1242f;stroke-width:1.5;stroke-dasharray:3 3}
.fault-text{fill:#d1242f}
"""
_DARK = """
.run{stroke:#58a6ff}
.run-mark{fill:#58a6ff}
.level{stroke:#9aa4af}
.lead{stroke:#3d444d}
.fault{stroke:#ff7b72}
.fault-text{fill:#ff7b72}
"""


@dataclass(frozen=True, slots=True)
class Level:
    """A loss to compare with, drawn as a horizontal line; ``note`` says where it comes from."""

    label: str
    loss: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where rounds and losses lie in the plot."""

    rounds: int
    low: float
    high: float

    def x(self, round_: float) -> float:
        return LEFT + (RIGHT - LEFT) * round_ / self.rounds

    def y(self, loss: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (min(loss, self.high) - self.low) / (self.high - self.low)


def loss_svg(story: Story, levels: Sequence[Level], *, embedded: bool = False) -> str:
    """The picture, for a file of its own or for a page. Without a measured loss it only says so."""
    crop = CROP if embedded else None
    picture = Picture(WIDTH, HEIGHT, f"Validation loss of {story.name}", light=_LIGHT, dark=_DARK, embedded=crop)
    if not embedded:
        picture.text(LEFT, 28, f"Validation loss of {story.name}", "title")
    if not story.losses:
        picture.text(LEFT, 52, "no loss has been measured yet", "soft")
        return picture.render()
    scale = _scale(story, levels)
    _draw_axes(picture, scale)
    for row, caught in enumerate(story.caught):
        _draw_caught(picture, scale, caught, row)
    _draw_losses(picture, scale, story.losses)
    _draw_labels(picture, scale, story, levels)
    return picture.render()


def _scale(story: Story, levels: Sequence[Level]) -> _Scale:
    losses = [loss for _, loss in story.losses]
    known = [*losses[min(len(losses) - 1, len(losses) // SETTLED) :], *(level.loss for level in levels)]
    low, high = min(known), max(known)
    margin = max(0.05 * (high - low), 0.005)
    return _Scale(max(story.rounds, story.losses[-1][0], 1), low - margin, high + margin)


def _draw_axes(picture: Picture, scale: _Scale) -> None:
    for value in ticks(scale.low, scale.high, 8):
        picture.line((LEFT, scale.y(value)), (RIGHT, scale.y(value)), "grid")
        picture.text(LEFT - 8, scale.y(value) + 4, f"{value:.3g}", "soft small", anchor="end")
    for value in ticks(0, scale.rounds, 10):
        if value == int(value):
            picture.text(scale.x(value), BOTTOM + 20, str(int(value)), "soft small", anchor="middle")
    picture.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "axis")
    picture.text((LEFT + RIGHT) / 2, BOTTOM + 40, "rounds completed", "soft small", anchor="middle")


def _draw_caught(picture: Picture, scale: _Scale, caught: Caught, row: int) -> None:
    x = scale.x(caught.during)
    where = f"round {caught.round}, segment {caught.segment}: {caught.detail}"
    picture.line((x, TOP), (x, BOTTOM), "fault", where)
    label = f"worker {caught.worker} caught in round {caught.round}, excluded"
    shift, anchor = (-6, "end") if x > (LEFT + RIGHT) / 2 else (6, "start")
    picture.text(x + shift, TOP + 12 + 16 * row, label, "fault-text small", anchor=anchor)


def _draw_losses(picture: Picture, scale: _Scale, losses: Sequence[tuple[int, float]]) -> None:
    # A loss may rise again before it falls for good: the curve begins behind the last point outside.
    begin = max((index + 1 for index, (_, loss) in enumerate(losses) if loss > scale.high), default=0)
    above, inside = losses[:begin], losses[begin:]
    points = [(scale.x(round_), scale.y(loss)) for round_, loss in inside]
    if above and inside:
        points.insert(0, _entry(scale, above[-1], inside[0]))
        first = f"from {above[0][1]:.2f} at round {above[0][0]}"
        picture.text(points[0][0] + 8, TOP - 6, first, "soft small")
    picture.polyline(points, "run")
    for round_, loss in inside:
        picture.dot(scale.x(round_), scale.y(loss), "run-mark", f"round {round_}: {loss:.4f}", radius=2.5)


def _entry(scale: _Scale, outside: tuple[int, float], inside: tuple[int, float]) -> tuple[float, float]:
    """Where the curve comes in through the top of the plot."""
    share = (outside[1] - scale.high) / (outside[1] - inside[1])
    return scale.x(outside[0] + share * (inside[0] - outside[0])), float(TOP)


def _draw_labels(picture: Picture, scale: _Scale, story: Story, levels: Sequence[Level]) -> None:
    last_round, last = story.losses[-1]
    lines = [Level("this run", last, _ratio(story)), *levels]
    wanted = [scale.y(level.loss) for level in lines]
    for level, y, label_y in zip(lines, wanted, spread(wanted, LABEL_GAP, TOP, BOTTOM), strict=True):
        own = level is lines[0]
        begin = scale.x(last_round) if own else LEFT
        if not own:
            picture.line((begin, y), (RIGHT, y), "level", f"{level.label}: {level.loss:.4f}")
        picture.polyline([(RIGHT if not own else begin, y), (RIGHT + 6, y), (RIGHT + 20, label_y)], "lead")
        picture.text(RIGHT + 24, label_y + 2, f"{level.label}  {level.loss:.3f}")
        picture.text(RIGHT + 24, label_y + 15, level.note, "soft small")


def _ratio(story: Story) -> str:
    ratio = story.mean_ratio()
    return "" if ratio is None else f"{ratio:.0f}x fewer bytes than AllReduce"
