"""C2SP signed notes with Ed25519 (c2sp.org/signed-note), and log checkpoints as notes (c2sp.org/tlog-checkpoint).

The transcript's checkpoints are the one place without secp256k1: existing log tools read exactly this form. A statement
in the transcript binds the note key to the run (DESIGN section 5).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from attestrain.errors import FormatError
from attestrain.record.digest import DIGEST_SIZE, Digest

ED25519 = b"\x01"
"""Signature type of plain Ed25519 (signed-note, section "Signature types")."""
KEY_SIZE = 32
KEY_ID_SIZE = 4
MAX_NOTE = 1 << 17
"""Longest note read, in bytes: 16 post-quantum witness signatures of 5 kB, which readers must accept, and room."""
MAX_SIGNATURES = 64
"""Most signature lines read: four times what the specification obliges readers to accept."""
MAX_NAME = 256
"""Longest key name, in characters: names are host names with a path."""
MAX_TREE = 2**53 - 1
"""Largest tree size in a checkpoint: the largest integer our documents hold."""

_MARK = "\u2014 "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE = re.compile(r"(0|[1-9][0-9]{0,15})\Z")
_KEY_ID = re.compile(r"[0-9a-f]{8}\Z")


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648 section 4), as all C2SP formats use it."""
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Read standard base64 strictly.

    Raises:
        FormatError: a foreign character, missing padding or leftover bits: one value has one spelling.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise FormatError(f"not base64: {text[:80]!r}") from error
    if encode_base64(data) != text:
        raise FormatError(f"not canonical base64: {text[:80]!r}")
    return data


def _check_name(name: str) -> None:
    if not 0 < len(name) <= MAX_NAME or any(char == "+" or char.isspace() for char in name):
        raise FormatError(f"not a key name without spaces and plus signs: {name[:80]!r}")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A name and an Ed25519 public key: what a reader must know to trust a note.

    Raises:
        FormatError: the name is empty, too long or holds spaces or plus signs, or the key is not 32 bytes.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public) != KEY_SIZE:
            raise FormatError("an Ed25519 public key is 32 bytes")

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart. An identifier, not a security property."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:KEY_ID_SIZE]

    def __str__(self) -> str:
        """The verifier key as C2SP tools write it: name, key id and base64 of type and key, joined by plus signs."""
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(ED25519 + self.public)}"

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether ``signature`` (64 bytes) is this key's over ``text``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


def parse_vkey(text: str) -> VerifierKey:
    """Read a verifier key ``<name>+<8 hex digits>+<base64>``.

    Raises:
        FormatError: malformed, not of type Ed25519, or the key id does not follow from name and key.
    """
    name, id_, encoded = (*text.split("+", 2), "", "")[:3]
    if not _KEY_ID.match(id_):
        raise FormatError(f"verifier key is not of the form name+id+key: {text[:80]!r}")
    data = decode_base64(encoded)
    if data[:1] != ED25519:
        raise FormatError("verifier key is not of type Ed25519")
    key = VerifierKey(name, data[1:])
    if key.key_id.hex() != id_:
        raise FormatError(f"key id {id_} does not belong to this name and key")
    return key


