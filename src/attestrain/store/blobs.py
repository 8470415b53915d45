"""Content-addressed blobs in a local folder. Nothing read from it is believed: every read is hashed again.

A blob lies at ``<two digits>/<root>``: few enough folders that they soon all exist, since making one durable costs as
much as a small blob, and enough of them to keep each small.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from attestrain.errors import FormatError, Unreachable
from attestrain.record.blob import CELL, BlobRef, blob_ref
from attestrain.record.digest import Buffer, Digest
from attestrain.record.merkle import leaf_hash, root_of_hashes
from attestrain.store.atomic import sync_folder, write_atomic

FRESH = 4096
"""References remembered as kept by this process: enough for the round that is being published, with many workers."""
RECEIVING = ".receiving."
"""How the names of unfinished blobs begin."""


class Blobs(Protocol):
    """Blobs somewhere: in a folder here, or at the sequencer's."""

    def put(self, data: Buffer) -> BlobRef:
        """Keep ``data``, durably before this returns."""
        ...

    def get(self, ref: BlobRef) -> bytes:
        """The blob's bytes, hashed again and found to be what ``ref`` names.

        Raises:
            Unreachable: there is no such blob.
            FormatError: what came is not that blob.
        """
        ...

    def put_all(self, blobs: Sequence[Buffer]) -> list[BlobRef]:
        """Keep several blobs, all of them durably before this returns; cheaper than one by one."""
        ...

    def get_all(self, refs: Sequence[BlobRef]) -> list[bytes]:
        """Several blobs, each as from `get`; cheaper than one by one."""
        ...

    def has(self, ref: BlobRef) -> bool:
        """Whether the blob is there already. False may also mean that asking costs more than sending."""
        ...


class BlobStore:
    """Blobs under a folder.

    Args:
        folder: created when missing.

    Raises:
        Unreachable: the folder can neither be found nor created (and from every method: the file system refuses).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fresh: dict[BlobRef, None] = {}
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unreachable(f"blob store {folder} cannot be opened: {error.strerror}") from error

    def path(self, ref: BlobRef) -> Path:
        """Where the blob lies, if it is here."""
        name = ref.root.hex()
        return self._folder / name[:2] / name

    def put(self, data: Buffer) -> BlobRef:
        """Keep ``data``, durably before this returns. Putting it again does nothing, or repairs a damaged copy."""
        ref = blob_ref(data)
        try:
            self.get(ref)
        except (FormatError, Unreachable):
            self.keep(ref, data)
        return ref

    def put_all(self, blobs: Sequence[Buffer]) -> list[BlobRef]:
        """Keep several blobs; see `put`."""
        return [self.put(data) for data in blobs]

    def get_all(self, refs: Sequence[BlobRef]) -> list[bytes]:
        """Several blobs; see `get`."""
        return [self.get(ref) for ref in refs]

    def keep(self, ref: BlobRef, data: Buffer) -> None:
        """Keep ``data``, which the caller has found to be ``ref``'s, durably before this returns."""
        path = self.path(ref)
        try:
            with suppress(FileExistsError):
                path.parent.mkdir()
                sync_folder(self._folder)
            write_atomic(path, data)
        except OSError as error:
            raise Unreachable(f"blob {ref.root.hex()} cannot be written: {error.strerror}") from error
        self._remember(ref)

    def _remember(self, ref: BlobRef) -> None:
        with self._lock:  # blobs come in on several threads
            self._fresh[ref] = None
            if len(self._fresh) > FRESH:
                del self._fresh[next(iter(self._fresh))]

    def check(self, ref: BlobRef) -> None:
        """See that the blob is here: read and hashed again, unless this very object kept it a short while ago.

        Raises:
            Unreachable: there is no such blob here.
            FormatError: the stored bytes are not that blob.
        """
        if ref not in self._fresh or not self.has(ref):
            self.get(ref)

    def sweep(self) -> None:
        """Remove what a crash left of blobs that were coming in. For the one process that receives."""
        for path in self._folder.glob(f"{RECEIVING}*"):
            path.unlink(missing_ok=True)

    @contextmanager
    def receiving(self, ref: BlobRef) -> Iterator[Receiver]:
        """Take a blob in pieces, as it comes from somebody else; all is dropped unless `Receiver.keep` is called."""
        try:
            handle, name = tempfile.mkstemp(prefix=RECEIVING, dir=self._folder)
        except OSError as error:
            raise Unreachable(f"blob {ref.root.hex()} cannot be written: {error.strerror}") from error
        try:
            yield Receiver(ref, handle, Path(name), self.path(ref), self._remember)
        finally:
            os.close(handle)
            Path(name).unlink(missing_ok=True)

    def get(self, ref: BlobRef) -> bytes:
        """The blob's bytes, hashed again and found to be what ``ref`` names.

        Raises:
            Unreachable: there is no such blob here.
            FormatError: the stored bytes are not that blob.
        """
        try:
            with self.path(ref).open("rb") as file:
                # Sizes first: a reference from outside must not make us reserve what is not there.
                right_size = os.fstat(file.fileno()).st_size == ref.size
                data = file.read(ref.size) if right_size else b""
        except FileNotFoundError as error:
            raise Unreachable(f"blob {ref.root.hex()} is not in the store") from error
        except OSError as error:
            raise Unreachable(f"blob {ref.root.hex()} cannot be read: {error.strerror}") from error
        if not right_size or blob_ref(data) != ref:
            raise FormatError(f"stored bytes of blob {ref.root.hex()} are not what its name says")
        return data

    def has(self, ref: BlobRef) -> bool:
        """Whether a file of the right size is here. Cheap: only `get` tells whether its bytes are right."""
        try:
            return self.path(ref).stat().st_size == ref.size
        except OSError:
            return False

    def delete(self, ref: BlobRef) -> None:
        """Forget the blob, if it is here."""
        try:
            self.path(ref).unlink(missing_ok=True)
        except OSError as error:
            raise Unreachable(f"blob {ref.root.hex()} cannot be deleted: {error.strerror}") from error


