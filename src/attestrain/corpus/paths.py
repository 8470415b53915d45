"""Files, folders and globs of the user's, in one order and within their roots."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from attestrain.errors import UsageError

MAX_FILES = 1 << 20
"""Most files that paths may name: a mistyped root stops here instead of walking a whole disk."""

_GLOB = "*?["


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A file and the name of its document: the path below what the user named, with forward slashes."""

    name: str
    path: Path

    def read(self, most: int) -> bytes:
        """Its bytes, or its first ``most`` + 1 if there are more than ``most``.

        Raises:
            UsageError: it cannot be opened.
        """
        with self.open() as file:
            return file.read(most + 1)

    def open(self) -> BinaryIO:
        """Open it for reading.

        Raises:
            UsageError: it cannot be opened.
        """
        try:
            return self.path.open("rb")
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror}") from error


def find_files(paths: Sequence[str], *, suffix: str = "") -> list[Found]:
    """Every regular file that ``paths`` name, sorted by document name.

    A file is named by itself. A folder gives the files below it that end in ``suffix``, as ``folder/below/file``; a
    glob gives the files it matches, as the path below its fixed part. Hidden files are passed over unless named.

    Raises:
        UsageError: a path that names nothing, a symbolic link out of its root, a name that is not text, or more than
            ``MAX_FILES`` files.
    """
    found: list[Found] = []
    for given in paths:
        before = len(found)
        for file in _expand(Path(given), suffix):
            found.append(file)
            if len(found) > MAX_FILES:
                raise UsageError(f"more than {MAX_FILES} files below {given}", hint="name a folder further down")
        if len(found) == before:
            raise UsageError(f"no {suffix or 'readable'} file at {given}", hint="check dataset.paths")
    return sorted(found)


def _expand(path: Path, suffix: str) -> Iterator[Found]:
    if path.is_file():
        yield _named(path.name, path)
    elif path.is_dir():
        root = path.resolve()
        for file in _walk(root, suffix):
            yield _named(f"{root.name}/{file.relative_to(root).as_posix()}", file)
    elif any(char in part for part in path.parts for char in _GLOB):
        root, pattern = _fixed_part(path)
        for file in _matches(root, pattern):
            below = file.relative_to(root)
            if file.is_file() and not any(part.startswith(".") for part in below.parts):
                yield _named(below.as_posix(), _inside(file, root))


def _walk(root: Path, suffix: str) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            file = Path(folder, name)
            if name.endswith(suffix) and not name.startswith(".") and (file.is_file() or file.is_symlink()):
                yield _inside(file, root)


def _matches(root: Path, pattern: str) -> list[Path]:
    try:
        return sorted(islice(root.glob(pattern), MAX_FILES + 1))
    except ValueError as error:
        raise UsageError(f"{pattern!r} is not a glob: {error}") from error


def _fixed_part(path: Path) -> tuple[Path, str]:
    """The folder before the first pattern and the pattern from there on."""
    first = next(i for i, part in enumerate(path.parts) if any(char in part for char in _GLOB))
    return Path(*path.parts[:first]).resolve(), str(Path(*path.parts[first:]))


def _inside(file: Path, root: Path) -> Path:
    """Refuse a link that leads out of ``root``: a downloaded folder must not pull other files into a dataset."""
    if not file.resolve().is_relative_to(root):
        raise UsageError(f"{file} is a link out of {root}", hint="copy the file into the folder or remove the link")
    return file


def _named(name: str, path: Path) -> Found:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the name {name!r} is not text", hint="rename the file") from error
    return Found(name, path)
