"""Pictures as plain SVG text: no library, no script, no font to load, readable on light and on dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"

_BASE = f"""
text{{font:13px {FONT};fill:#24292f}}
.paper{{fill:#ffffff}}
.title{{font-size:16px;font-weight:600}}
.soft{{fill:#59636e}}
.small{{font-size:11px}}
.grid{{stroke:#e4e8ec;stroke-width:1;fill:none}}
.axis{{stroke:#8b949e;stroke-width:1;fill:none}}
"""
_BASE_DARK = """
text{fill:#e6edf3}
.paper{fill:#0d1117}
.soft{fill:#9aa4af}
.grid{stroke:#262d36}
.axis{stroke:#6e7681}
"""


def number(value: float) -> str:
    """A coordinate: at most one digit after the point, which is a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


class Picture:
    """An SVG being drawn.

    Args:
        width: in pixels.
        height: in pixels.
        title: what the picture shows, drawn at its top and read out by screen readers.
        light: CSS of the picture's own classes.
        dark: what changes of it on a dark page.
        embedded: it stands in a page that has a heading and styles of its own: pixels to leave out at the top, where
            the title is drawn; None for a file of its own.
    """

    def __init__(
        self, width: int, height: int, title: str, *, light: str, dark: str, embedded: int | None = None
    ) -> None:
        self.width, self.height = width, height
        if embedded is not None:
            box = f'viewBox="0 {embedded} {width} {height - embedded}"'
            self._parts: list[str] = [f'<svg {box} role="img" class="figure">', f"<title>{escape(title)}</title>"]
            return
        style = f"{_BASE}{light}@media(prefers-color-scheme:dark){{{_BASE_DARK}{dark}}}"
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            f'<rect class="paper" width="{width}" height="{height}"/>',
        ]

    def text(self, x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> None:
        """A line of text with its baseline at ``y``."""
        end = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text x="{number(x)}" y="{number(y)}"{_class(kind)}{end}>{escape(text)}</text>')

    def line(self, start: tuple[float, float], end: tuple[float, float], kind: str, note: str = "") -> None:
        """A straight line; ``note`` appears when the pointer rests on it."""
        (x1, y1), (x2, y2) = start, end
        self._parts.append(
            f'<path d="M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}"{_class(kind)}>{_note(note)}</path>'
        )

    def cell(self, box: tuple[float, float, float, float], kind: str, note: str, anchor: str = "") -> None:
        """A rectangle (left, top, width, height) that says ``note`` and leads to ``anchor`` of its page, if any."""
        x, y, width, height = (number(value) for value in box)
        drawn = f'<rect x="{x}" y="{y}" width="{width}" height="{height}"{_class(kind)}>{_note(note)}</rect>'
        self._parts.append(f'<a href="#{escape(anchor)}" tabindex="-1">{drawn}</a>' if anchor else drawn)

    def polyline(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line through ``points``."""
        path = "L".join(f"{number(x)} {number(y)}" for x, y in points)
        self._parts.append(f'<path d="M{path}"{_class(kind)}/>')

    def dot(self, x: float, y: float, kind: str, note: str = "", *, radius: float = 3) -> None:
        """A filled circle; ``note`` appears when the pointer rests on it."""
        place = f'cx="{number(x)}" cy="{number(y)}" r="{number(radius)}"'
        self._parts.append(f"<circle {place}{_class(kind)}>{_note(note)}</circle>")

    def bars(self, spans: Sequence[tuple[float, float]], y: float, height: float, kind: str, note: str = "") -> None:
        """Bars of one kind on one lane, as a single path: a picture of thousands stays small."""
        if spans:
            path = "".join(f"M{number(a)} {number(y)}h{number(b - a)}v{number(height)}H{number(a)}z" for a, b in spans)
            self._parts.append(f'<path d="{path}"{_class(kind)}>{_note(note)}</path>')

    def render(self) -> str:
        """The finished document."""
        return "\n".join([*self._parts, "</svg>"]) + "\n"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _note(note: str) -> str:
    return f"<title>{escape(note)}</title>" if note else ""


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values from ``low`` to ``high``, at most ``most`` of them, in steps of 1, 2 or 5 times a power of 10."""
    span = high - low
    if span <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions for labels, in the given order: near the wanted ones, ``gap`` apart, between ``low`` and ``high``."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = [0.0] * len(positions)
    at = low - gap
    for i in order:
        at = placed[i] = max(positions[i], at + gap)
    at = high + gap
    for i in reversed(order):
        at = placed[i] = min(placed[i], at - gap)
    return placed