class Receiver:
    """A blob that is coming in. Use `BlobStore.receiving`.

    Raises:
        FormatError: what comes is not the blob.
        Unreachable: the file system refuses.
    """

    def __init__(
        self, ref: BlobRef, handle: int, building: Path, target: Path, kept: Callable[[BlobRef], None]
    ) -> None:
        self._ref = ref
        self._kept = kept
        self._handle = handle
        self._building = building
        self._target = target
        self._size = 0
        self._rest = b""
        self._leaves: list[Digest] = []

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        self._size += len(piece)
        if self._size > self._ref.size:
            raise FormatError(f"more than the {self._ref.size} bytes of blob {self._ref.root.hex()}")
        data = self._rest + piece
        whole = len(data) // CELL * CELL
        self._leaves += [leaf_hash(data[at : at + CELL]) for at in range(0, whole, CELL)]
        self._rest = data[whole:]
        self._try(lambda: _write_all(self._handle, piece))

    def keep(self) -> None:
        """Check that it is the whole blob and keep it, durably before this returns."""
        leaves = [*self._leaves, leaf_hash(self._rest)] if self._rest else self._leaves
        if BlobRef(root_of_hashes(leaves), self._size) != self._ref:
            raise FormatError(f"these bytes are not blob {self._ref.root.hex()}")
        self._try(self._move)
        self._kept(self._ref)

    def _move(self) -> None:
        os.fchmod(self._handle, 0o644)
        os.fsync(self._handle)
        with suppress(FileExistsError):
            self._target.parent.mkdir()
            sync_folder(self._target.parent.parent)
        os.replace(self._building, self._target)
        sync_folder(self._target.parent)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            raise Unreachable(f"blob {self._ref.root.hex()} cannot be written: {error.strerror}") from error


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
