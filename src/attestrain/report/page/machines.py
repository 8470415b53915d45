"""On what the participants say they computed: their environment documents, on which no verdict rests."""

from __future__ import annotations

from attestrain.errors import FormatError
from attestrain.record.bundle import environment_path
from attestrain.record.canonical import parse
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Sources

MOST = 8
"""Environments shown: a run within one class has one."""
LONGEST = 200
"""Characters of a stranger's words that are shown."""


def machines(reading: Reading, sources: Sources) -> list[tuple[str, Cited]]:
    """Pairs of a label and a device, one for each environment that a participant registered."""
    if reading.ledger is None:
        return []
    joins = [item.statement for held in reading.ledger.joins.values() for item in held]
    paths = sorted({environment_path(join.environment) for join in joins})
    return [("computed on, as stated", Cited(_stated(reading, path), sources.file(path))) for path in paths[:MOST]]


def _stated(reading: Reading, path: str) -> str:
    assert reading.bundle is not None
    try:
        document = parse(reading.bundle.read(path))
    except FormatError:
        return "a description that cannot be read"
    gpu = document.get("gpu")
    chip = gpu.get("name") if isinstance(gpu, dict) else document.get("cpu")
    torch = document.get("torch")
    words = [document.get("device"), chip, torch and f"torch {torch}"]
    return ", ".join(str(word) for word in words if word)[:LONGEST]
