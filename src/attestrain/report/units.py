"""Quantities as people read them."""

from __future__ import annotations


def shown_bytes(count: float) -> str:
    """A number of bytes with three digits that count: decimal units, as networks and disks are sold."""
    units = ["TB", "GB", "MB", "kB", "B"]
    while count >= 999.5 and len(units) > 1:
        count /= 1000
        units.pop()
    return f"{count:.0f} {units[-1]}" if count >= 99.95 or units[-1] == "B" else f"{count:.3g} {units[-1]}"


def counted(count: int, word: str) -> str:
    """A count with its noun, plain English plural."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
