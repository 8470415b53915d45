"""A finished dataset on disk: every sequence checked against its leaf as it is read.

Folder: ``manifest.json``, ``documents.json``, per split ``<split>.tokens`` and ``<split>.leaves``, ``tokenizer.json``
for byte-pair encoding, ``salt`` (readable by its owner only) when the salt is secret. ``corpus.build`` writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from attestrain.corpus.tokenizers import MAX_FILE, Tokenizer, load_tokenizer
from attestrain.errors import FormatError, UsageError
from attestrain.record.blob import blob_ref
from attestrain.record.canonical import parse
from attestrain.record.dataset import (
    PUBLIC_SALT,
    DatasetManifest,
    SplitName,
    batch_digest,
    derive_leaves,
    leaves_root,
    sequence_leaf,
    sequence_salt,
)
from attestrain.record.digest import DIGEST_SIZE, Digest, parse_digest

MANIFEST: Final = "manifest.json"
DOCUMENTS: Final = "documents.json"
TOKENIZER: Final = "tokenizer.json"
SALT: Final = "salt"

MAX_MANIFEST = 1 << 16
"""Largest manifest in bytes: ours are about two thousand."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences a step trains on: ``tokens`` is int64 of shape (B, T + 1), ``digest`` what the trace records."""

    tokens: npt.NDArray[np.int64]
    digest: Digest


class Split:
    """One split of an open dataset. Tokens stay on disk; leaves (32 bytes a sequence) are in memory."""

    def __init__(self, dataset: Dataset, name: SplitName, leaves: bytes) -> None:
        manifest = dataset.manifest
        self.name = name
        self.sequences = manifest.split(name).sequences
        self.leaves = leaves
        """Every leaf, concatenated: what a bundle carries so that assignment can be checked without the data."""
        self._salt = dataset.salt
        self._length = manifest.sequence_tokens
        size = manifest.split(name).tokens.size
        kind = np.dtype("<u1" if manifest.token_bytes == 1 else "<u2")
        path = dataset.folder / tokens_file(name)
        self._tokens = np.memmap(path, kind, "r") if size else np.empty(0, kind)

    def leaf(self, index: int) -> Digest:
        """Leaf of sequence ``index``.

        Raises:
            IndexError: there is no such sequence.
        """
        self._require(index)
        return Digest(self.leaves[index * DIGEST_SIZE : (index + 1) * DIGEST_SIZE])

    def sequence(self, index: int) -> npt.NDArray[np.int64]:
        """The T + 1 tokens of sequence ``index``, checked against its leaf.

        Raises:
            IndexError: there is no such sequence.
            FormatError: the tokens on disk are not the committed ones.
        """
        self._require(index)
        tokens = self._tokens[index * self._length : (index + 1) * self._length + 1]
        if sequence_leaf(sequence_salt(self._salt, self.name, index), tokens.tobytes()) != self.leaf(index):
            raise FormatError(
                f"{tokens_file(self.name)}: sequence {index} does not match its leaf", hint="build the dataset again"
            )
        return np.asarray(tokens, np.int64)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The sequences ``indices`` in that order, each checked against its leaf.

        Raises:
            IndexError: there is no such sequence.
            FormatError: tokens on disk are not the committed ones.
        """
        tokens = np.empty((len(indices), self._length + 1), np.int64)
        for row, index in enumerate(indices):
            tokens[row] = self.sequence(int(index))
        return Batch(tokens, batch_digest([self.leaf(int(index)) for index in indices]))

    def _require(self, index: int) -> None:
        if not 0 <= index < self.sequences:
            raise IndexError(f"{self.name} has {self.sequences} sequences, no number {index}")


class Dataset:
    """A dataset folder, opened for reading. Use ``Dataset.open``."""

    def __init__(self, folder: Path, manifest: DatasetManifest, salt: bytes) -> None:
        self.folder = folder
        self.manifest = manifest
        self.salt = salt
        self._splits = {name: self._open_split(name) for name, _ in manifest.splits()}

    @classmethod
    def open(cls, folder: Path) -> Dataset:
        """Open ``folder`` and compare the root of every split's leaves with the manifest.

        Raises:
            UsageError: a file is missing.
            FormatError: the manifest is malformed, or a file is not what it says.
        """
        manifest = read_manifest(folder)
        return cls(folder, manifest, PUBLIC_SALT if manifest.salt == "public" else _read_salt(folder))

    def split(self, name: SplitName) -> Split:
        """One of the three splits."""
        return self._splits[name]

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that made the tokens.

        Raises:
            FormatError: ``tokenizer.json`` is not the one in the manifest.
        """
        info = self.manifest.tokenizer
        return load_tokenizer(info, read_file(self.folder / TOKENIZER, MAX_FILE) if info.file else None)

    def check(self) -> None:
        """Re-derive every leaf from the tokens and every digest of the manifest from its file.

        Raises:
            UsageError: a file is missing.
            FormatError: a file is not what the manifest says; the message names it.
        """
        self.tokenizer()
        documents = self.manifest.documents
        if blob_ref(read_file(self.folder / DOCUMENTS, documents.size)) != documents:
            raise FormatError(f"{DOCUMENTS} is not the one in the manifest")
        for name, info in self.manifest.splits():
            tokens = read_file(self.folder / tokens_file(name), info.tokens.size)
            leaves = derive_leaves(
                self.salt,
                name,
                tokens,
                token_bytes=self.manifest.token_bytes,
                sequence_tokens=self.manifest.sequence_tokens,
            )
            if blob_ref(tokens) != info.tokens or leaves != self.split(name).leaves:
                raise FormatError(f"{tokens_file(name)} is not the one in the manifest", hint="build the dataset again")

    def _open_split(self, name: SplitName) -> Split:
        info = self.manifest.split(name)
        leaves = read_file(self.folder / leaves_file(name), info.sequences * DIGEST_SIZE)
        if len(leaves) != info.sequences * DIGEST_SIZE or leaves_root(leaves) != info.root:
            raise FormatError(f"{leaves_file(name)} is not the one in the manifest", hint="build the dataset again")
        tokens = self.folder / tokens_file(name)
        if not tokens.is_file() or tokens.stat().st_size != info.tokens.size:
            raise FormatError(f"{tokens} does not hold {info.tokens.size} bytes", hint="build the dataset again")
        return Split(self, name, leaves)


def tokens_file(split: SplitName) -> str:
    """Name of a split's token file: all its tokens in order, little-endian."""
    return f"{split}.tokens"


def leaves_file(split: SplitName) -> str:
    """Name of a split's leaves file: 32 bytes per sequence, in order."""
    return f"{split}.leaves"


def read_manifest(folder: Path) -> DatasetManifest:
    """The manifest in ``folder``.

    Raises:
        UsageError: there is none.
        FormatError: it is malformed.
    """
    return DatasetManifest.from_json(parse(read_file(folder / MANIFEST, MAX_MANIFEST)))


def read_file(path: Path, most: int) -> bytes:
    """The bytes of ``path``, or the first ``most`` + 1 of a larger file, so that a check of size or digest fails.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="build the dataset first") from error


def _read_salt(folder: Path) -> bytes:
    text = read_file(folder / SALT, 2 * DIGEST_SIZE + 1)
    try:
        return parse_digest(text.decode("ascii").strip())
    except ValueError as error:
        raise FormatError(f"{folder / SALT} does not hold 32 bytes in hexadecimal") from error
