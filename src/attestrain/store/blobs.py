"""Content-addressed blobs in a local folder. Nothing read from it is believed: every read is hashed again.

A blob lies at ``<two digits>/<root>``: few enough folders that they soon all exist, since making one durable costs as
much as a small blob, and enough of them to keep each small.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from attestrain.errors import FormatError, Unreachable
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import Buffer
from attestrain.store.atomic import sync_folder, write_atomic


class BlobStore:
    """Blobs under a folder.

    Args:
        folder: created when missing.

    Raises:
        Unreachable: the folder can neither be found nor created (and from every method: the file system refuses).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
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
            self._write(ref, data)
        return ref

    def _write(self, ref: BlobRef, data: Buffer) -> None:
        path = self.path(ref)
        try:
            with suppress(FileExistsError):
                path.parent.mkdir()
                sync_folder(self._folder)
            write_atomic(path, data)
        except OSError as error:
            raise Unreachable(f"blob {ref.root.hex()} cannot be written: {error.strerror}") from error

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
