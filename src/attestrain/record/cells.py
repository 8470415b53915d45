"""One cell of a shard with its Merkle path: the answer to a sample, and what a fraud proof is made of."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.blob import CELL
from attestrain.record.canonical import Json
from attestrain.record.digest import Digest, parse_digest
from attestrain.record.dispersal import Commitment, Dispersal
from attestrain.record.fields import Fields
from attestrain.record.merkle import MAX_PROOF, inclusion_proof, leaf_hash, verify_inclusion
from attestrain.record.shape import MAX_DISPERSED, MAX_SHARDS

Path = tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class CellProof:
    """A cell's bytes and the path from its leaf to the root of its shard."""

    shard: int
    stripe: int
    cell: bytes
    path: Path

    def holds(self, dispersal: Dispersal) -> bool:
        """Whether this is the committed cell, of the length that its place has."""
        shape = dispersal.shape
        if not (0 <= self.shard < shape.shards and 0 <= self.stripe < shape.stripes):
            return False
        fits = 0 < len(self.cell) == shape.cell_size(self.shard, self.stripe)
        return fits and leaf_holds(dispersal, self.shard, self.stripe, leaf_hash(self.cell), self.path)

    def to_json(self) -> Json:
        """As it stands in documents."""
        path = [digest.hex() for digest in self.path]
        return {"shard": self.shard, "stripe": self.stripe, "cell": self.cell.hex(), "path": path}

    @classmethod
    def from_json(cls, value: object) -> CellProof:
        """Read a cell proof strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        fields = Fields(value, ("shard", "stripe", "cell", "path"), "cell proof")
        return cls(
            fields.integer("shard", 0, MAX_SHARDS - 1),
            fields.integer("stripe", 0, MAX_DISPERSED // CELL),
            read_cell(fields.text("cell", max_length=2 * CELL)),
            read_path(fields.array("path", max_length=MAX_PROOF)),
        )


def prove_cell(commitment: Commitment, shard: int, stripe: int, cell: bytes) -> CellProof:
    """Proof of a cell that the caller holds."""
    return CellProof(shard, stripe, cell, prove_leaf(commitment, shard, stripe))


def prove_leaf(commitment: Commitment, shard: int, stripe: int) -> Path:
    """Path from a cell's leaf hash to the root of its shard."""
    return tuple(inclusion_proof(commitment.leaves[shard], stripe))


def leaf_holds(dispersal: Dispersal, shard: int, stripe: int, leaf: Digest, path: Path) -> bool:
    """Whether ``leaf`` is the committed leaf hash of that cell."""
    return verify_inclusion(leaf, stripe, dispersal.shape.shard_cells(shard), path, dispersal.roots[shard])


def read_path(values: list[object]) -> Path:
    """A Merkle path from a document.

    Raises:
        FormatError: not digests.
    """
    try:
        return tuple(parse_digest(value) for value in values)
    except ValueError as error:
        raise FormatError(f"a path holds what is {error}") from error


def read_cell(text: str) -> bytes:
    """A cell's bytes from lower-case hexadecimal digits.

    Raises:
        FormatError: something else.
    """
    try:
        data = bytes.fromhex(text)
    except ValueError as error:
        raise FormatError("a cell is not hexadecimal digits") from error
    if data.hex() != text:
        raise FormatError("a cell is not lower-case hexadecimal digits")
    return data
