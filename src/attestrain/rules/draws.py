"""Draws: which segments of a round are replayed, and by which auditor.

The seed is known only after the round's receipts are committed. Every worker-round gets its own draw of
ceil(fraction x segments) segments, so that nobody is skipped by luck.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction

from attestrain.record.digest import Digest, tagged
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.beacon import draw_seed
from attestrain.rules.bijection import Bijection
from attestrain.rules.faults import standing
from attestrain.rules.ledger import Ledger


@dataclass(frozen=True, slots=True, order=True)
class Draw:
    """One segment of one worker-round, assigned to one auditor."""

    round: Round
    worker: Worker
    segment: int
    auditor: Worker


def drawn_segments(spec: RunSpec, seed: Digest, worker: Worker) -> list[int]:
    """Segments of ``worker`` drawn under ``seed``, ascending."""
    segments = spec.schedule.segments
    count = math.ceil(Fraction(spec.audit_fraction) * segments)
    shuffle = Bijection(tagged("attestrain.dev/draw@v1", seed, struct.pack(">I", worker)), segments)
    return sorted(shuffle(index) for index in range(count))


def draws(ledger: Ledger, round_: Round) -> list[Draw]:
    """The draw over a closed round: for every committed worker its segments, each with its assigned auditors.

    Empty while the round is open, or when no auditor had joined by the close.
    """
    spec, book = ledger.spec, ledger.rounds[round_]
    if book.closed is None:
        return []
    seed = draw_seed(spec, round_, book.closed.statement.commitment)
    auditors = _auditors_at(ledger, book.closed.index)
    return [
        Draw(round_, worker, segment, auditor)
        for worker in sorted(standing(ledger, round_))
        for segment in drawn_segments(spec, seed, worker)
        for auditor in _assigned(auditors, seed, worker, segment, spec.audit_votes)
    ]


def _auditors_at(ledger: Ledger, index: int) -> list[Worker]:
    return [slot for slot in ledger.slots("auditor") if ledger.joins["auditor", slot][0].index < index]


def _assigned(auditors: list[Worker], seed: Digest, worker: Worker, segment: int, votes: int) -> list[Worker]:
    if not auditors:
        return []
    place = tagged("attestrain.dev/auditor@v1", seed, struct.pack(">II", worker, segment))
    first = int.from_bytes(place[:8], "big")
    return [auditors[(first + vote) % len(auditors)] for vote in range(min(votes, len(auditors)))]


def missing_findings(ledger: Ledger, round_: Round) -> list[Draw]:
    """Draws of ``round_`` that their assigned auditor has not answered."""
    found = {(f.statement.worker, f.statement.segment, f.statement.auditor) for f in ledger.rounds[round_].findings}
    return [draw for draw in draws(ledger, round_) if (draw.worker, draw.segment, draw.auditor) not in found]
