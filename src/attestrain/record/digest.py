"""SHA-256 digests: the one hash of the project (DESIGN section 5)."""

from __future__ import annotations

import hashlib
import re
import struct
from typing import NewType

Digest = NewType("Digest", bytes)
"""32 bytes of SHA-256. In documents: 64 lower-case hexadecimal digits."""

DIGEST_SIZE = 32
ZERO_DIGEST = Digest(bytes(DIGEST_SIZE))

_HEX = re.compile(r"[0-9a-f]{64}\Z")

Buffer = bytes | bytearray | memoryview


def sha256(data: Buffer) -> Digest:
    """SHA-256 of ``data`` (FIPS 180-4)."""
    return Digest(hashlib.sha256(data).digest())


def tagged(tag: str, *parts: Buffer) -> Digest:
    """SHA-256 over a domain tag and length-prefixed parts, so that no two inputs share an encoding.

    Layout: u32 length of the tag, the tag in ASCII, then per part a u64 length and its bytes, all big-endian.
    """
    state = hashlib.sha256(struct.pack(">I", len(tag)) + tag.encode("ascii"))
    for part in parts:
        state.update(struct.pack(">Q", len(part)))
        state.update(part)
    return Digest(state.digest())


def parse_digest(text: object) -> Digest:
    """Read a digest from a document.

    Raises:
        ValueError: ``text`` is not exactly 64 lower-case hexadecimal digits.
    """
    if not isinstance(text, str) or not _HEX.match(text):
        raise ValueError(f"not a SHA-256 digest: {str(text)[:80]!r}")
    return Digest(bytes.fromhex(text))
