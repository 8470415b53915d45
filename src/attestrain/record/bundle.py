"""The bundle: one folder that holds everything a stranger needs, and a manifest that digests every file in it.

manifest.json                  this page's document
spec.json                      the run spec
transcript/checkpoint          signed note, with tiles and entries beside it (C2SP tlog-tiles)
transcript/tile/...
chain/facts.json               storage proofs, if beacons come from a chain
evidence/<digest>.json         TEE evidence of session keys
environments/<digest>.json     what each participant says it computed on
dataset/manifest.json          the dataset, and the salted leaf digests of its training split
dataset/train.leaves
traces/<round>/<worker>.json   one per worker-round
updates/<round>/<worker>.bin
model/model.safetensors        the delivered model
data/, states/                 optional: what replaying needs and verifying does not
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from attestrain.errors import FormatError
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest, sha256
from attestrain.record.fields import Fields
from attestrain.record.names import Round, RunId, Worker

FORMAT = "attestrain.dev/bundle@v1"
MANIFEST = "manifest.json"
SPEC = "spec.json"
TRANSCRIPT = "transcript"
CHAIN = "chain/facts.json"
DATASET = "dataset/manifest.json"
LEAVES = "dataset/train.leaves"
MODEL = "model/model.safetensors"

MAX_FILES = 1_000_000
"""Most files in a bundle: a thousand rounds of five hundred workers, twice."""
MAX_FILE = 1 << 40
"""Largest file in a bundle (1 TiB)."""
MAX_PATH = 200
MAX_FOLDERS = 8
"""Deepest folder in a bundle: a transcript of a million tiles needs five."""
MAX_MANIFEST = 256 << 20

_PART = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_PATH = re.compile(rf"{_PART}(/{_PART})*\Z")


def trace_path(round_: Round, worker: Worker) -> str:
    """Where the trace of a worker-round lies."""
    return f"traces/{round_:06d}/{worker:04d}.json"


def update_path(round_: Round, worker: Worker) -> str:
    """Where the update of a worker-round lies."""
    return f"updates/{round_:06d}/{worker:04d}.bin"


def evidence_path(digest: Digest) -> str:
    """Where the evidence of a session key lies."""
    return f"evidence/{digest.hex()}.json"


def environment_path(digest: Digest) -> str:
    """Where the description of an environment lies."""
    return f"environments/{digest.hex()}.json"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Size and SHA-256 of one file."""

    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Manifest:
    """Every file of a bundle except the manifest itself, by path."""

    run: RunId
    files: Mapping[str, FileEntry]

    def to_bytes(self) -> bytes:
        """Canonical document."""
        files = {path: {"size": item.size, "sha256": item.digest.hex()} for path, item in self.files.items()}
        return canonical({"format": FORMAT, "run": self.run.hex(), "files": files})

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest strictly.

        Raises:
            FormatError: malformed, out of bounds, or a path that could leave the bundle.
        """
        fields = Fields(parse(data, max_bytes=MAX_MANIFEST), ("format", "run", "files"), "manifest")
        fields.constant("format", FORMAT)
        files = fields.object("files")
        if len(files) > MAX_FILES:
            raise FormatError(f"manifest names {len(files)} files, more than {MAX_FILES}")
        return cls(RunId(fields.digest("run")), {check_path(path): _read_entry(item) for path, item in files.items()})


def check_path(path: str) -> str:
    """A relative path of plain names, none of which begins with a dot.

    Raises:
        FormatError: anything else.
    """
    if len(path) > MAX_PATH or not _PATH.match(path):
        raise FormatError(f"{path[:80]!r} is not a path inside a bundle")
    return path


def _read_entry(value: object) -> FileEntry:
    fields = Fields(value, ("size", "sha256"), "manifest.files")
    return FileEntry(fields.integer("size", 0, MAX_FILE), fields.digest("sha256"))


class Files(Protocol):
    """Named byte strings, wherever they lie."""

    def paths(self) -> Iterator[str]:
        """Every path, in any order."""
        ...

    def size(self, path: str) -> int:
        """Size in bytes; raises FormatError if there is no such file."""
        ...

    def read(self, path: str) -> bytes:
        """The whole file; raises FormatError if there is no such file."""
        ...

    def digest(self, path: str) -> Digest:
        """SHA-256 of the file, in bounded memory; raises FormatError if there is no such file."""
        ...


class MemoryFiles(dict[str, bytes]):
    """Files in memory."""

    def paths(self) -> Iterator[str]:
        """Every path."""
        return iter(self)

    def size(self, path: str) -> int:
        """Size in bytes."""
        return len(self.read(path))

    def read(self, path: str) -> bytes:
        """The whole file."""
        if path not in self:
            raise FormatError(f"{path} is missing")
        return self[path]

    def digest(self, path: str) -> Digest:
        """SHA-256 of the file."""
        return sha256(self.read(path))


class FolderFiles:
    """Files in a folder. Symbolic links are refused: a bundle holds its own bytes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own_folders: set[Path] = set()

    def paths(self) -> Iterator[str]:
        """Every regular file below the folder; FormatError at anything else, or where there are too many."""
        waiting, seen = [(self._folder, 0)], 0
        while waiting:
            folder, depth = waiting.pop()
            with os.scandir(folder) as scan:
                entries = list(itertools.islice(scan, 2 * MAX_FILES + 1 - seen))
            seen += len(entries)
            if seen > 2 * MAX_FILES:
                raise FormatError(f"the folder holds more than {2 * MAX_FILES} files and folders")
            for entry in entries:
                name = os.path.relpath(entry.path, self._folder)
                if entry.is_dir(follow_symlinks=False) and depth < MAX_FOLDERS:
                    waiting.append((Path(entry.path), depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    yield name
                else:
                    raise FormatError(f"{name[:MAX_PATH]!r} is not a plain file, or lies too deep")

    def _path(self, path: str) -> Path:
        full = self._folder / check_path(path)
        if full.parent not in self._own_folders and full.parent.is_dir():
            # Resolving walks the whole path, so it is done once a folder and not once a file.
            if full.parent.resolve() != (self._folder.resolve() / path).parent:
                raise FormatError(f"{path} is reached through a symbolic link")
            self._own_folders.add(full.parent)
        if full.is_symlink():
            raise FormatError(f"{path} is reached through a symbolic link")
        if not full.is_file():
            raise FormatError(f"{path} is missing")
        return full

    def size(self, path: str) -> int:
        """Size in bytes."""
        return self._path(path).stat().st_size

    def read(self, path: str) -> bytes:
        """The whole file."""
        return self._path(path).read_bytes()

    def digest(self, path: str) -> Digest:
        """SHA-256 of the file, read in pieces."""
        with self._path(path).open("rb") as file:
            return Digest(hashlib.file_digest(file, "sha256").digest())


class Bundle:
    """A bundle being read: every file is held against the manifest before it is handed out.

    Raises:
        FormatError: the manifest is missing or malformed.
    """

    def __init__(self, files: Files) -> None:
        if files.size(MANIFEST) > MAX_MANIFEST:
            raise FormatError("the manifest is too large")
        self.files = files
        self.manifest = Manifest.from_bytes(files.read(MANIFEST))

    def __contains__(self, path: str) -> bool:
        return path in self.manifest.files

    def read(self, path: str) -> bytes:
        """One file, checked.

        Raises:
            FormatError: not in the manifest, missing, or not what the manifest says.
        """
        entry = self.manifest.files.get(path)
        if entry is None:
            raise FormatError(f"{path} is not in the manifest")
        if self.files.size(path) != entry.size:
            raise FormatError(f"{path} has {self.files.size(path)} bytes, not {entry.size}")
        data = self.files.read(path)
        if sha256(data) != entry.digest:
            raise FormatError(f"{path} is not the file that the manifest names")
        return data

    def check(self, path: str) -> None:
        """Hold one file against the manifest without keeping it.

        Raises:
            FormatError: as `read`.
        """
        entry = self.manifest.files.get(path)
        if entry is None:
            raise FormatError(f"{path} is not in the manifest")
        if self.files.size(path) != entry.size or self.files.digest(path) != entry.digest:
            raise FormatError(f"{path} is not the file that the manifest names")


def make_manifest(run: RunId, files: Files) -> Manifest:
    """Manifest over ``files`` as they lie (the manifest itself excepted)."""
    paths = sorted(path for path in files.paths() if path != MANIFEST)
    return Manifest(run, {path: FileEntry(files.size(path), files.digest(path)) for path in paths})
