"""What the conductor's thread does for the service: all that changes the run, or reads what only it may touch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef
from attestrain.record.canonical import MAX_INTEGER, check_nesting
from attestrain.record.names import Address, Index, Round
from attestrain.run.events import EventLog
from attestrain.run.exchange import Refusal
from attestrain.run.follower import History
from attestrain.run.sequencer import Sequencer
from attestrain.run.service.members import Member
from attestrain.update.checkpoint import stored_bytes

TOLD = {"worker": ("segment", "overlap", "cpu"), "auditor": ("finding", "unanswered", "cpu"), "solo": ("solo", "cpu")}
"""What each role may report; anything else would forge what watchers see of others."""
OWN = {"segment", "overlap"}
"""Reports that are about the slot of whoever makes them."""
MAX_KEYS = 16
"""Most particulars of a report: ours have ten."""
MAX_VALUE = 256
"""Longest text in a report."""

Claim = Callable[[Member, Address], None]
"""Gives a slot to an account, or raises `Refusal`."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The checkpoint that the latest round starts from: its document and the bytes it names."""

    round: Round
    document: bytes
    blobs: dict[BlobRef, bytes]


@dataclass(slots=True)
class Clerk:
    """The conductor's side of the service.

    Args:
        sequencer: orders statements.
        history: knows checkpoints.
        events: told of progress and refusals.
        claim: gives slots to those who were invited; None where nobody is.
    """

    sequencer: Sequencer
    history: History
    events: EventLog
    claim: Claim | None = None
    _shown: Shown | None = field(default=None)

    def submit(self, member: Member, entry: bytes) -> Index:
        """Append an entry.

        Raises:
            Refusal: it may not stand; watchers are told.
        """
        try:
            return self.sequencer.submit(entry)
        except Refusal as error:
            self.events.emit("refused", role=member.role, worker=member.slot, detail=str(error))
            raise

    def tell(self, kind: str, data: dict[str, object]) -> None:
        """Pass a report on to watchers."""
        self.events.emit(kind, **data)

    def checkpoint(self) -> Shown:
        """The checkpoint that the latest round starts from, of round 0 before any is open.

        Raises:
            Refuted: it does not follow from the updates.
        """
        round_ = self.sequencer.ledger.last_round() or Round(0)
        if self._shown is None or self._shown.round != round_:
            checkpoint = self.history.at(self.sequencer.ledger, round_) if round_ else self.history.first
            record = checkpoint.record
            values = {record.params: checkpoint.params, record.momentum: checkpoint.momentum}
            blobs = {ref: stored_bytes(array) for ref, array in values.items()}
            self._shown = Shown(round_, record.to_bytes(), blobs)
        return self._shown

    def merged(self, round_: Round) -> BlobRef | None:
        """Where the merged update of an aggregated round lies, None if nothing moved.

        Raises:
            Refuted: the transcript names another checkpoint than follows from the updates.
        """
        if round_ not in self.history.merged:  # after a restart
            self.history.checkpoint(self.sequencer.ledger, Round(round_ + 1))
        return self.history.merged[round_]

    @property
    def shown(self) -> Shown | None:
        """The checkpoint that was last asked for; read from the service's thread."""
        return self._shown


def read_report(member: Member, data: bytes) -> tuple[str, dict[str, object]]:
    """A progress report as a member may make it: its kind and its flat, bounded particulars.

    Raises:
        FormatError: malformed, or not this member's to tell.
    """
    check_nesting(data, 2)
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError("not a JSON document") from error
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict) or value.keys() != {"kind", "data"}:
        raise FormatError("a report is an object of kind and data")
    kind, particulars = value["kind"], value["data"]
    if kind not in TOLD.get(member.role, ()):
        raise FormatError(f"a {member.role} does not report {str(kind)[:40]!r}")
    if len(particulars) > MAX_KEYS or not all(_plain(key, item) for key, item in particulars.items()):
        raise FormatError("a report holds a few short texts and numbers")
    if kind in OWN and particulars.get("worker") != member.slot:
        raise FormatError("a report is about its own worker")
    return kind, particulars


def _plain(key: str, value: object) -> bool:
    if not key.isidentifier() or not key.isascii() or len(key) > MAX_VALUE:
        return False
    if isinstance(value, str):
        return len(value) <= MAX_VALUE
    if isinstance(value, int):
        return abs(value) <= MAX_INTEGER
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")
