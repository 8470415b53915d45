"""What an account has sent, on disk before it leaves: one file for each thing it wanted done.

All attempts at one thing carry the same nonce, so at most one of them can ever be mined.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, canonical, parse
from attestrain.record.digest import Digest
from attestrain.record.eip712 import keccak256
from attestrain.record.fields import Fields
from attestrain.store.atomic import write_atomic

FORMAT = "attestrain.dev/sent@v1"
MAX_ATTEMPTS = 64
"""Most attempts at one thing: each raises the fee by a quarter, so the last would pay a million times the first."""
MAX_RAW = 1 << 18
"""Longest transaction in hexadecimal digits: creating the largest contract (EIP-3860) takes less than half."""
_BYTES = re.compile(r"([0-9a-f]{2})+\Z")


@dataclass(frozen=True, slots=True)
class Sent:
    """Attempts at one thing.

    Attributes:
        nonce: of all of them.
        gas: that they may use.
        most: wei for a unit of gas that the latest pays at most.
        raws: the signed transactions, oldest first.
    """

    nonce: int
    gas: int
    most: int
    raws: tuple[bytes, ...]

    @property
    def names(self) -> tuple[Digest, ...]:
        """The transactions' hashes."""
        return tuple(Digest(keccak256(raw)) for raw in self.raws)

    def again(self, raw: bytes, most: int) -> Sent:
        """With one more attempt."""
        return replace(self, raws=(*self.raws, raw), most=most)

    def to_bytes(self) -> bytes:
        """Canonical document. The fee is text: in wei it may be beyond what a JSON number holds."""
        numbers = {"nonce": self.nonce, "gas": self.gas, "most": str(self.most)}
        return canonical({"format": FORMAT, **numbers, "raws": [raw.hex() for raw in self.raws]})

    @classmethod
    def from_bytes(cls, data: bytes) -> Sent:
        """Read the document strictly.

        Raises:
            FormatError: malformed.
        """
        fields = Fields(parse(data), ("format", "nonce", "gas", "most", "raws"), "sent")
        fields.constant("format", FORMAT)
        most, raws = fields.text("most"), fields.array("raws", max_length=MAX_ATTEMPTS)
        if not most.isdecimal() or not raws:
            raise FormatError("sent.most is not a number, or nothing was sent")
        nonce, gas = (fields.integer(name, 0, MAX_INTEGER) for name in ("nonce", "gas"))
        return cls(nonce, gas, int(most), tuple(map(_raw, raws)))


def _raw(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > MAX_RAW or not _BYTES.match(value):
        raise FormatError("sent.raws holds something that is no transaction")
    return bytes.fromhex(value)


class Outbox:
    """A folder of what was sent.

    Args:
        folder: made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, label: str) -> Sent | None:
        """What was sent under a label."""
        path = self._path(label)
        return Sent.from_bytes(path.read_bytes()) if path.is_file() else None

    def keep(self, label: str, sent: Sent) -> None:
        """Remember, durably before this returns."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path(label), sent.to_bytes())

    def forget(self, label: str) -> None:
        """What was sent under this label failed, or can never be mined."""
        self._path(label).unlink(missing_ok=True)

    def _path(self, label: str) -> Path:
        return self._folder / f"{label}.json"
