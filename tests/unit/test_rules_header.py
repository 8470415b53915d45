from __future__ import annotations

import pytest
import rlp
from eth_utils.crypto import keccak

from attestrain.errors import FormatError
from attestrain.rules.header import MAX_HEADER, NUMBER, STATE_ROOT, TIMESTAMP, read_header
from tests.state import START, header


@pytest.mark.parametrize("kind", ["london", "cancun", "prague"])
def test_headers_of_every_kind_are_read(kind: str) -> None:
    data = header(17, START, b"s" * 32, kind)
    found = read_header(data)
    assert (found.number, found.timestamp, found.state_root, found.hash) == (17, START, b"s" * 32, keccak(data))


# Ethereum's first block, whose hash everybody knows.
GENESIS = rlp.encode(
    [
        bytes(32),
        bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"),
        bytes(20),
        bytes.fromhex("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"),
        bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),
        bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),
        bytes(256),
        (17_179_869_184).to_bytes(5, "big"),
        b"",
        (5000).to_bytes(2, "big"),
        b"",
        b"",
        bytes.fromhex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"),
        bytes(32),
        bytes.fromhex("0000000000000042"),
    ]
)


def test_the_first_block_has_its_known_hash() -> None:
    found = read_header(GENESIS)
    assert found.hash.hex() == "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
    assert (found.number, found.timestamp) == (0, 0)


def changed(place: int, value: object) -> bytes:
    fields = rlp.decode(header(17, START, bytes(32)))
    return rlp.encode([*fields[:place], value, *fields[place + 1 :]])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        rlp.encode(b"header"),
        rlp.encode([b""] * 14),
        changed(NUMBER, b"\x00"),
        changed(NUMBER, bytes([1] * 9)),
        changed(TIMESTAMP, []),
        changed(STATE_ROOT, bytes(31)),
        changed(STATE_ROOT, []),
        header(17, START, bytes(32)) + b"\x00",
        changed(12, bytes(MAX_HEADER)),
    ],
)
def test_malformed_headers_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_header(data)
