"""Draws: which segments of a round are replayed, and by which auditor.

The seed is known only after the round's receipts are committed. Every worker-round gets its own draw of
ceil(fraction x segments) segments, so that nobody is skipped by luck.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from attestrain.record.digest import Digest, tagged
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.bijection import Bijection
from attestrain.rules.faults import faults, standing
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
    shuffle = _shuffle(spec, seed, worker)
    return sorted(shuffle(index) for index in range(_count(spec)))


def _shuffle(spec: RunSpec, seed: Digest, worker: Worker) -> Bijection:
    return Bijection(tagged("attestrain.dev/draw@v1", seed, struct.pack(">I", worker)), spec.schedule.segments)


def _count(spec: RunSpec) -> int:
    return math.ceil(Fraction(spec.audit_fraction) * spec.schedule.segments)


def draws(ledger: Ledger, round_: Round) -> list[Draw]:
    """The draw over a closed round: for every committed worker its segments, each with its assigned auditors.

    Empty until the seed is known, or when no auditor had joined by the close.
    """
    spec, book = ledger.spec, ledger.rounds[round_]
    seed = ledger.draw_seed(round_)
    if seed is None:
        return []
    return [
        Draw(round_, worker, segment, auditor)
        for worker in sorted(standing(ledger, round_))
        for segment in drawn_segments(spec, seed, worker)
        for auditor in _assigned(book.auditors, seed, worker, segment, spec.audit_votes)
    ]


def is_drawn(ledger: Ledger, draw: Draw) -> bool:
    """Whether ``draw`` is among the `draws` of its round, without making them all: admission asks for every finding."""
    spec, book, seed = ledger.spec, ledger.rounds[draw.round], ledger.draw_seed(draw.round)
    in_range = draw.segment < spec.schedule.segments and draw.worker in book.receipts
    if seed is None or book.closed is None or not in_range or draw.worker in faults(ledger, before=book.closed.index):
        return False
    drawn = _shuffle(spec, seed, draw.worker).inverse(draw.segment) < _count(spec)
    return drawn and draw.auditor in _assigned(book.auditors, seed, draw.worker, draw.segment, spec.audit_votes)


def _assigned(auditors: Sequence[Worker], seed: Digest, worker: Worker, segment: int, votes: int) -> list[Worker]:
    if not auditors:
        return []
    place = tagged("attestrain.dev/auditor@v1", seed, struct.pack(">II", worker, segment))
    first = int.from_bytes(place[:8], "big")
    return [auditors[(first + vote) % len(auditors)] for vote in range(min(votes, len(auditors)))]


def missing_findings(ledger: Ledger, round_: Round) -> list[Draw]:
    """Draws of ``round_`` that their assigned auditor has not answered."""
    answered = ledger.rounds[round_].answered
    return [draw for draw in draws(ledger, round_) if (draw.worker, draw.segment, draw.auditor) not in answered]
