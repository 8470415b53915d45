"""What a store asks of the place where its bytes lie: named objects, written whole or not at all.

Names are the store's own (`<two digits>/<root>` and their kin) and never come from outside. Nothing that a place hands
back is believed; that is the depot's business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from attestrain.errors import Unreachable
from attestrain.record.digest import Buffer
from attestrain.store.atomic import make_folder, sync_folder, write_atomic

NAME = re.compile(r"[0-9a-z]{2,8}/[0-9a-z][0-9a-z.-]{0,159}\Z")
"""Every object's name: one folder and one file, so that a name can neither leave the place nor hide in it."""


@dataclass(frozen=True, slots=True)
class Held:
    """An object that is there: its name, its bytes and when it was last written (seconds since 1970)."""

    name: str
    size: int
    written: float


class Objects(Protocol):
    """A place for objects. Every method raises `Unreachable` when the place does not answer or refuses."""

    def prepare(self) -> None:
        """Make the place, if it is missing and ours to make; for whoever is about to put."""
        ...

    def put(self, name: str, data: Buffer) -> None:
        """Write the object, whole and durably before this returns, in place of one of the same name."""
        ...

    def same(self, name: str, data: Buffer) -> bool:
        """Whether the object is there with exactly these bytes, as durably as if it had just been put."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of the object, or None if there is none."""
        ...

    def read(self, name: str, start: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``start``; also unreachable when there are fewer."""
        ...

    def list(self) -> Iterator[Held]:
        """All objects, in no particular order."""
        ...

    def delete(self, name: str) -> None:
        """Forget the object, if it is there."""
        ...

    def sweep(self, before: float) -> None:
        """Delete what killed writers left behind before that time (seconds since 1970); no object is touched."""
        ...


class FolderObjects:
    """Objects as files under a folder of this machine; a crash leaves whole files only.

    Args:
        folder: made by `prepare` and `put`; to everything else a missing one is unreachable.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepare(self) -> None:
        """Make the folder; see `Objects.prepare`."""
        try:
            make_folder(self._folder)
        except OSError as error:
            raise Unreachable(f"store {self._folder} cannot be made: {error.strerror}") from error

    def _must_be_there(self) -> None:
        if not self._folder.is_dir():
            raise Unreachable(
                f"there is no store at {self._folder}", hint="look for a misspelt path; only put makes one"
            )

    def _path(self, name: str) -> Path:
        if not NAME.match(name):
            raise ValueError(name)
        return self._folder / name

    def put(self, name: str, data: Buffer) -> None:
        """Write the object; see `Objects.put`."""
        path = self._path(name)
        try:
            make_folder(path.parent)
            write_atomic(path, data)
        except OSError as error:
            raise Unreachable(f"object {name} cannot be written: {error.strerror}") from error

    def same(self, name: str, data: Buffer) -> bool:
        """Whether exactly these bytes are there; see `Objects.same`. Reading a file is cheaper than writing one."""
        if self.size(name) != len(data) or self.read(name, 0, len(data)) != data:
            return False
        path = self._path(name)
        try:
            # Whoever wrote the file may have been killed before its names were durable.
            make_folder(path.parent)
            sync_folder(path.parent)
        except OSError as error:
            raise Unreachable(f"object {name} cannot be made durable: {error.strerror}") from error
        return True

    def size(self, name: str) -> int | None:
        """Bytes of the object, or None."""
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            self._must_be_there()
            return None
        except OSError as error:
            raise Unreachable(f"object {name} cannot be read: {error.strerror}") from error

    def read(self, name: str, start: int, length: int) -> bytes:
        """A range of the object; see `Objects.read`."""
        try:
            with self._path(name).open("rb", buffering=0) as file:
                data = _read_exactly(file.fileno(), start, length)
        except FileNotFoundError as error:
            self._must_be_there()
            raise Unreachable(f"object {name} is not in the store") from error
        except OSError as error:
            raise Unreachable(f"object {name} cannot be read: {error.strerror}") from error
        if len(data) != length:
            raise Unreachable(f"object {name} ends before byte {start + length}")
        return data

    def list(self) -> Iterator[Held]:
        """All objects; files of other names are none of ours."""
        self._must_be_there()
        for path in sorted(self._folder.glob("*/*")):
            name = path.relative_to(self._folder).as_posix()
            with suppress(FileNotFoundError):
                if NAME.match(name) and path.is_file():
                    status = path.stat()
                    yield Held(name, status.st_size, status.st_mtime)

    def delete(self, name: str) -> None:
        """Forget the object, if it is there."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise Unreachable(f"object {name} cannot be deleted: {error.strerror}") from error

    def sweep(self, before: float) -> None:
        """Delete the unfinished files of killed writers; see `Objects.sweep`."""
        for path in self._folder.glob("*/.*.tmp"):
            try:
                if path.stat().st_mtime <= before:
                    path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Unreachable(f"unfinished file {path} cannot be deleted: {error.strerror}") from error


def _read_exactly(handle: int, start: int, length: int) -> bytes:
    """Up to ``length`` bytes; sizes first, so that no claim makes us reserve what is not there."""
    length = max(0, min(length, os.fstat(handle).st_size - start))
    data = os.pread(handle, length, start)
    while len(data) < length and (more := os.pread(handle, length - len(data), start + len(data))):
        data += more
    return data
