"""Speaking to people and to programs: results on standard output, talk on standard error, colour only on a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from attestrain.errors import AttestrainError
from attestrain.report.units import shown_bytes as shown_bytes

MAX_WIDTH = 120
"""Widest table: longer lines are hard to follow even where the terminal is wider."""
MIN_LAST = 24
"""Narrowest last column, in characters: below it a table is wider than the terminal rather than a ribbon."""

_STYLES = {"good": "32", "bad": "31", "warn": "33", "soft": "2", "strong": "1"}
_WORDS = {
    "PASS": "good",
    "VERIFIED": "good",
    "exact": "good",
    "ok": "good",
    "FAIL": "bad",
    "REFUTED": "bad",
    "fault": "bad",
    "excluded": "bad",
    "SKIPPED": "soft",
    "tolerance": "warn",
    "CONSISTENT": "warn",
    "UNDECIDED": "warn",
    "warning": "warn",
    "problem": "bad",
}
"""Words that carry a colour of their own wherever they fill a cell."""

# Control characters other than tab and line feed: names and details come from files that strangers wrote.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def colourful(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal whose user did not ask for plain text (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO) -> str:
    """``text`` in a style of this module, where ``stream`` shows colour."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and colourful(stream) else text


def clean(text: str) -> str:
    """``text`` without characters that could steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def width() -> int:
    """Columns to write in."""
    return min(shutil.get_terminal_size((100, 24)).columns, MAX_WIDTH)


def say(text: str = "", *, quiet: bool = False) -> None:
    """Talk: progress and remarks, on standard error."""
    if not quiet:
        print(clean(text), file=sys.stderr, flush=True)


def show(text: str = "") -> None:
    """A result for people, on standard output."""
    print(clean(text))


def emit(document: Any) -> None:
    """A result for programs: one JSON document on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def complain(message: str, hint: str | None = None) -> None:
    """What went wrong and what can be done about it, on standard error."""
    print(f"{paint('attestrain:', 'bad', sys.stderr)} {clean(message)}", file=sys.stderr)
    if hint:
        print(f"{paint('hint:', 'warn', sys.stderr)} {clean(hint)}", file=sys.stderr)


def complain_of(error: AttestrainError) -> None:
    """The message and the hint of ``error``."""
    complain(str(error), error.hint)


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output, its last column wrapped to the terminal."""
    for line in table_lines(head, rows, width(), sys.stdout):
        print(line)


def table_lines(head: Sequence[str], rows: Sequence[Sequence[object]], columns: int, stream: TextIO) -> list[str]:
    """The lines of a table: columns two spaces apart, the last one wrapped so that lines fit ``columns``."""
    texts = [[clean(str(cell)).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *texts]) for i in range(len(head) - 1)]
    indent = sum(widths) + 2 * len(widths)
    last = max(columns - indent, MIN_LAST)
    lines = [paint(_join(head, widths), "soft", stream).rstrip()]
    for row in texts:
        first, *rest = textwrap.wrap(row[-1], last) or [""]
        cells = [
            paint(f"{cell:<{size}}", _WORDS.get(cell, ""), stream) for cell, size in zip(row, widths, strict=False)
        ]
        lines.append("  ".join([*cells, paint(first, _WORDS.get(first, ""), stream)]).rstrip())
        lines += [" " * indent + line for line in rest]
    return lines


def _join(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([*(f"{cell:<{size}}" for cell, size in zip(cells, widths, strict=False)), cells[-1]])


def shown_path(path: Path) -> str:
    """A path as a person would type it from here."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
