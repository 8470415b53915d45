"""Text to token numbers and back: bytes as they are, or byte-pair encoding learned on the training split."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from attestrain.errors import FormatError, UsageError
from attestrain.record.dataset import TokenizerInfo, TokenizerKind
from attestrain.record.digest import sha256

MAX_FILE = 32 << 20
"""Largest tokenizer file read in bytes: 65,536 entries with their merges take about 4 MB."""

Tokens = npt.NDArray[np.int64]


class Tokenizer(Protocol):
    """Turns text into token numbers from 0 to ``vocab`` - 1, and back without loss."""

    kind: TokenizerKind
    vocab: int
    file: bytes | None

    def encode(self, text: bytes) -> Tokens:
        """Token numbers of ``text``."""
        ...

    def decode(self, tokens: Sequence[int] | Tokens) -> bytes:
        """The bytes that ``tokens`` stand for."""
        ...


class ByteTokenizer:
    """Each byte is its own token: nothing to learn, nothing to ship, exact for any input."""

    kind: TokenizerKind = "bytes"
    vocab = 256
    file: bytes | None = None

    def encode(self, text: bytes) -> Tokens:
        """Token numbers of ``text``."""
        return np.frombuffer(text, np.uint8).astype(np.int64)

    def decode(self, tokens: Sequence[int] | Tokens) -> bytes:
        """The bytes that ``tokens`` stand for."""
        return bytes(int(token) for token in tokens)


class BpeTokenizer:
    """Byte-level byte-pair encoding through the ``tokenizers`` package.

    Args:
        file: the tokenizer's JSON, as ``train_bpe`` returns it.

    Raises:
        UsageError: the ``tokenizers`` package is missing.
        FormatError: too large, or not a byte-level tokenizer.
    """

    kind: TokenizerKind = "bpe"

    def __init__(self, file: bytes) -> None:
        if len(file) > MAX_FILE:
            raise FormatError(f"tokenizer file of {len(file)} bytes is larger than {MAX_FILE}")
        library = _library()
        try:
            self._engine = library.Tokenizer.from_str(file.decode("utf-8"))
        except Exception as error:  # the package raises bare Exception on a malformed file
            raise FormatError(f"not a tokenizer file: {error}") from error
        self.file: bytes | None = file
        self.vocab: int = self._engine.get_vocab_size()
        self._bytes = [self._token_bytes(token) for token in range(self.vocab)]

    def encode(self, text: bytes) -> Tokens:
        """Token numbers of ``text``.

        Raises:
            UsageError: it is not UTF-8, which this tokenizer needs.
        """
        return np.array(self._engine.encode(_utf8(text), add_special_tokens=False).ids, np.int64)

    def decode(self, tokens: Sequence[int] | Tokens) -> bytes:
        """The bytes that ``tokens`` stand for, also where they end inside a character."""
        return b"".join(self._bytes[token] for token in tokens)

    def _token_bytes(self, token: int) -> bytes:
        text = self._engine.id_to_token(token)
        try:
            return bytes(_BYTE_OF[char] for char in text or "")
        except KeyError as error:
            raise FormatError(f"token {token} of the tokenizer file is not made of bytes") from error


def train_bpe(texts: Iterable[bytes], vocab: int) -> BpeTokenizer:
    """Learn at most ``vocab`` tokens from ``texts``; the same texts give the same file, whatever the threads.

    Raises:
        UsageError: the ``tokenizers`` package is missing, or a text is not UTF-8.
    """
    library = _library()
    engine = library.Tokenizer(library.models.BPE())
    engine.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = library.decoders.ByteLevel()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    engine.train_from_iterator((_utf8(text) for text in texts), trainer)
    # The package keeps the vocabulary in hash maps; sorted keys make its file one and the same everywhere.
    return BpeTokenizer(json.dumps(json.loads(engine.to_str()), sort_keys=True, separators=(",", ":")).encode())


def load_tokenizer(info: TokenizerInfo, file: bytes | None) -> Tokenizer:
    """The tokenizer that a manifest names.

    Raises:
        FormatError: ``file`` is not the one in the manifest, or its vocabulary is not.
    """
    if info.kind == "bytes":
        return ByteTokenizer()
    if file is None or sha256(file) != info.file:
        raise FormatError("tokenizer file is not the one in the manifest")
    tokenizer = BpeTokenizer(file)
    if tokenizer.vocab != info.vocab:
        raise FormatError(f"tokenizer file has {tokenizer.vocab} tokens, the manifest says {info.vocab}")
    return tokenizer


def describe(tokenizer: Tokenizer) -> TokenizerInfo:
    """What a manifest says about ``tokenizer``."""
    return TokenizerInfo(tokenizer.kind, tokenizer.vocab, sha256(tokenizer.file) if tokenizer.file else None)


def _byte_alphabet() -> dict[str, int]:
    """The byte behind each character of a byte-level vocabulary (GPT-2's table, openai/gpt-2 src/encoder.py).

    Printable Latin-1 characters stand for themselves; the other bytes, in order, for the characters from U+0100 on.
    """
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}


_BYTE_OF: Final = _byte_alphabet()


def _utf8(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"text is not UTF-8: {error}", hint='use tokenizer = "bytes"') from error


def _library() -> Any:
    """The ``tokenizers`` package, loaded on first use: only byte-pair encoding needs it."""
    try:
        package: ModuleType = import_module("tokenizers")
    except ImportError as error:
        raise UsageError("byte-pair encoding needs tokenizers", hint="pip install 'attestrain[train]'") from error
    return package
