"""Names of bytes: a blob is known by the RFC 6962 root over its 64 KiB cells and its size.

A tree instead of a flat hash lets one cell be fetched and proven alone, which storage, sampling and disputes need.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from attestrain.errors import FormatError
from attestrain.record import merkle
from attestrain.record.digest import Buffer, Digest, parse_digest

CELL = 65_536
"""Bytes per leaf: large enough that hashing dominates bookkeeping, small enough to prove on chain."""
MAX_BLOB = 1 << 46
"""Largest blob a reference may name (64 TiB): anything above is a lie."""

_NAME = re.compile(r"([0-9a-f]{64}):(0|[1-9][0-9]{0,14})\Z")


@dataclass(frozen=True, slots=True, order=True)
class BlobRef:
    """Content address of a byte string."""

    root: Digest
    size: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in documents."""
        return {"root": self.root.hex(), "size": self.size}

    def __str__(self) -> str:
        """As it stands in addresses and on command lines: root, colon, size."""
        return f"{self.root.hex()}:{self.size}"

    @classmethod
    def from_name(cls, text: str) -> BlobRef:
        """Read what `str` gives.

        Raises:
            FormatError: not a root, a colon and a size in range.
        """
        match = _NAME.match(text)
        if match is None or int(match[2]) > MAX_BLOB:
            raise FormatError(f"a blob is named by its root, a colon and its size, not {text[:100]!r}")
        return cls(Digest(bytes.fromhex(match[1])), int(match[2]))

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
