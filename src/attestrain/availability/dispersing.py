"""From a blob to shards and the commitment over them, in one pass that hashes every byte once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from attestrain.availability.codec import encode, encode_joined
from attestrain.errors import FormatError
from attestrain.record.blob import CELL, BlobRef
from attestrain.record.digest import Buffer, Digest
from attestrain.record.dispersal import Commitment, Dispersal, blob_root
from attestrain.record.merkle import leaf_hash, root_of_hashes
from attestrain.record.names import Address, Branch, Round, RunId, Worker
from attestrain.record.shape import Shape

Sink = Callable[[int, Buffer], None]
"""Takes the next cell of a shard: shard and bytes. The bytes are the sink's only until it returns."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Whose blob it is, and the last round in which keepers owe it: what a dispersal says besides the blob."""

    run: RunId
    branch: Branch
    round: Round
    worker: Worker
    until: Round


def disperse(data: Buffer, slot: Slot, parity: int, keepers: tuple[Address, ...]) -> tuple[Commitment, list[bytes]]:
    """Code a blob in memory.

    Args:
        data: the blob.
        slot: whose it is.
        parity: how many of the shards are parity.
        keepers: who keeps each shard (`rules.certificates.allot`).

    Returns:
        The commitment, and the shards' bytes.

    Raises:
        FormatError: an empty or too large blob, or numbers of shards that `Shape` refuses.
        UsageError: the codec is not installed.
    """
    view = memoryview(data).cast("B")
    shape = Shape(len(view), len(keepers) - parity, parity)
    shards = [bytearray() for _ in keepers]
    commitment = disperse_stream([view], shape, slot, keepers, lambda shard, cell: shards[shard].extend(cell))
    return commitment, [bytes(shard) for shard in shards]


def disperse_stream(
    pieces: Iterable[Buffer], shape: Shape, slot: Slot, keepers: tuple[Address, ...], sink: Sink
) -> Commitment:
    """Code a blob that comes in pieces, handing its shards' cells to ``sink``; holds one stripe and all leaf hashes.

    Raises:
        FormatError: the pieces do not make a blob of the size that ``shape`` has.
        UsageError: the codec is not installed.
    """
    leaves: list[list[Digest]] = [[] for _ in keepers]
    for cells in stripes(pieces, shape):
        for shard, cell in enumerate(cells):
            if len(cell):
                leaves[shard].append(leaf_hash(cell))
                sink(shard, cell)
    blob = BlobRef(blob_root(shape, leaves), shape.size)
    roots = tuple(map(root_of_hashes, leaves))
    dispersal = Dispersal(slot.run, slot.branch, slot.round, slot.worker, slot.until, blob, shape, keepers, roots)
    return Commitment(dispersal, tuple(map(tuple, leaves)))


def stripes(pieces: Iterable[Buffer], shape: Shape) -> Iterator[list[memoryview]]:
    """The cells of every stripe, data and parity, in the order of shards; empty where a shard has none.

    Raises:
        FormatError: more or fewer bytes than the shape's.
    """
    size = 0
    for stripe, chunk in enumerate(_chunks(pieces, shape.data * CELL)):
        size += len(chunk)
        if size > shape.size or (len(chunk) < shape.data * CELL and size < shape.size):
            break
        yield _code(chunk, shape, shape.width(stripe))
    if size != shape.size:
        raise FormatError(f"the pieces are not the {shape.size} bytes that were announced")


def _code(chunk: bytes, shape: Shape, width: int) -> list[memoryview]:
    view = memoryview(chunk)
    cells = [view[at : at + CELL] for at in range(0, shape.data * CELL, CELL)]
    if len(chunk) == shape.data * CELL:  # no copy: the codec takes the cells as they lie
        return cells + encode_joined(chunk, shape.data, shape.parity, width)
    return cells + encode(cells, shape.parity, width)


def _chunks(pieces: Iterable[Buffer], size: int) -> Iterator[bytes]:
    """The same bytes in chunks of ``size``, the last possibly shorter, as the codec wants them."""
    rest = b""
    for piece in pieces:
        view, at = memoryview(piece).cast("B"), 0
        if rest:
            at = size - len(rest)
            rest += view[:at]
            if len(rest) < size:
                continue
            yield rest
        last = at + max(0, len(view) - at) // size * size
        yield from (bytes(view[start : start + size]) for start in range(at, last, size))
        rest = bytes(view[last:])
    if rest:
        yield rest
