"""Datasets as documents: how tokens become sequences, sequences leaves, leaves one root (spec/dataset.md).

A leaf is a *salted* digest of one training sequence. Everything that proves which data a step used (batch digests,
assignment, the root) is computed from leaves alone, so a verifier never needs the text, and with a secret salt learns
nothing about it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from attestrain.errors import FormatError
from attestrain.record import merkle
from attestrain.record.blob import BlobRef
from attestrain.record.canonical import Json, canonical
from attestrain.record.digest import DIGEST_SIZE, ZERO_DIGEST, Buffer, Digest, parse_digest, sha256, tagged

FORMAT: Final = "attestrain.dev/dataset@v1"
SEQUENCE_TAG: Final = "attestrain.dev/sequence@v1"
SALT_TAG: Final = "attestrain.dev/salt@v1"
BATCH_TAG: Final = "attestrain.dev/batch@v1"

PUBLIC_SALT: Final = ZERO_DIGEST
"""Salt of a dataset whose text is public: hiding it would be pretence, and a fixed value lets anyone who holds the
text re-derive every leaf."""

MAX_SEQUENCE_TOKENS = 1 << 20
"""Longest sequence: beyond every context length in use, small enough that one sequence always fits in memory."""
MAX_VOCAB = 1 << 16
"""Largest vocabulary: tokens are stored in at most two bytes."""
MAX_SEQUENCES = 1 << 32
"""Most sequences of a split: 128 GiB of leaves; more has to be several datasets."""
MAX_LABEL = 500
"""Longest name, licence or source, in characters: they are labels, not prose."""

SplitName = Literal["train", "validation", "test"]
SPLITS: Final[tuple[SplitName, ...]] = ("train", "validation", "test")
SaltKind = Literal["public", "secret"]
TokenizerKind = Literal["bytes", "bpe"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def token_width(vocab: int) -> int:
    """Bytes that hold one token of a vocabulary of ``vocab`` entries: 1 up to 256, else 2."""
    return 1 if vocab <= 256 else 2


def sequence_count(tokens: int, sequence_tokens: int) -> int:
    """Sequences in a split of ``tokens`` tokens: neighbours share one token, so that every input has its target."""
    return max(0, tokens - 1) // sequence_tokens


def sequence_salt(salt: bytes, split: str, index: int) -> Digest:
    """Salt of one sequence. Disclosing it opens that sequence's leaf and no other."""
    return tagged(SALT_TAG, salt, split.encode("ascii"), struct.pack(">Q", index))


def sequence_leaf(salt: bytes, tokens: Buffer) -> Digest:
    """Leaf of one sequence.

    Args:
        salt: the sequence's own salt, from ``sequence_salt``.
        tokens: its T + 1 tokens, little-endian, ``token_bytes`` wide.
    """
    return tagged(SEQUENCE_TAG, salt, tokens)


