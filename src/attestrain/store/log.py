"""The transcript on disk: an entry is durable before its index is known to anybody.

`entries.log` is a magic line and one record per entry: its length (u32), the length's complement (u32), the entry and
the entry's CRC-32 (u32), all big-endian. A crash can only leave the last record unfinished; that one was never
acknowledged, so opening the log drops it. Anything else that does not read back is damage and is reported, never
repaired by forgetting: dropping an acknowledged entry would fork the log.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

from attestrain.errors import FormatError, RunFailed, UsageError
from attestrain.record.tiles import MAX_ENTRY
from attestrain.record.transcript import Log
from attestrain.store.atomic import sync_folder, write_atomic

FILE = "entries.log"
MAGIC = b"attestrain.dev/entries@v1\n"
COMPLEMENT = 0xFFFFFFFF
READ_SIZE = 1 << 22
"""Bytes asked of the system at a time."""

_HEAD = struct.Struct(">II")
_TAIL = struct.Struct(">I")


class DurableLog(Log):
    """A log in a folder, open for one process.

    Args:
        folder: created when missing.

    Raises:
        UsageError: another process has the log open, or the folder cannot be used.
        FormatError: the file is not a log, or acknowledged entries are damaged.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"log {self._path} cannot be opened: {error.strerror}") from error
        try:
            self._lock()
            self._recover(folder)
        except BaseException:
            self.close()
            raise

    def append(self, entry: bytes) -> int:
        """Add an entry and make it durable.

        Returns:
            Its index. Once returned, the entry survives any crash.

        Raises:
            FormatError: as `Log.append`; nothing was written.
            RunFailed: the disk refuses. The log is closed, because what reached the disk is unknown; opening it again
                finds out.
        """
        self._check_entry(entry)
        try:
            _write_all(self._handle, encode_record(entry))
            os.fsync(self._handle)
        except OSError as error:
            self.close()
            raise RunFailed(f"log {self._path} cannot be written: {error.strerror}") from error
        return super().append(entry)

    def export(self, folder: Path, checkpoint: bytes) -> None:
        """Write the log as static files (C2SP tlog-tiles) under ``folder``, with this signed ``checkpoint`` of it."""
        for path, data in self.files(checkpoint).items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(target, data)

    def close(self) -> None:
        """Give the file back. Reading what is in memory still works."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        # A record lock and not flock: a forked worker must not keep the lock when the process that took it is killed.
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"log {self._path} is open in another process", hint="stop it, or wait until it has ended"
            ) from error

    def _recover(self, folder: Path) -> None:
        data = _read_all(self._handle)
        if len(data) < len(MAGIC) and MAGIC.startswith(data):
            data = MAGIC
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, MAGIC, 0)
        if not data.startswith(MAGIC):
            raise FormatError(f"{self._path} is not a log of this format")
        end = len(MAGIC)
        while (record := decode_record(data, end)) is not None:
            entry, end = record
            super().append(entry)
        os.ftruncate(self._handle, end)
        os.lseek(self._handle, end, os.SEEK_SET)
        os.fsync(self._handle)
        sync_folder(folder)


def encode_record(entry: bytes) -> bytes:
    """An entry as it stands in the file."""
    head = _HEAD.pack(len(entry), len(entry) ^ COMPLEMENT)
    return head + entry + _TAIL.pack(zlib.crc32(entry))


def decode_record(data: bytes, at: int) -> tuple[bytes, int] | None:
    """The entry at ``at`` and where the next record begins, or None where only an unfinished record follows.

    Unfinished is what a crash leaves of one write: its beginning, then nothing or, where the file system had already
    grown the file, zeros.

    Raises:
        FormatError: something else is there.
    """
    rest = len(data) - at
    if rest < _HEAD.size:
        return None
    length, complement = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    end = start + length + _TAIL.size
    if length ^ complement != COMPLEMENT or length > MAX_ENTRY:
        if rest <= _HEAD.size + MAX_ENTRY + _TAIL.size and not any(data[at:]):
            return None
        raise FormatError(f"log is damaged at byte {at}: no record begins there")
    if end > len(data):
        return None
    (checksum,) = _TAIL.unpack_from(data, end - _TAIL.size)
    entry = data[start : start + length]
    if zlib.crc32(entry) == checksum:
        return entry, end
    if end == len(data) and not checksum:
        return None
    raise FormatError(f"log is damaged at byte {at}: the checksum of its entry is wrong")


def _read_all(handle: int) -> bytes:
    # Through this handle only: closing any other one on the file would give up the record lock.
    parts: list[bytes] = []
    while part := os.read(handle, READ_SIZE):
        parts.append(part)
    return b"".join(parts)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
