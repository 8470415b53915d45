"""A worker's journal: what it is about to sign, on disk before it is signed.

A worker that was killed finds here what it committed to and sends the very same bytes again, so it can never sign two
receipts for one slot. Signing is deterministic, hence the unsigned statement is enough.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from attestrain.errors import FormatError, UsageError
from attestrain.record.blob import BlobRef
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest
from attestrain.record.fields import Fields
from attestrain.record.names import Round
from attestrain.record.spec import MAX_COMPONENTS, MAX_ROUNDS
from attestrain.record.trace import StateRefs
from attestrain.store.atomic import write_atomic

FORMAT = "attestrain.dev/journal@v1"


@dataclass(frozen=True, slots=True)
class Slot:
    """What a worker did in a round: digest of the receipt it signs, and where its own copies lie."""

    round: Round
    digest: Digest
    trace: BlobRef
    update: BlobRef
    begin: StateRefs
    end: StateRefs

    def refs(self) -> set[BlobRef]:
        """Everything that lies in the worker's own store."""
        return {self.trace, self.update, *self.begin.values(), *self.end.values()}

    def to_bytes(self) -> bytes:
        """Canonical document."""
        return canonical(
            {
                "format": FORMAT,
                "round": self.round,
                "digest": self.digest.hex(),
                "trace": self.trace.to_json(),
                "update": self.update.to_json(),
                "begin": {name: ref.to_json() for name, ref in self.begin.items()},
                "end": {name: ref.to_json() for name, ref in self.end.items()},
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Slot:
        """Read a journal entry strictly.

        Raises:
            FormatError: malformed.
        """
        keys = ("format", "round", "digest", "trace", "update", "begin", "end")
        fields = Fields(parse(data), keys, "journal")
        fields.constant("format", FORMAT)
        return cls(
            round=Round(fields.integer("round", 0, MAX_ROUNDS)),
            digest=fields.digest("digest"),
            trace=BlobRef.from_json(fields.object("trace")),
            update=BlobRef.from_json(fields.object("update")),
            begin=_read_refs(fields.object("begin")),
            end=_read_refs(fields.object("end")),
        )


def _read_refs(value: dict[str, object]) -> StateRefs:
    if not 0 < len(value) <= MAX_COMPONENTS:
        raise FormatError("a journalled state has no components, or too many")
    return {name: BlobRef.from_json(item) for name, item in value.items()}


class Journal:
    """One file per round in a folder that this process holds alone; opening it waits until whoever holds it has ended.

    Raises:
        UsageError: the folder cannot be locked.
        FormatError: a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        except OSError as error:
            raise UsageError(f"{folder} cannot be locked: {error.strerror}") from error
        names = sorted(path for path in folder.iterdir() if path.suffix == ".json")
        self._slots = {slot.round: slot for slot in (Slot.from_bytes(path.read_bytes()) for path in names)}

    def get(self, round_: Round) -> Slot | None:
        """What was journalled for a round."""
        return self._slots.get(round_)

    def between(self, first: int, last: int) -> list[Slot]:
        """What was journalled for the rounds from ``first`` to ``last``, both included."""
        return [slot for number, slot in self._slots.items() if first <= number <= last]

    def put(self, slot: Slot) -> None:
        """Journal a round, durably before this returns.

        Raises:
            FormatError: something else was journalled for this round already.
        """
        known = self._slots.get(slot.round)
        if known is not None and known != slot:
            raise FormatError(f"round {slot.round} is journalled with other work")
        write_atomic(self._folder / f"{slot.round:06d}.json", slot.to_bytes())
        self._slots[slot.round] = slot

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._lock)
