"""The commitment to an erasure-coded blob: what is spread, how, over which keepers (spec/dispersal.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef
from attestrain.record.canonical import MAX_INTEGER, canonical, parse
from attestrain.record.digest import DIGEST_SIZE, Buffer, Digest, parse_digest, sha256
from attestrain.record.fields import Fields
from attestrain.record.keys import parse_address
from attestrain.record.merkle import root_of_hashes
from attestrain.record.names import Address, Branch, Round, RunId, Worker
from attestrain.record.shape import MAX_SHARDS, Shape

FORMAT = "attestrain.dev/dispersal@v1"
CODE = "rs-cauchy-gf256"
"""Systematic Reed-Solomon over GF(2^8) with polynomial 0x11d; parity row i has coefficients 1 / ((k + i) xor j)."""
KEYS = ("format", "run", "branch", "round", "worker", "until", "blob", "code", "data", "parity", "keepers", "shards")
MAX_DISPERSAL = 16_384
"""Largest document, in bytes: 64 shards need 7 thousand."""
MAX_SLOT = 2**32 - 1
"""Largest branch, round or worker: they are signed as uint32."""

Leaves = tuple[tuple[Digest, ...], ...]
"""Leaf hashes of every shard's cells, by shard."""


@dataclass(frozen=True, slots=True)
class Dispersal:
    """What a worker disperses.

    Attributes:
        run: the run, and with branch, round and worker the slot whose blob this is.
        until: the last round in which keepers owe their shards to whoever asks.
        blob: the blob's address.
        shape: how it is spread.
        keepers: who keeps each shard, in order of shards.
        roots: RFC 6962 root over each shard's cells; with the size that follows from the shape, a shard's address.
    """

    run: RunId
    branch: Branch
    round: Round
    worker: Worker
    until: Round
    blob: BlobRef
    shape: Shape
    keepers: tuple[Address, ...]
    roots: tuple[Digest, ...]

    def __post_init__(self) -> None:
        if not len(self.keepers) == len(self.roots) == self.shape.shards or self.shape.size != self.blob.size:
            raise FormatError("a dispersal names one keeper and one root for each shard, and its shape is its blob's")

    def shard(self, index: int) -> BlobRef:
        """Address of a shard."""
        return BlobRef(self.roots[index], self.shape.shard_size(index))

    def digest(self) -> Digest:
        """What acknowledgements name."""
        return sha256(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The document."""
        return canonical(
            {
                "format": FORMAT,
                "run": self.run.hex(),
                "branch": self.branch,
                "round": self.round,
                "worker": self.worker,
                "until": self.until,
                "blob": self.blob.to_json(),
                "code": CODE,
                "data": self.shape.data,
                "parity": self.shape.parity,
                "keepers": list(self.keepers),
                "shards": [root.hex() for root in self.roots],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Dispersal:
        """Read a dispersal strictly.

        Raises:
            FormatError: malformed or out of bounds; also another code than ours.
        """
        fields = Fields(parse(data, max_bytes=MAX_DISPERSAL), KEYS, "dispersal")
        fields.constant("format", FORMAT)
        fields.constant("code", CODE)
        blob = BlobRef.from_json(fields.object("blob"))
        shape = Shape(blob.size, fields.integer("data", 1, MAX_INTEGER), fields.integer("parity", 1, MAX_INTEGER))
        return cls(
            RunId(fields.digest("run")),
            Branch(fields.integer("branch", 0, MAX_SLOT)),
            Round(fields.integer("round", 0, MAX_SLOT)),
            Worker(fields.integer("worker", 0, MAX_SLOT)),
            Round(fields.integer("until", 0, MAX_SLOT)),
            blob,
            shape,
            tuple(parse_address(value) for value in fields.array("keepers", max_length=MAX_SHARDS)),
            tuple(_read_root(value) for value in fields.array("shards", max_length=MAX_SHARDS)),
        )


def _read_root(value: object) -> Digest:
    try:
        return parse_digest(value)
    except ValueError as error:
        raise FormatError(f"a shard's root is {error}") from error


@dataclass(frozen=True, slots=True)
class Commitment:
    """A dispersal with the leaf hashes of all its shards, found to lead to its roots.

    Whoever holds one knows that the blob's root and the data shards' roots are over the same cells. What is left to a
    liar is parity that is not the data's, and `rules.coding` catches that.

    Raises:
        FormatError: the leaves are not those of this dispersal.
    """

    dispersal: Dispersal
    leaves: Leaves

    def __post_init__(self) -> None:
        shape = self.dispersal.shape
        if [len(leaves) for leaves in self.leaves] != [shape.shard_cells(index) for index in range(shape.shards)]:
            raise FormatError("the leaves are not as many as the shards have cells")
        if tuple(map(root_of_hashes, self.leaves)) != self.dispersal.roots:
            raise FormatError("the leaves do not lead to the shards' roots")
        if blob_root(shape, self.leaves) != self.dispersal.blob.root:
            raise FormatError("the data shards' leaves do not lead to the blob's root")

    def to_bytes(self) -> bytes:
        """The leaves alone, joined shard by shard: what a keeper gets beside the dispersal."""
        return b"".join(leaf for leaves in self.leaves for leaf in leaves)

    @classmethod
    def from_bytes(cls, dispersal: Dispersal, data: Buffer) -> Commitment:
        """Read what `to_bytes` gives.

        Raises:
            FormatError: another length, or not the leaves of this dispersal.
        """
        shape, view = dispersal.shape, memoryview(data)
        if len(view) != DIGEST_SIZE * shape.all_cells:
            raise FormatError(f"{len(view)} bytes are not the leaves of {shape.all_cells} cells")
        leaves, at = [], 0
        for index in range(shape.shards):
            end = at + DIGEST_SIZE * shape.shard_cells(index)
            leaves.append(tuple(Digest(bytes(view[i : i + DIGEST_SIZE])) for i in range(at, end, DIGEST_SIZE)))
            at = end
        return cls(dispersal, tuple(leaves))


def blob_root(shape: Shape, leaves: Sequence[Sequence[Digest]]) -> Digest:
    """Root of the blob from the leaf hashes of its data shards."""
    return root_of_hashes([leaves[cell % shape.data][cell // shape.data] for cell in range(shape.cells)])
