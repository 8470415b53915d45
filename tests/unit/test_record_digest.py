from __future__ import annotations

import hashlib

import pytest

from attestrain.errors import FormatError
from attestrain.record import merkle
from attestrain.record.blob import CELL, MAX_BLOB, BlobRef, blob_ref
from attestrain.record.digest import ZERO_DIGEST, parse_digest, sha256, tagged


def test_tagged_digest_follows_its_written_layout():
    written = b"\x00\x00\x00\x03tag" + b"\x00" * 7 + b"\x02ab" + b"\x00" * 8
    assert tagged("tag", b"ab", b"") == hashlib.sha256(written).digest()


def test_tagged_digest_separates_tags_and_parts():
    variants = [tagged("t", b"ab"), tagged("t", b"a", b"b"), tagged("ta", b"b"), tagged("t", b"ab", b""), tagged("t")]
    assert len(set(variants)) == len(variants)


@pytest.mark.parametrize("text", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n", None, 7, b"0" * 64])
def test_parse_digest_refuses_other_spellings(text):
    with pytest.raises(ValueError, match="not a SHA-256 digest"):
        parse_digest(text)


def test_parse_digest_reads_its_own_form():
    assert parse_digest("00" * 32) == ZERO_DIGEST
    assert parse_digest(sha256(b"x").hex()) == sha256(b"x")


@pytest.mark.parametrize("size", [0, 1, CELL - 1, CELL, CELL + 1, 3 * CELL + 5])
def test_blob_ref_is_the_root_over_its_cells(size):
    data = bytes(i % 251 for i in range(size))
    cells = [data[at : at + CELL] for at in range(0, size, CELL)]
    assert blob_ref(data) == BlobRef(merkle.root(cells), size)
    assert blob_ref(bytearray(data)) == blob_ref(memoryview(data)) == blob_ref(data)


def test_blob_ref_reads_back_from_its_document():
    ref = blob_ref(b"x" * 100)
    assert BlobRef.from_json(ref.to_json()) == ref


@pytest.mark.parametrize(
    "change",
    [{"size": -1}, {"size": MAX_BLOB + 1}, {"size": True}, {"size": "1"}, {"root": "00"}, {"root": None}, {"more": 1}],
)
def test_blob_ref_refuses_malformed_documents(change):
    with pytest.raises(FormatError):
        BlobRef.from_json({**blob_ref(b"x").to_json(), **change})


def test_blob_ref_refuses_other_types():
    for value in (None, [], "x", {"root": "00" * 32}):
        with pytest.raises(FormatError):
            BlobRef.from_json(value)
