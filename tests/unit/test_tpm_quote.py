from __future__ import annotations

import hashlib

import pytest

from attestrain.appraise.refused import Refused
from attestrain.appraise.tpm.quote import is_tpm_quote, read_tpm_quote
from tests.unit.logs_world import sample

QUOTE = sample("tpm-quote.bin")


def test_a_genuine_quote_is_read_and_worth_nothing_for_training() -> None:
    quote = read_tpm_quote(QUOTE)
    assert quote.extra == bytes.fromhex("12345678")
    assert quote.selection == ((0x000B, (0, 1, 2)),)
    assert len(quote.digest) == 32
    assert quote.safe
    assert quote.identity == hashlib.sha256(QUOTE).digest()
    assert quote.verdict.startswith("unsupported for training")


@pytest.mark.parametrize("size", range(len(QUOTE)))
def test_a_quote_cut_short_anywhere_is_refused(size: int) -> None:
    with pytest.raises(Refused, match=r"ends at byte|do not begin"):
        read_tpm_quote(QUOTE[:size])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (QUOTE + b"\0", "goes on for 1 bytes"),
        (b"\xffTCG\x80\x17" + QUOTE[6:], "do not begin like a TPM quote"),
        (QUOTE.ljust(1025, b"\0"), "more than 1024"),
        (QUOTE[:6] + b"\0\x45" + QUOTE[8:], "signer's name has 69 bytes"),
        (QUOTE.replace(b"\0\x0b\3\7", b"\0\x0b\5\7"), "selects among 40 registers"),
    ],
)
def test_a_malformed_quote_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_tpm_quote(data)


def test_only_a_quote_is_recognised() -> None:
    assert is_tpm_quote(QUOTE)
    assert not is_tpm_quote(QUOTE[1:])
