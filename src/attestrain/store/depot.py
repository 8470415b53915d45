"""Blobs of any size in any place, in bounded memory, and checked on every read.

A blob of at most one part is one object, where `store.blobs` keeps it too; a larger one is its parts and, written last,
its index. An upload that was cut off is begun again and finds the parts that arrived; putting twice changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.blob import CELL, BlobRef, blob_ref
from attestrain.record.digest import Buffer, Digest
from attestrain.record.merkle import leaf_hash, root_of_hashes
from attestrain.store.index import (
    CELLS_PER_PART,
    MAX_STORED,
    PART,
    Layout,
    leaves_of,
    make_index,
    read_head,
    read_leaves,
)
from attestrain.store.objects import Objects


def data_name(root: Digest) -> str:
    """Name of the object that holds a small blob, or a part of a large one."""
    return f"{root.hex()[:2]}/{root.hex()}"


def index_name(root: Digest) -> str:
    """Name of the object that holds the index of a large blob."""
    return f"{data_name(root)}.index"


class Depot:
    """A store of blobs.

    Args:
        objects: where the bytes lie.
        quota: most bytes of objects kept there, indices and pins included; None for no limit of ours.

    Every method raises `Unreachable` when the place does not answer or refuses.
    """

    def __init__(self, objects: Objects, *, quota: int | None = None) -> None:
        self.objects = objects
        self._quota = quota
        self._used: int | None = None
        self._lock = threading.Lock()

    def put(self, data: Buffer) -> BlobRef:
        """Keep ``data``, durably before this returns."""
        return self.put_stream((data,))

    def put_all(self, blobs: Sequence[Buffer]) -> list[BlobRef]:
        """Keep several blobs; see `put`."""
        return [self.put(data) for data in blobs]

    def put_file(self, path: Path) -> BlobRef:
        """Keep the bytes of a file, holding at most three parts of it in memory.

        Raises:
            UsageError: the file cannot be read.
        """
        return self.put_stream(read_file(path))

    def put_stream(self, pieces: Iterable[Buffer]) -> BlobRef:
        """Keep what the pieces make together, durably before this returns; they may be of any sizes.

        Raises:
            UsageError: larger than a store takes.
            Unreachable: the quota is used up (besides the usual reasons). Parts that were kept stay, for another try
                or for `upkeep.collect`.
        """
        size, roots, leaves = 0, list[Digest](), bytearray()
        # One part is made durable while the next is hashed; both leave the interpreter free.
        with ThreadPoolExecutor(1) as writer:
            writing: Future[None] | None = None
            for part in map(_kept, cut(pieces, PART)):
                size += len(part)
                if size > MAX_STORED:
                    raise UsageError(f"a store takes blobs of at most {MAX_STORED} bytes")
                hashes = leaves_of(part)
                roots.append(root_of_hashes(hashes))
                leaves += b"".join(hashes)
                if writing is not None:
                    writing.result()
                writing = writer.submit(self.keep, data_name(roots[-1]), part)
            if writing is not None:
                writing.result()
        if not roots:
            self.keep(data_name(root_of_hashes([])), b"")
        ref = BlobRef(root_of_hashes(roots), size)
        if size > PART:
            self.keep(index_name(ref.root), make_index(size, roots, leaves))
        return ref

    def keep(self, name: str, data: Buffer) -> None:
        """Write one object unless it is there, within the quota."""
        self.objects.prepare()
        if self.objects.same(name, data):
            return
        with self._lock:
            self._charge(name, len(data))
        try:
            self.objects.put(name, data)
        except BaseException:
            # Whether it was written is not known; what is there is counted again.
            self.recount()
            raise

    def _charge(self, name: str, size: int) -> None:
        if self._quota is None:
            return
        if self._used is None:
            self._used = sum(held.size for held in self.objects.list())
        grown = self._used + size - (self.objects.size(name) or 0)
        if grown > self._quota:
            raise Unreachable(
                f"the store's quota of {self._quota} bytes has no room for {size} more",
                hint="collect what nobody pins, or raise the quota",
            )
        self._used = grown

    def recount(self) -> None:
        """Count again what the quota counts; for whoever deleted objects."""
        with self._lock:
            self._used = None

    def has(self, ref: BlobRef) -> bool:
        """Whether the blob was kept here. Cheap: only reading tells whether its bytes are right."""
        if ref.size <= PART:
            return self.objects.size(data_name(ref.root)) == ref.size
        return self.objects.size(index_name(ref.root)) == Layout(ref.size).total

    def get(self, ref: BlobRef) -> bytes:
        """The blob's bytes, in memory, checked against ``ref``; for large blobs see `stream`.

        Raises:
            Unreachable: there is no such blob.
            FormatError: the stored bytes are not that blob.
        """
        return b"".join(self.stream(ref))

    def get_all(self, refs: Sequence[BlobRef]) -> list[bytes]:
        """Several blobs; see `get`."""
        return [self.get(ref) for ref in refs]

    def stream(self, ref: BlobRef) -> Iterator[bytes]:
        """The blob part by part, each checked before it is handed out; raises as `get`, at the part that is wrong."""
        layout = Layout(ref.size)
        parts = [BlobRef(root, layout.part_size(part)) for part, root in enumerate(self.parts(ref))]
        # One part is read while the one before it is hashed; both leave the interpreter free.
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(self._whole, parts[0])
            for number, part in enumerate(parts):
                data = reading.result()
                if number + 1 < len(parts):
                    reading = reader.submit(self._whole, parts[number + 1])
                if blob_ref(data) != part:
                    raise FormatError(f"stored bytes of blob {ref.root.hex()} are wrong in part {number}")
                yield data

    def parts(self, ref: BlobRef) -> list[Digest]:
        """Roots of the blob's parts, in order, checked; of a small blob, its own root.

        Raises:
            Unreachable: there is no index.
            FormatError: it is damaged.
        """
        if ref.size <= PART:
            return [ref.root]
        layout = Layout(ref.size)
        if ref.size > MAX_STORED or self.objects.size(index_name(ref.root)) != layout.total:
            raise Unreachable(f"blob {ref.root.hex()} is not in the store")
        return read_head(self.objects.read(index_name(ref.root), 0, layout.head), ref)

    def read(self, ref: BlobRef, start: int, length: int) -> bytes:
        """A range of the blob; every cell that it touches is checked.

        Raises:
            UsageError: the range leaves the blob.
            Unreachable: there is no such blob.
            FormatError: stored bytes are not that blob.
        """
        if not 0 <= start <= start + length <= ref.size:
            raise UsageError(f"blob {ref.root.hex()} of {ref.size} bytes has no range {start}+{length}")
        if length == 0:
            return b""
        if ref.size <= PART:
            return self.get(ref)[start : start + length]
        roots, end = self.parts(ref), start + length
        pieces = [
            self._read_part(ref, part, roots[part], max(0, start - part * PART), min(PART, end - part * PART))
            for part in range(start // PART, (end - 1) // PART + 1)
        ]
        return b"".join(pieces)

    def ranges(self, ref: BlobRef, start: int, length: int) -> Iterator[bytes]:
        """A long range in pieces of at most one part; see `read`."""
        at, end = start, start + length
        if not 0 <= start <= end <= ref.size:
            raise UsageError(f"blob {ref.root.hex()} of {ref.size} bytes has no range {start}+{length}")
        while at < end:
            step = min(end, (at // PART + 1) * PART) - at
            yield self.read(ref, at, step)
            at += step

    def _read_part(self, ref: BlobRef, part: int, root: Digest, start: int, end: int) -> bytes:
        """Bytes ``start .. end`` of a part, by its cells."""
        layout = Layout(ref.size)
        leaves = read_leaves(self.objects.read(index_name(ref.root), *layout.leaves_of(part)), root)
        first = start // CELL
        last = min(-(-end // CELL) * CELL, layout.part_size(part))
        data = memoryview(self.objects.read(data_name(root), first * CELL, last - first * CELL))
        for at in range(0, len(data), CELL):
            if leaf_hash(data[at : at + CELL]) != leaves[first + at // CELL]:
                where = part * CELLS_PER_PART + first + at // CELL
                raise FormatError(f"stored bytes of blob {ref.root.hex()} are wrong in cell {where}")
        return bytes(data[start - first * CELL : end - first * CELL])

    def _whole(self, ref: BlobRef) -> bytes:
        """The object of a small blob or a part, unchecked but for its size."""
        held = self.objects.size(data_name(ref.root))
        if held is None:
            raise Unreachable(f"blob {ref.root.hex()} is not in the store")
        if held != ref.size:
            raise FormatError(f"stored bytes of blob {ref.root.hex()} are not what its name says: {held} of {ref.size}")
        return self.objects.read(data_name(ref.root), 0, held) if held else b""


def _kept(chunk: Buffer) -> Buffer:
    """A chunk of `cut`'s, copied where it views memory that its owner may fill anew while it is being written."""
    return bytes(chunk) if isinstance(chunk, memoryview) and not isinstance(chunk.obj, bytes) else chunk


def name_stream(pieces: Iterable[Buffer]) -> BlobRef:
    """Content address of what the pieces make together, without keeping them."""
    size, roots = 0, []
    for part in cut(pieces, PART):
        size += len(part)
        roots.append(root_of_hashes(leaves_of(part)))
    return BlobRef(root_of_hashes(roots), size)


def read_file(path: Path) -> Iterator[bytes]:
    """A file in pieces of one part.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(PART):
                yield piece
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def cut(pieces: Iterable[Buffer], size: int) -> Iterator[Buffer]:
    """The same bytes in chunks of ``size``, the last possibly shorter; copied only where they straddle a boundary."""
    rest = bytearray()
    for piece in pieces:
        view = memoryview(piece).cast("B")
        if rest:
            taken = size - len(rest)
            rest += view[:taken]
            view = view[taken:]
            if len(rest) < size:
                continue
            yield rest
            rest = bytearray()
        whole = len(view) // size * size
        yield from (view[at : at + size] for at in range(0, whole, size))
        rest += view[whole:]
    if rest:
        yield rest
