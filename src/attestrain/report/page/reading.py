"""A bundle read for showing, as far as it can be read: what a broken part hides is named and left out.

Whether any of it is true is for `attestrain.verify`, whose verdict stands at the top of every report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from attestrain.errors import AttestrainError
from attestrain.record.bundle import Bundle, Files
from attestrain.record.dataset import DatasetManifest
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Receipt, Signed
from attestrain.record.transcript import Log
from attestrain.rules.ledger import Ledger
from attestrain.verify import assignment, structure, transcript

T = TypeVar("T")


@dataclass(slots=True)
class Reading:
    """What could be read; None where it could not, for the first reason in ``troubles``."""

    bundle: Bundle | None = None
    spec: RunSpec | None = None
    dataset: DatasetManifest | None = None
    log: Log | None = None
    key: str = ""
    ledger: Ledger | None = None
    troubles: list[str] = field(default_factory=list)
    _published: list[Receipt] | None = None

    def entry(self, index: int) -> Signed | None:
        """One entry of the transcript."""
        if self.log is None or not 0 <= index < len(self.log):
            return None
        return Signed.from_bytes(self.log[index])

    def published(self) -> list[Receipt]:
        """Receipts of all published worker-rounds, by round and worker."""
        if self._published is None:
            books = [] if self.ledger is None else [book for _, book in sorted(self.ledger.rounds.items())]
            self._published = [book.receipts[w].statement for book in books for w in sorted(book.published)]
        return self._published

    def rounds(self) -> list[Round]:
        """Rounds that were opened, ascending."""
        return [] if self.ledger is None else sorted(self.ledger.rounds)


def read_bundle(files: Files) -> Reading:
    """Everything in ``files`` that a report shows. Never raises for what the bundle holds."""
    reading = Reading()
    reading.bundle = bundle = _attempt(reading, lambda: structure.open_manifest(files)[0])
    if bundle is None:
        return reading
    reading.spec = spec = _attempt(reading, lambda: structure.read_spec(bundle)[0])
    if spec is None:
        return reading
    dataset = _attempt(reading, lambda: assignment.read_dataset(bundle, spec)[0])
    reading.dataset = None if dataset is None else dataset[0]
    found = _attempt(reading, lambda: transcript.read_transcript(bundle)[0])
    if found is None:
        return reading
    log, key = found
    reading.log, reading.key = log, str(key)
    reading.ledger = _attempt(reading, lambda: transcript.replay_transcript(spec, log)[0])
    return reading


def _attempt(reading: Reading, work: Callable[[], T]) -> T | None:
    try:
        return work()
    except (AttestrainError, OSError) as error:
        reading.troubles.append(str(error))
        return None
