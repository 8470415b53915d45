"""Getting a blob back from any k of its shards, cell by cell, and naming whoever fails or lies on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from attestrain.availability.codec import decode, encode
from attestrain.availability.dispersing import Sink
from attestrain.errors import AttestrainError, FormatError, Refuted, Unreachable
from attestrain.record.blob import CELL
from attestrain.record.cells import prove_cell, prove_leaf
from attestrain.record.digest import Buffer
from attestrain.record.dispersal import Commitment
from attestrain.record.merkle import leaf_hash
from attestrain.record.names import Address
from attestrain.rules.coding import FalseCoding

BATCH = 16
"""Cells asked of a shard in one request, 1 MiB: few round trips, and 64 MiB in memory at the very most."""

Read = Callable[[int, int, int], bytes]
"""Bytes of a shard from its keeper: shard, start, length. Raises an `AttestrainError` when it cannot."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A keeper that did not give what it owes, and how: a lie is told from silence by its cell's hash."""

    keeper: Address
    shard: int
    lied: bool
    what: str


class FalselyCoded(Refuted):
    """The dispersal commits to parity that is not its data's. It names a worker, who need not have signed it.

    Attributes:
        proof: shows it to everybody (`rules.coding.proves`).
    """

    def __init__(self, proof: FalseCoding) -> None:
        super().__init__(f"dispersal {proof.dispersal.hex()} is falsely coded, as shard {proof.shard} shows")
        self.proof = proof


@dataclass(slots=True)
class Retrieval:
    """One retrieval.

    Attributes:
        commitment: of the blob.
        read: how shards are read.
        failures: shards that were given up, in the order in which that happened.
    """

    commitment: Commitment
    read: Read
    failures: list[Failure] = field(default_factory=list)

    def stream(self) -> Iterator[bytes]:
        """The blob, cell by cell, each checked before it is handed out.

        Raises:
            Unreachable: fewer than k shards are left.
            FalselyCoded: k shards are as committed, and do not give the committed blob.
        """
        for _, cells in self.stripes():
            yield from map(bytes, cells)

    def stripes(self) -> Iterator[tuple[int, list[Buffer]]]:
        """Every stripe's number and data cells, empty where a shard has none; raises as `stream`."""
        shape = self.commitment.dispersal.shape
        for first in range(0, shape.stripes, BATCH):
            for stripe, known in enumerate(self._batch(first, min(BATCH, shape.stripes - first)), first):
                yield stripe, self._data_cells(stripe, known)

    def get(self) -> bytes:
        """The blob, in memory; raises as `stream`."""
        return b"".join(self.stream())

    def _data_cells(self, stripe: int, known: dict[int, Buffer]) -> list[Buffer]:
        """Data cells of one stripe; what is decoded is held against the committed leaf hashes."""
        shape = self.commitment.dispersal.shape
        missing = [shard for shard in range(shape.data) if shard not in known]
        if not missing:
            return [known[shard] for shard in range(shape.data)]
        decoded = decode(known, shape.data, shape.parity, shape.width(stripe))
        for shard in missing:
            if not self._is_committed(shard, stripe, decoded[shard]):
                raise FalselyCoded(self.accuse(stripe, known, shard))
        return [decoded[shard][: shape.cell_size(shard, stripe)] for shard in range(shape.data)]

    def _is_committed(self, shard: int, stripe: int, cell: memoryview) -> bool:
        size = self.commitment.dispersal.shape.cell_size(shard, stripe)
        return leaf_hash(cell[:size]) == self.commitment.leaves[shard][stripe] and not any(cell[size:])

    def accuse(self, stripe: int, known: dict[int, Buffer], shard: int) -> FalseCoding:
        """The fraud proof that the committed cell of ``shard`` is not the one that the ``known`` cells give."""
        cells = [
            prove_cell(self.commitment, index, stripe, bytes(cell))
            for index, cell in sorted(known.items())
            if len(cell)
        ]
        leaf = self.commitment.leaves[shard][stripe]
        path = prove_leaf(self.commitment, shard, stripe)
        return FalseCoding(self.commitment.dispersal.digest(), tuple(cells), shard, leaf, path)

    def _batch(self, first: int, count: int) -> list[dict[int, Buffer]]:
        """Cells of k shards for some stripes, data shards first since they need no decoding."""
        shape = self.commitment.dispersal.shape
        stripes: list[dict[int, Buffer]] = [
            dict.fromkeys(shape.empty(stripe), b"") for stripe in range(first, first + count)
        ]
        given_up = {failure.shard for failure in self.failures}
        for shard in range(shape.shards):
            if all(len(known) >= shape.data for known in stripes):
                break
            if shard not in given_up and (cells := self._try(shard, first, count)) is not None:
                for known, cell in zip(stripes, cells, strict=False):
                    if len(known) < shape.data:
                        known.setdefault(shard, cell)
        if left := max(shape.data - len(known) for known in stripes):
            raise Unreachable(
                f"blob {self.commitment.dispersal.blob.root.hex()} lacks {left} of the {shape.data} shards it needs",
                hint="; ".join(f"{item.keeper}: {item.what}" for item in self.failures)[:500] or None,
            )
        return stripes

    def _try(self, shard: int, first: int, count: int) -> list[Buffer] | None:
        """The cells of one shard, each as committed, or None and the failure noted."""
        keeper = self.commitment.dispersal.keepers[shard]
        try:
            return self._ask(shard, first, count)
        except FormatError as error:
            self.failures.append(Failure(keeper, shard, True, str(error)))
        except AttestrainError as error:
            self.failures.append(Failure(keeper, shard, False, str(error)))
        return None

    def _ask(self, shard: int, first: int, count: int) -> list[Buffer]:
        shape = self.commitment.dispersal.shape
        last = min(first + count, shape.shard_cells(shard))
        sizes = [shape.cell_size(shard, stripe) for stripe in range(first, last)]
        if not sizes:
            return []
        data = memoryview(self.read(shard, first * CELL, sum(sizes)))
        if len(data) != sum(sizes):
            raise FormatError(f"shard {shard} gave {len(data)} bytes instead of {sum(sizes)}")
        cells = [data[at * CELL : at * CELL + size] for at, size in enumerate(sizes)]
        for stripe, cell in enumerate(cells, first):
            if leaf_hash(cell) != self.commitment.leaves[shard][stripe]:
                raise FormatError(f"cell {stripe} of shard {shard} is not the committed one")
        return list(cells)


def repair(retrieval: Retrieval, lost: Collection[int], sink: Sink) -> None:
    """Make lost shards again from any k others, cell by cell into ``sink``.

    Raises:
        Unreachable: fewer than k shards are left.
        FalselyCoded: what comes out is not what was committed.
    """
    commitment = retrieval.commitment
    shape = commitment.dispersal.shape
    for stripe, cells in retrieval.stripes():
        coded = [*cells, *encode(cells, shape.parity, shape.width(stripe))]
        for shard in lost:
            if not len(coded[shard]):
                continue
            if leaf_hash(coded[shard]) != commitment.leaves[shard][stripe]:
                raise FalselyCoded(retrieval.accuse(stripe, dict(enumerate(cells)), shard))
            sink(shard, coded[shard])


def audit(retrieval: Retrieval) -> None:
    """Code the whole blob again and hold every shard's leaf hashes against it; raises as `repair`."""
    repair(retrieval, range(retrieval.commitment.dispersal.shape.shards), lambda shard, cell: None)
