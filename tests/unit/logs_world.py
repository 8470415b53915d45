"""Genuine event logs and the registers of their quotes."""

from __future__ import annotations

from pathlib import Path

from attestrain.appraise.intel.bodies import read_kind

DATA = Path(__file__).parents[1] / "data/logs"


def sample(name: str) -> bytes:
    """A genuine file."""
    return (DATA / name).read_bytes()


def registers(name: str) -> dict[int, bytes]:
    """RTMR0 to RTMR3 of a genuine quote, by where `appraise.intel.bodies` says they lie."""
    quote = sample(name)
    kind = read_kind(quote)
    report, places = quote[kind.start :], [kind.fields[f"rtmr{number}"] for number in range(4)]
    return {number: report[offset : offset + size] for number, (offset, size) in enumerate(places)}
