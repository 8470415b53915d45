"""The transcript: an append-only log of statements whose every prefix has a root, with proofs between them.

Pure. The hashes of all complete subtrees are kept, so appending costs constant time on average, and roots and proofs
cost time logarithmic in the log. `store.log` is the same log on disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.merkle import EMPTY_ROOT, leaf_hash, node_hash
from attestrain.record.note import Checkpoint, LogKey, VerifierKey, open_checkpoint, sign_checkpoint
from attestrain.record.tiles import MAX_ENTRIES, MAX_ENTRY, Get, check_tiles, read_entries, tiles_of

CHECKPOINT_PATH = "checkpoint"
"""Where a log's files keep the signed checkpoint (tlog-tiles, section "Checkpoints")."""


class Log:
    """A log in memory.

    Args:
        entries: what it starts with.

    Raises:
        FormatError: as `append`.
    """

    def __init__(self, entries: Iterable[bytes] = ()) -> None:
        self._entries: list[bytes] = []
        # _levels[k][i] is the hash of leaves i * 2^k up to (i + 1) * 2^k, for every such range that is complete.
        self._levels: list[list[Digest]] = [[]]
        for entry in entries:
            Log.append(self, entry)

    def append(self, entry: bytes) -> int:
        """Add an entry.

        Returns:
            Its index, counted from 0.

        Raises:
            FormatError: the entry is longer than `MAX_ENTRY`, or the log is full.
        """
        self._check_entry(entry)
        self._entries.append(entry)
        index, level, digest = len(self._entries) - 1, 0, leaf_hash(entry)
        self._levels[0].append(digest)
        # A right child completes its parent, which may itself be one.
        while index & 1:
            digest = node_hash(self._levels[level][-2], digest)
            index, level = index >> 1, level + 1
            if level == len(self._levels):
                self._levels.append([])
            self._levels[level].append(digest)
        return len(self._entries) - 1

    def _check_entry(self, entry: bytes) -> None:
        if len(entry) > MAX_ENTRY:
            raise FormatError(f"log entry of {len(entry)} bytes is longer than {MAX_ENTRY}")
        if len(self._entries) >= MAX_ENTRIES:
            raise FormatError(f"log is full at {MAX_ENTRIES} entries")

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> bytes:
        return self._entries[index]

    def entries(self, start: int = 0) -> Sequence[bytes]:
        """The entries from ``start`` on."""
        return self._entries[start:]

    def root(self, size: int | None = None) -> Digest:
        """Root over the first ``size`` entries, by default over all.

        Raises:
            IndexError: the log is shorter.
        """
        size = self._size(size)
        return self._subtree(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[Digest]:
        """Proof that entry ``index`` is in the tree of ``size`` entries (RFC 6962 section 2.1.1).

        Raises:
            IndexError: the tree has no such entry, or the log is shorter than ``size``.
        """
        begin, end, path = 0, self._size(size), list[Digest]()
        if not 0 <= index < end:
            raise IndexError(index)
        while end - begin > 1:
            middle = begin + _split(end - begin)
            if index < middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(begin, middle))
                begin = middle
        return path[::-1]

    def consistency(self, old: int, new: int | None = None) -> list[Digest]:
        """Proof that the tree of ``new`` entries only appends to the tree of ``old`` (RFC 6962 section 2.1.2).

        Raises:
            IndexError: ``old`` is 0 or larger than ``new``, or the log is shorter than ``new``.
        """
        begin, end, path = 0, self._size(new), list[Digest]()
        if not 0 < old <= end:
            raise IndexError(old)
        while old != end:
            middle = begin + _split(end - begin)
            if old <= middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(begin, middle))
                begin = middle
        # The old tree ends in this subtree: its hash is needed unless it is the whole old tree, which is known.
        if begin:
            path.append(self._subtree(begin, end))
        return path[::-1]

    def checkpoint(self, key: LogKey) -> bytes:
        """The log's head as a note signed by ``key``, whose name is the log's origin."""
        return sign_checkpoint(Checkpoint(key.name, len(self), self.root()), key)

    def files(self, checkpoint: bytes) -> dict[str, bytes]:
        """The log as static files by path: tiles, entry bundles and the signed ``checkpoint`` of exactly this log."""
        return {**tiles_of(self._entries), CHECKPOINT_PATH: checkpoint}

    def _size(self, size: int | None) -> int:
        if size is None:
            return len(self)
        if not 0 <= size <= len(self):
            raise IndexError(size)
        return size

    def _subtree(self, begin: int, end: int) -> Digest:
        """Hash of leaves ``begin`` to ``end``, a subtree of some prefix: ``begin`` is aligned to its largest part."""
        width = end - begin
        if width & (width - 1) == 0:
            level = width.bit_length() - 1
            return self._levels[level][begin >> level]
        middle = begin + _split(width)
        return node_hash(self._subtree(begin, middle), self._subtree(middle, end))


def _split(width: int) -> int:
    """Largest power of two smaller than ``width`` (width > 1): where RFC 6962 divides a tree."""
    return 1 << (width - 1).bit_length() - 1


def read_log(get: Get, key: VerifierKey) -> tuple[Log, Checkpoint]:
    """Read a finished log from its static files and check all of them against its signed checkpoint.

    Args:
        get: fetches the file at a path of the log.
        key: the log's key, pinned by the caller or bound by entry 0.

    Raises:
        FormatError: a file is missing or malformed, the checkpoint is not signed by ``key``, its root is not the
            entries' root, or a hash tile does not follow from the entries.
    """
    note = get(CHECKPOINT_PATH)
    if note is None:
        raise FormatError("log has no checkpoint")
    checkpoint = open_checkpoint(note, key)
    log = Log(read_entries(get, checkpoint.size))
    if log.root() != checkpoint.root:
        raise FormatError("log entries do not have the root that the checkpoint signs")
    check_tiles(get, log.entries())
    return log, checkpoint
