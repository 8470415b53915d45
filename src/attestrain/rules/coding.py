"""The fraud proof of a falsely coded blob: a stripe whose committed cells are no word of the code.

A worker that commits to parity which is not its data's could make readers of different shards get different blobs, or
none. Any k cells of a stripe fix all others, so k cells with their paths and one more leaf hash with its path show the
lie to everybody, with SHA-256 and a table of products; the proof needs no trust in whoever made it.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.canonical import canonical, parse
from attestrain.record.cells import CellProof, Path, leaf_holds, read_path
from attestrain.record.digest import Digest
from attestrain.record.dispersal import Dispersal
from attestrain.record.fields import Fields
from attestrain.record.merkle import MAX_PROOF, leaf_hash
from attestrain.record.shape import MAX_SHARDS
from attestrain.rules.galois import recompute

FORMAT = "attestrain.dev/false-coding@v1"
MAX_FALSE_CODING = 16 << 20
"""Largest document, in bytes: 62 cells in hexadecimal and their paths need 8.5 million."""


@dataclass(frozen=True, slots=True)
class FalseCoding:
    """Cells of one stripe that determine it, and the committed leaf hash that they contradict.

    Attributes:
        dispersal: digest of the accused dispersal.
        cells: cells of k shards, less one for each data shard that has no cell in the stripe.
        shard: another shard.
        leaf: its committed leaf hash in the stripe, and
        path: the way from there to its shard's root.
    """

    dispersal: Digest
    cells: tuple[CellProof, ...]
    shard: int
    leaf: Digest
    path: Path

    def to_bytes(self) -> bytes:
        """The document."""
        return canonical(
            {
                "format": FORMAT,
                "dispersal": self.dispersal.hex(),
                "cells": [proof.to_json() for proof in self.cells],
                "shard": self.shard,
                "leaf": self.leaf.hex(),
                "path": [digest.hex() for digest in self.path],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> FalseCoding:
        """Read a fraud proof strictly; whether it proves anything says `proves`.

        Raises:
            FormatError: malformed or out of bounds.
        """
        document = parse(data, max_bytes=MAX_FALSE_CODING)
        fields = Fields(document, ("format", "dispersal", "cells", "shard", "leaf", "path"), "fraud proof")
        fields.constant("format", FORMAT)
        return cls(
            fields.digest("dispersal"),
            tuple(CellProof.from_json(value) for value in fields.array("cells", max_length=MAX_SHARDS)),
            fields.integer("shard", 0, MAX_SHARDS - 1),
            fields.digest("leaf"),
            read_path(fields.array("path", max_length=MAX_PROOF)),
        )


def proves(dispersal: Dispersal, proof: FalseCoding) -> bool:
    """Whether ``proof`` shows that ``dispersal`` is falsely coded.

    False for every proof about an honest dispersal, whoever made it (assuming that SHA-256 has no known collisions).

    Raises:
        FormatError: the proof is about something else, or does not have the cells that it needs.
    """
    shape = dispersal.shape
    if proof.dispersal != dispersal.digest() or not proof.cells:
        raise FormatError("the fraud proof is about another dispersal, or has no cells")
    stripe = proof.cells[0].stripe
    if any(cell.stripe != stripe or not cell.holds(dispersal) for cell in proof.cells):
        raise FormatError("the fraud proof has cells that are not the dispersal's, or of several stripes")
    known = {cell.shard: cell.cell for cell in proof.cells} | {shard: b"" for shard in shape.empty(stripe)}
    if len(known) != shape.data or len(proof.cells) + len(shape.empty(stripe)) != shape.data or proof.shard in known:
        raise FormatError(f"the fraud proof needs cells of {shape.data} different shards, and another one's leaf")
    if proof.shard >= shape.shards or not leaf_holds(dispersal, proof.shard, stripe, proof.leaf, proof.path):
        raise FormatError("the fraud proof's leaf is not the dispersal's")
    cell = recompute(shape.data, known, proof.shard, shape.width(stripe))
    size = shape.cell_size(proof.shard, stripe)
    return leaf_hash(cell[:size]) != proof.leaf or any(cell[size:])
