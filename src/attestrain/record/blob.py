"""Names of bytes: a blob is known by the RFC 6962 root over its 64 KiB cells and its size.

A tree instead of a flat hash lets one cell be fetched and proven alone, which storage, sampling and disputes need.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attestrain.errors import FormatError
from attestrain.record import merkle
from attestrain.record.digest import Buffer, Digest, parse_digest

CELL = 65_536
"""Bytes per leaf: large enough that hashing dominates bookkeeping, small enough to prove on chain."""
MAX_BLOB = 1 << 46
"""Largest blob a reference may name (64 TiB): anything above is a lie."""


@dataclass(frozen=True, slots=True, order=True)
class BlobRef:
    """Content address of a byte string."""

    root: Digest
    size: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in documents."""
        return {"root": self.root.hex(), "size": self.size}

    @classmethod
    def from_json(cls, value: object) -> BlobRef:
        """Read a reference.

        Raises:
            FormatError: not an object of exactly ``root`` and ``size`` in range.
        """
        if not isinstance(value, dict) or value.keys() != {"root", "size"}:
            raise FormatError("a blob reference is an object of root and size")
        size = value["size"]
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BLOB:
            raise FormatError(f"blob size {size!r} is out of range")
        try:
            return cls(parse_digest(value["root"]), size)
        except ValueError as error:
            raise FormatError(str(error)) from error


def blob_ref(data: Buffer) -> BlobRef:
    """Content address of ``data``: the root over its 64 KiB cells (the last may be short) and its size."""
    view = memoryview(data).cast("B")
    cells = [view[at : at + CELL] for at in range(0, len(view), CELL)]
    return BlobRef(merkle.root(cells), len(view))
