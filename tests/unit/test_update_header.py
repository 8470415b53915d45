from __future__ import annotations

import pytest

from attestrain.errors import FormatError
from attestrain.record.digest import sha256
from attestrain.record.names import Branch, Round, RunId, Worker
from attestrain.update.header import HEADER_SIZE, Opening, UpdateHeader, read_opening

HEADER = UpdateHeader(RunId(sha256(b"run")), Branch(1), Round(2), Worker(3), sha256(b"base"))


def test_layout_is_the_published_one() -> None:
    data = HEADER.to_bytes("ternary", 5)
    assert data == (
        b"attestrain.dev/update@v1\n\x01"
        + sha256(b"run")
        + b"\x01\0\0\0\x02\0\0\0\x03\0\0\0"
        + sha256(b"base")
        + b"\x05\0\0\0\0\0\0\0"
    )
    assert len(data) == HEADER_SIZE == 110


@pytest.mark.parametrize("codec", ["dense", "ternary", "two-bit"])
def test_reads_what_it_wrote(codec: str) -> None:
    assert read_opening(HEADER.to_bytes(codec, 1 << 40) + b"body") == Opening(HEADER, codec, 1 << 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-1], "shorter than its header"),
        (lambda data: b"A" + data[1:], "does not open with its format"),
        (lambda data: data[:25] + b"\x09" + data[26:], "unknown codec 9"),
    ],
)
def test_refuses_other_bytes(change, message) -> None:
    with pytest.raises(FormatError, match=message):
        read_opening(change(HEADER.to_bytes("dense", 1)))