class LogKey:
    """An Ed25519 note-signing key.

    Args:
        name: the key's name, for a log equal to its origin.
        seed: 32 bytes (RFC 8032).

    Raises:
        FormatError: the name cannot stand in a note, or the seed is not 32 bytes.
    """

    __slots__ = ("_key", "verifier")

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != KEY_SIZE:
            raise FormatError("an Ed25519 seed is 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, name: str) -> LogKey:
        """A fresh key from the operating system's randomness."""
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_seed(cls, name: str, seed: bytes) -> LogKey:
        """The key with this seed (see the class for errors)."""
        return cls(name, seed)

    @property
    def name(self) -> str:
        """The key's name."""
        return self.verifier.name

    @property
    def vkey(self) -> str:
        """The verifier key as text, to be given to readers."""
        return str(self.verifier)

    def to_bytes(self) -> bytes:
        """The seed itself, for the key store and nobody else."""
        return self._key.private_bytes_raw()

    def sign(self, text: str) -> bytes:
        """The signed note over ``text``. Deterministic (RFC 8032).

        Raises:
            FormatError: the text is empty, does not end in a newline or holds control characters.
        """
        _check_text(text)
        line = encode_base64(self.verifier.key_id + self._key.sign(text.encode()))
        return f"{text}\n{_MARK}{self.name} {line}\n".encode()

    def __repr__(self) -> str:
        return f"LogKey({self.vkey}, seed hidden)"


def _check_text(text: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise FormatError("a note's text ends in a newline and holds no other control character")


def verify_note(note: bytes, keys: Iterable[VerifierKey]) -> str:
    """The text of a note that at least one of ``keys`` signed. Signatures of other keys are ignored.

    Raises:
        FormatError: malformed or too large, no known key signed, or a known key's signature is wrong.
    """
    text, signatures = _split_note(note)
    known = {(key.name, key.key_id): key for key in keys}
    verified = False
    for name, key_id, signature in signatures:
        key = known.get((name, key_id))
        if key is None:
            continue
        if not key.verify(text, signature):
            raise FormatError(f"note signature by {name[:80]!r} is wrong")
        verified = True
    if not verified:
        raise FormatError("note is not signed by a known key")
    return text


def _split_note(note: bytes) -> tuple[str, Sequence[tuple[str, bytes, bytes]]]:
    """Text and signatures (name, key id, signature) of a note, none of them verified."""
    if len(note) > MAX_NOTE:
        raise FormatError(f"note of {len(note)} bytes is larger than {MAX_NOTE}")
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("note is not UTF-8") from error
    _check_text(whole)
    text, blank, tail = whole.rpartition("\n\n")
    lines = tail.split("\n")[:-1]
    if not blank or not 0 < len(lines) <= MAX_SIGNATURES:
        raise FormatError(f"note does not end in a blank line and 1 to {MAX_SIGNATURES} signatures")
    return text + "\n", [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    name, space, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or not space:
        raise FormatError(f"malformed signature line {line[:80]!r}")
    _check_name(name)
    data = decode_base64(encoded)
    if len(data) <= KEY_ID_SIZE:
        raise FormatError("note signature is empty")
    return name, data[:KEY_ID_SIZE], data[KEY_ID_SIZE:]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Head of a log: what its key vouches for.

    Attributes:
        origin: the log's identity, equal to its key's name.
        size: number of entries.
        root: RFC 6962 root over them.
    """

    origin: str
    size: int
    root: Digest

    def to_text(self) -> str:
        """The note text: three lines."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: LogKey) -> bytes:
    """The checkpoint as a signed note.

    Raises:
        FormatError: the key's name is not the checkpoint's origin.
    """
    if checkpoint.origin != key.name:
        raise FormatError(f"key {key.name!r} does not speak for the log {checkpoint.origin!r}")
    return key.sign(checkpoint.to_text())


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """Verify and read a checkpoint of the log that ``key`` speaks for.

    Raises:
        FormatError: the note is malformed or not signed by ``key``, names another origin, or its text is not exactly
            the three lines (our logs write no extension lines).
    """
    lines = verify_note(note, [key]).split("\n")
    if len(lines) != 4 or lines[3]:
        raise FormatError("checkpoint is not three lines")
    origin, size, root = lines[:3]
    if origin != key.name:
        raise FormatError(f"checkpoint of {origin[:80]!r} is signed by {key.name!r}")
    if not _SIZE.match(size) or int(size) > MAX_TREE:
        raise FormatError(f"tree size {size[:80]!r} is not a decimal up to {MAX_TREE}")
    digest = decode_base64(root)
    if len(digest) != DIGEST_SIZE:
        raise FormatError("checkpoint root is not 32 bytes")
    return Checkpoint(origin, int(size), Digest(digest))
