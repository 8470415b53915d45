"""Whole files or none: what every part of the program that keeps something uses to write it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from attestrain.record.digest import Buffer


def write_atomic(path: Path, data: Buffer, *, mode: int = 0o644) -> None:
    """Replace the file at ``path`` by ``data``, durably: after a crash there is the old file or the new one, whole.

    Args:
        path: where; its folder must exist.
        data: the file's bytes.
        mode: permission bits. The file never has wider ones, not even while it is being written.

    Raises:
        OSError: the file system refuses; the old file is untouched and nothing is left behind.
    """
    write_pieces(path, (data,), mode=mode)


def write_pieces(path: Path, pieces: Iterable[Buffer], *, mode: int = 0o644) -> None:
    """The same for bytes that come piece by piece; what goes wrong while they come leaves the old file too."""
    # The temporary file shares the folder because a rename is atomic only within one file system.
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:64]}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably.

    The name of one that is there is made durable too: whoever made it may have been killed before doing so.

    Raises:
        OSError: the file system refuses.
    """
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    # A folder above that we may not read was there before us, and so was this one.
    with suppress(PermissionError):
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: a new file's name lives in its folder, not in the file."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