def derive_leaves(salt: bytes, split: str, tokens: Buffer, *, token_bytes: int, sequence_tokens: int) -> bytes:
    """Every leaf of a split, concatenated in order, from its token file."""
    view = memoryview(tokens)
    stride, size = sequence_tokens * token_bytes, (sequence_tokens + 1) * token_bytes
    count = sequence_count(len(view) // token_bytes, sequence_tokens)
    return b"".join(
        sequence_leaf(sequence_salt(salt, split, i), view[i * stride : i * stride + size]) for i in range(count)
    )


def split_leaves(leaves: bytes) -> list[Digest]:
    """Digests of a leaves file.

    Raises:
        FormatError: its length is not a multiple of 32.
    """
    if len(leaves) % DIGEST_SIZE:
        raise FormatError(f"{len(leaves)} bytes of leaves are not a whole number of digests")
    return [Digest(leaves[at : at + DIGEST_SIZE]) for at in range(0, len(leaves), DIGEST_SIZE)]


def leaves_root(leaves: bytes) -> Digest:
    """Root of a split: the RFC 6962 tree whose i-th leaf is the 32 bytes of the i-th sequence's leaf.

    Raises:
        FormatError: the length is not a multiple of 32.
    """
    return merkle.root(split_leaves(leaves))


def batch_digest(leaves: Sequence[Digest]) -> Digest:
    """Digest of a batch: its sequences' leaves in the order in which the model sees them."""
    return tagged(BATCH_TAG, b"".join(leaves))


@dataclass(frozen=True, slots=True)
class TokenizerInfo:
    """Which tokenizer made the tokens, and the digest of its file (``None`` for bytes, which need none)."""

    kind: TokenizerKind
    vocab: int
    file: Digest | None

    def to_json(self) -> Json:
        """As it stands in the manifest."""
        return {"digest": self.file.hex() if self.file else None, "kind": self.kind, "vocab": self.vocab}

    @classmethod
    def from_json(cls, value: object) -> TokenizerInfo:
        """Read the ``tokenizer`` field.

        Raises:
            FormatError: unknown kind, or a vocabulary or digest that does not belong to it.
        """
        fields = _object(value, "tokenizer", {"digest", "kind", "vocab"})
        vocab = _count(fields["vocab"], "vocabulary", MAX_VOCAB)
        if fields["kind"] == "bytes":
            if vocab != 256 or fields["digest"] is not None:
                raise FormatError("the bytes tokenizer has 256 tokens and no file")
            return cls("bytes", vocab, None)
        if fields["kind"] == "bpe" and vocab >= 256:
            return cls("bpe", vocab, _digest(fields["digest"]))
        raise FormatError(f"unknown tokenizer {str(fields['kind'])[:40]!r} of {vocab} tokens")


@dataclass(frozen=True, slots=True)
class SplitInfo:
    """One split: the root over its leaves, its sequences, its token file, and the documents and text bytes in it."""

    root: Digest
    sequences: int
    tokens: BlobRef
    documents: int
    bytes: int

    def to_json(self) -> Json:
        """As it stands in the manifest."""
        return {
            "bytes": self.bytes,
            "documents": self.documents,
            "root": self.root.hex(),
            "sequences": self.sequences,
            "tokens": self.tokens.to_json(),
        }

    @classmethod
    def from_json(cls, value: object) -> SplitInfo:
        """Read one entry of ``splits``.

        Raises:
            FormatError: missing, unknown or out-of-range fields, or an empty split with a root of its own.
        """
        fields = _object(value, "split", {"bytes", "documents", "root", "sequences", "tokens"})
        info = cls(
            root=_digest(fields["root"]),
            sequences=_count(fields["sequences"], "sequences", MAX_SEQUENCES),
            tokens=BlobRef.from_json(fields["tokens"]),
            documents=_count(fields["documents"], "documents"),
            bytes=_count(fields["bytes"], "bytes"),
        )
        if not info.sequences and info.root != merkle.EMPTY_ROOT:
            raise FormatError("a split without sequences has the root of the empty tree")
        return info


@dataclass(frozen=True, slots=True)
class DatasetManifest:
    """What a run commits to as its data. Its digest goes into the run spec."""

    name: str
    licence: str
    source: str
    salt: SaltKind
    tokenizer: TokenizerInfo
    sequence_tokens: int
    documents: BlobRef
    train: SplitInfo
    validation: SplitInfo
    test: SplitInfo

    @property
    def token_bytes(self) -> int:
        """Width of one stored token in bytes."""
        return token_width(self.tokenizer.vocab)

    @property
    def digest(self) -> Digest:
        """SHA-256 of the canonical document: the dataset's name everywhere else."""
        return sha256(canonical(self.to_json()))

    def split(self, name: SplitName) -> SplitInfo:
        """One of the three splits."""
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def splits(self) -> Iterator[tuple[SplitName, SplitInfo]]:
        """The three splits with their names, in the order train, validation, test."""
        return ((name, self.split(name)) for name in SPLITS)

    def to_json(self) -> Json:
        """The manifest document."""
        return {
            "format": FORMAT,
            "documents": self.documents.to_json(),
            "licence": self.licence,
            "name": self.name,
            "salt": self.salt,
            "sequence_tokens": self.sequence_tokens,
            "source": self.source,
            "splits": {name: info.to_json() for name, info in self.splits()},
            "token_bytes": self.token_bytes,
            "tokenizer": self.tokenizer.to_json(),
        }

    @classmethod
    def from_json(cls, value: object) -> DatasetManifest:
        """Read a manifest.

        Raises:
            FormatError: another format or version, unknown or missing fields, or figures that contradict each other.
        """
        fields = _object(value, "dataset manifest", _FIELDS)
        if fields["format"] != FORMAT:
            raise FormatError(f"format {str(fields['format'])[:80]!r} is not {FORMAT}")
        splits = _object(fields["splits"], "splits", set(SPLITS))
        manifest = cls(
            name=_label(fields["name"], "name"),
            licence=_label(fields["licence"], "licence"),
            source=_label(fields["source"], "source"),
            salt=_salt_kind(fields["salt"]),
            tokenizer=TokenizerInfo.from_json(fields["tokenizer"]),
            sequence_tokens=_count(fields["sequence_tokens"], "sequence_tokens", MAX_SEQUENCE_TOKENS),
            documents=BlobRef.from_json(fields["documents"]),
            train=SplitInfo.from_json(splits["train"]),
            validation=SplitInfo.from_json(splits["validation"]),
            test=SplitInfo.from_json(splits["test"]),
        )
        if _count(fields["token_bytes"], "token_bytes", 2) != manifest.token_bytes:
            raise FormatError(f"a vocabulary of {manifest.tokenizer.vocab} takes {manifest.token_bytes} bytes a token")
        manifest._check()
        return manifest

    def _check(self) -> None:
        """Hold the figures against each other, so that no two of them can tell different stories."""
        if not self.sequence_tokens or not self.train.sequences:
            raise FormatError("a dataset trains on at least one sequence of at least one token")
        for name, info in self.splits():
            tokens, rest = divmod(info.tokens.size, self.token_bytes)
            if rest or info.sequences != sequence_count(tokens, self.sequence_tokens):
                raise FormatError(f"{name}: {info.tokens.size} bytes of tokens do not make {info.sequences} sequences")
            if self.tokenizer.kind == "bytes" and info.bytes != tokens:
                raise FormatError(f"{name}: {info.bytes} bytes of text cannot be {tokens} one-byte tokens")


_FIELDS = {
    "format", "documents", "licence", "name", "salt", "sequence_tokens", "source", "splits", "token_bytes", "tokenizer"
}  # fmt: skip


def _object(value: object, what: str, keys: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise FormatError(f"a {what} is an object of exactly {', '.join(sorted(keys))}")
    return value


def _count(value: object, what: str, most: int = 2**53 - 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise FormatError(f"{what} {str(value)[:40]!r} is not an integer from 0 to {most}")
    return value


def _label(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_LABEL or _CONTROL.search(value):
        raise FormatError(f"{what} is not one line of 1 to {MAX_LABEL} characters")
    return value


def _salt_kind(value: object) -> SaltKind:
    if value == "public":
        return "public"
    if value == "secret":
        return "secret"
    raise FormatError(f"salt {str(value)[:40]!r} is neither public nor secret")


def _digest(value: object) -> Digest:
    try:
        return parse_digest(value)
    except ValueError as error:
        raise FormatError(str(error)) from error
