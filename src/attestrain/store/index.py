"""How a blob larger than one part lies in a store: as parts, which are blobs themselves, and an index of digests.

A part is 256 cells, a power of two, so the root over a part's cells is a node of the blob's own RFC 6962 tree: the
parts' roots lead to the blob's root, and the leaves of one part to that part's root. A range is therefore checked with
the index's head and one slice of its leaves, whatever the size of the blob. Format: spec/index.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.blob import CELL, BlobRef
from attestrain.record.digest import DIGEST_SIZE, Buffer, Digest
from attestrain.record.merkle import leaf_hash, root_of_hashes

FORMAT = b"attestrain.dev/index@v1\n"
CELLS_PER_PART = 256
PART = CELLS_PER_PART * CELL
"""Bytes of a part, 16 MiB: what is held in memory, sent in one request and sent again when a connection breaks."""
MAX_STORED = 1 << 40
"""Largest blob a store takes, 1 TiB: the head of its index is 2 MiB, which every reader holds."""
HEAD = len(FORMAT) + 8
"""Bytes before the parts' roots: the format and the blob's size as eight bytes, big-endian."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand in the index of a blob of ``size`` bytes."""

    size: int

    @property
    def cells(self) -> int:
        """Cells of the blob."""
        return -(-self.size // CELL)

    @property
    def parts(self) -> int:
        """Parts of the blob."""
        return -(-self.size // PART)

    @property
    def head(self) -> int:
        """Bytes of the head: format, size and the parts' roots."""
        return HEAD + DIGEST_SIZE * self.parts

    @property
    def total(self) -> int:
        """Bytes of the whole index."""
        return self.head + DIGEST_SIZE * self.cells

    def part_size(self, part: int) -> int:
        """Bytes of a part: all are full but the last."""
        return min(PART, self.size - part * PART)

    def leaves_of(self, part: int) -> tuple[int, int]:
        """Where the leaves of a part begin in the index, and their length in bytes."""
        cells = -(-self.part_size(part) // CELL)
        return self.head + DIGEST_SIZE * CELLS_PER_PART * part, DIGEST_SIZE * cells


def leaves_of(part: Buffer) -> list[Digest]:
    """Leaf digests of the cells of one part."""
    view = memoryview(part).cast("B")
    return [leaf_hash(view[at : at + CELL]) for at in range(0, len(view), CELL)]


def make_index(size: int, roots: Sequence[Digest], leaves: Buffer) -> bytes:
    """Index of a blob from its parts' roots and all its leaf digests, joined."""
    return b"".join((FORMAT, size.to_bytes(8, "big"), *roots, leaves))


def read_head(data: bytes, ref: BlobRef) -> list[Digest]:
    """The parts' roots, found to lead to the blob's root.

    Raises:
        FormatError: not the head of this blob's index.
    """
    if data[:HEAD] != FORMAT + ref.size.to_bytes(8, "big"):
        raise FormatError(f"index of blob {ref.root.hex()} has another format or size")
    roots = split_digests(data[HEAD:])
    if len(roots) != Layout(ref.size).parts or root_of_hashes(roots) != ref.root:
        raise FormatError(f"index of blob {ref.root.hex()} does not lead to its root")
    return roots


def read_leaves(data: bytes, root: Digest) -> list[Digest]:
    """The leaf digests of one part, found to lead to the part's root.

    Raises:
        FormatError: they do not.
    """
    leaves = split_digests(data)
    if root_of_hashes(leaves) != root:
        raise FormatError(f"leaves of part {root.hex()} do not lead to its root")
    return leaves


def split_digests(data: bytes) -> list[Digest]:
    """Joined digests, one by one.

    Raises:
        FormatError: not a whole number of them.
    """
    if len(data) % DIGEST_SIZE:
        raise FormatError(f"{len(data)} bytes are not a whole number of digests")
    return [Digest(data[at : at + DIGEST_SIZE]) for at in range(0, len(data), DIGEST_SIZE)]
