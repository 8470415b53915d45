"""The pictures that only the page has: rounds by workers as a heat strip, and bytes as two bars."""

from __future__ import annotations

from collections.abc import Sequence

from attestrain.report.page.result import Traffic
from attestrain.report.page.rounds import Cell
from attestrain.report.svg import Picture
from attestrain.report.units import shown_bytes

STRIP_LEFT, STRIP_TOP, ROW, GAP = 84, 8, 26, 3
STRIP_WIDTH = 900
WIDEST = 44
"""Widest cell in pixels: few rounds should not look like a flag."""
MAX_COLUMNS = 120
"""Most columns: beyond it one stands for several rounds and shows the worst of them."""
MAX_ROWS = 60
"""Most workers drawn; those at fault come first."""
WORST = ("fault", "left", "absent", "unchecked", "counted")
"""States, the one that most needs to be seen first."""

BARS_WIDTH, BARS_HEIGHT, BAR_LEFT = 900, 116, 190


def strip_svg(cells: Sequence[Cell]) -> str:
    """A cell per worker and round. Empty without any."""
    if not cells:
        return ""
    workers = _chosen(cells)
    rounds = sorted({cell.round for cell in cells})
    each = -(-len(rounds) // MAX_COLUMNS)
    columns = -(-len(rounds) // each)
    width = min(WIDEST, (STRIP_WIDTH - STRIP_LEFT) / columns)
    height = STRIP_TOP + ROW * len(workers) + 30
    picture = Picture(STRIP_WIDTH, height, "What became of every worker-round", light="", dark="", embedded=0)
    columns_of: dict[tuple[int, int], list[Cell]] = {}
    for cell in cells:
        columns_of.setdefault((cell.worker, (cell.round - rounds[0]) // each), []).append(cell)
    for row, worker in enumerate(workers):
        top = STRIP_TOP + ROW * row
        picture.text(0, top + ROW / 2 + 4, f"worker {worker}")
        for column in range(columns):
            held = columns_of.get((worker, column))
            if held:
                box = STRIP_LEFT + width * column, top, width - min(GAP, width / 4), ROW - GAP
                _draw_cell(picture, box, min(held, key=lambda cell: WORST.index(cell.state)))
    _draw_rounds(picture, rounds, each, columns, width, STRIP_TOP + ROW * len(workers))
    return picture.render()


def _chosen(cells: Sequence[Cell]) -> list[int]:
    """Workers to draw, ascending."""
    bad = {cell.worker for cell in cells if cell.state == "fault"}
    workers = sorted({cell.worker for cell in cells}, key=lambda worker: (worker not in bad, worker))
    return sorted(workers[:MAX_ROWS])


def _draw_cell(picture: Picture, box: tuple[float, float, float, float], cell: Cell) -> None:
    picture.cell(box, f"cell {cell.state}", cell.note, cell.anchor)
    x, y, width, height = box
    if cell.state == "fault":
        # A cross besides the colour: readable in grey, and to those who do not tell red from green.
        middle, centre, arm = x + width / 2, y + height / 2, min(width, height) / 4
        picture.line((middle - arm, centre - arm), (middle + arm, centre + arm), "cross")
        picture.line((middle - arm, centre + arm), (middle + arm, centre - arm), "cross")
    elif cell.state == "left":
        picture.line((x + 2, y + height / 2), (x + width - 2, y + height / 2), "dash")


def _draw_rounds(picture: Picture, rounds: Sequence[int], each: int, columns: int, width: float, bottom: float) -> None:
    step = next(step for step in (1, 2, 5, 10, 20, 50) if step * width >= 26 or step == 50)
    for column in range(0, columns, step):
        x = STRIP_LEFT + width * column + width / 2 - 1
        picture.text(x, bottom + 14, str(rounds[0] + column * each), "soft small", anchor="middle")
    picture.text(0, bottom + 14, "round", "soft small")


def bars_svg(traffic: Traffic) -> str:
    """Bytes that a worker sends in a round, here and with AllReduce, to one scale."""
    title = f"A worker sends {shown_bytes(traffic.ours)} a round, {shown_bytes(traffic.allreduce)} with AllReduce"
    picture = Picture(BARS_WIDTH, BARS_HEIGHT, title, light="", dark="", embedded=0)
    room = BARS_WIDTH - BAR_LEFT - 110
    largest = max(traffic.ours, traffic.allreduce, 1)
    for row, (label, size, kind) in enumerate(
        (("this run", traffic.ours, "bar-ours"), ("fp32 AllReduce", traffic.allreduce, "bar-other"))
    ):
        top = 12 + 50 * row
        length = max(2.0, room * size / largest)
        picture.text(0, top + 22, label, "strong" if row == 0 else "")
        picture.bars([(BAR_LEFT, BAR_LEFT + length)], top, 32, kind, f"{size:,} bytes")
        picture.text(BAR_LEFT + length + 10, top + 22, shown_bytes(size), "strong" if row == 0 else "soft")
    return picture.render()
