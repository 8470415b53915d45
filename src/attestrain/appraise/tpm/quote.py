"""TPM quotes: TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE, as a TPM signs it.

Layout: TCG TPM 2.0 Library Specification, part 2, sections 10.12 "Attestation Structures" and 10.6 "PCR Structures".
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.appraise.cursor import Cursor
from attestrain.appraise.refused import require
from attestrain.record.digest import Digest, sha256

GENERATED = b"\xffTCG"
"""TPM_GENERATED_VALUE: a TPM signs it in front of nothing that came from outside."""
QUOTE = b"\x80\x18"
"""TPM_ST_ATTEST_QUOTE."""
MAX_QUOTE = 1024
"""Largest structure, in bytes: the specification's fields have some 300 at the most."""
MAX_NAME, MAX_EXTRA = 68, 66
"""Sizes of TPMU_NAME and TPMT_HA with a SHA-512 digest: an algorithm and 64 bytes."""
MAX_SELECTIONS = 16
"""HASH_COUNT is smaller in every TPM: one selection for each bank of registers."""
MAX_SELECT = 4
"""Bytes of a bit map of registers: PC Client TPMs have 24 registers in three bytes."""
UNSUPPORTED = (
    "unsupported for training: a TPM quote says what a machine booted, not that its memory is closed to its owner"
)
"""The verdict on every TPM quote."""


@dataclass(frozen=True, slots=True)
class TpmQuote:
    """What a TPM states about its platform configuration registers (PCR). Reading proves nothing about who signed it.

    Attributes:
        signer: qualified name of the key that signs: hash algorithm and digest.
        extra: what whoever asked had bound, mostly a nonce.
        clock: milliseconds that the TPM has been powered.
        resets, restarts: how often it was reset and restarted.
        safe: whether no later clock was reported before.
        firmware: version of the TPM's firmware, as its maker counts.
        selection: numbers of the registers that the digest covers, by their bank's hash algorithm (TPM_ALG_ID).
        digest: hash over the values of those registers.
        identity: SHA-256 of the bytes that are signed.
    """

    signer: bytes
    extra: bytes
    clock: int
    resets: int
    restarts: int
    safe: bool
    firmware: int
    selection: tuple[tuple[int, tuple[int, ...]], ...]
    digest: bytes
    identity: Digest

    @property
    def verdict(self) -> str:
        """What it is worth for training, in words: nothing, and why."""
        return UNSUPPORTED


def is_tpm_quote(data: bytes) -> bool:
    """Whether ``data`` begin like a TPM's quote."""
    return data.startswith(GENERATED + QUOTE)


def read_tpm_quote(data: bytes) -> TpmQuote:
    """Read a quote without its signature.

    Raises:
        Refused: it is none, or malformed, cut short or too large.
    """
    require(len(data) <= MAX_QUOTE, f"the TPM quote has {len(data)} bytes, more than {MAX_QUOTE}")
    require(is_tpm_quote(data), "the bytes do not begin like a TPM quote")
    cursor = Cursor(data, "the TPM quote", "big")
    cursor.take(len(GENERATED + QUOTE))
    signer, extra = _sized(cursor, MAX_NAME, "signer's name"), _sized(cursor, MAX_EXTRA, "extra data")
    clock, resets, restarts = cursor.number(8), cursor.number(4), cursor.number(4)
    safe = cursor.number(1)
    require(safe <= 1, f"the TPM quote's clock is safe by {safe}, neither yes nor no")
    firmware = cursor.number(8)
    selection = _read_selection(cursor)
    digest = _sized(cursor, MAX_EXTRA - 2, "digest of registers")
    cursor.end()
    return TpmQuote(signer, extra, clock, resets, restarts, bool(safe), firmware, selection, digest, sha256(data))


def _sized(cursor: Cursor, most: int, what: str) -> bytes:
    data = cursor.sized(2)
    require(len(data) <= most, f"the TPM quote's {what} has {len(data)} bytes, more than {most}")
    return data


def _read_selection(cursor: Cursor) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """TPML_PCR_SELECTION: bit *i* of byte *n* stands for register 8n + i."""
    count = cursor.number(4)
    require(count <= MAX_SELECTIONS, f"the TPM quote has {count} selections of registers, more than {MAX_SELECTIONS}")
    selection = []
    for _ in range(count):
        bank, bits = cursor.number(2), cursor.sized(1)
        require(len(bits) <= MAX_SELECT, f"the TPM quote selects among {8 * len(bits)} registers")
        mask = int.from_bytes(bits, "little")
        selection.append((bank, tuple(number for number in range(8 * len(bits)) if mask >> number & 1)))
    return tuple(selection)
