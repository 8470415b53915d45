"""How a blob is spread over shards: which cell lies in which shard, and how long it is.

Cells of a blob go round robin: cell c is in data shard c mod k, at stripe c div k. So a stripe is k neighbouring cells
of the blob, a data shard's cells are the blob's own, and their leaf hashes serve both trees: no byte is hashed twice.
A parity cell is as long as its stripe's first cell; shorter and missing data cells count as filled up with zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.blob import CELL

MAX_SHARDS = 64
"""Most shards of a blob: isa-l's Cauchy code is fastest below it, and no other codec is built in."""
MIN_PARITY = 2
"""Fewest parity shards: with fewer, no certificate could promise to survive a loss."""
MAX_DISPERSED = 1 << 36
"""Largest blob that is dispersed, 64 GiB: at half parity its cells are `MAX_CELLS`."""
MAX_CELLS = 1 << 21
"""Most cells of all shards together: their leaf hashes are 64 MiB as bytes. They are held in memory as Python objects,
each of 65 bytes and a pointer of 8, about 150 MiB."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A blob of ``size`` bytes in ``data`` + ``parity`` shards.

    Raises:
        FormatError: not 1 to 64 GiB of bytes, no data shard, under two parity shards, above 64 shards,
            or more than `MAX_CELLS` cells with the parity.
    """

    size: int
    data: int
    parity: int

    def __post_init__(self) -> None:
        if not 0 < self.size <= MAX_DISPERSED:
            raise FormatError(f"blobs of 1 to {MAX_DISPERSED} bytes are dispersed, not of {self.size}")
        if self.data < 1 or self.parity < MIN_PARITY or self.shards > MAX_SHARDS:
            raise FormatError(
                f"{self.data} data and {self.parity} parity shards: at least 1 and {MIN_PARITY}, at most "
                f"{MAX_SHARDS} together"
            )
        if self.all_cells > MAX_CELLS:
            raise FormatError(f"{self.all_cells} cells in all shards together are more than {MAX_CELLS}")

    @property
    def shards(self) -> int:
        """Shards in all, n; the data shards come first."""
        return self.data + self.parity

    @property
    def losses(self) -> int:
        """f: acknowledged shards that may be lost or lied about. With n = 3f + 1 and k = f + 1 this is f."""
        return self.parity // 2

    @property
    def quorum(self) -> int:
        """Shards that a certificate needs acknowledged, k + f: when f of them are gone, k are left."""
        return self.data + self.losses

    @property
    def cells(self) -> int:
        """Cells of the blob."""
        return -(-self.size // CELL)

    @property
    def stripes(self) -> int:
        """Rows of the code, each with at most one cell of every shard."""
        return -(-self.cells // self.data)

    def width(self, stripe: int) -> int:
        """Bytes of a stripe's first cell, and so of its parity cells."""
        return min(CELL, self.size - stripe * self.data * CELL)

    def cell_size(self, shard: int, stripe: int) -> int:
        """Bytes of one cell; 0 where a data shard has none in the last stripe."""
        if shard >= self.data:
            return self.width(stripe)
        return max(0, min(CELL, self.size - (stripe * self.data + shard) * CELL))

    def shard_cells(self, shard: int) -> int:
        """Cells of a shard."""
        return self.stripes - (self.cell_size(shard, self.stripes - 1) == 0)

    def shard_size(self, shard: int) -> int:
        """Bytes of a shard."""
        return (self.stripes - 1) * CELL + self.cell_size(shard, self.stripes - 1)

    @property
    def all_cells(self) -> int:
        """Cells of all shards together."""
        return self.cells + self.parity * self.stripes

    def empty(self, stripe: int) -> range:
        """Data shards that have no cell in this stripe: they are known to be zeros."""
        filled = min(self.data, self.cells - stripe * self.data)
        return range(filled, self.data)
