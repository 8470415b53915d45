from __future__ import annotations

import dataclasses
import time

import pytest

from attestrain.errors import FormatError
from attestrain.record import merkle
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.dataset import (
    PUBLIC_SALT,
    DatasetManifest,
    SplitInfo,
    TokenizerInfo,
    batch_digest,
    derive_leaves,
    leaves_root,
    sequence_count,
    sequence_leaf,
    sequence_salt,
    split_leaves,
    token_width,
)
from attestrain.record.digest import Digest, sha256

EMPTY = SplitInfo(merkle.EMPTY_ROOT, 0, blob_ref(b""), 0, 0)


def manifest(**changes: object) -> DatasetManifest:
    tokens = bytes(33)
    leaves = derive_leaves(PUBLIC_SALT, "train", tokens, token_bytes=1, sequence_tokens=8)
    base = DatasetManifest(
        name="tiny",
        licence="CC0-1.0",
        source="zeros",
        salt="public",
        tokenizer=TokenizerInfo("bytes", 256, None),
        sequence_tokens=8,
        documents=blob_ref(b"{}"),
        train=SplitInfo(leaves_root(leaves), 4, blob_ref(tokens), 1, 33),
        validation=EMPTY,
        test=EMPTY,
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("tokens", "count"), [(0, 0), (1, 0), (8, 0), (9, 1), (16, 1), (17, 2)])
def test_neighbouring_sequences_share_one_token(tokens: int, count: int):
    assert sequence_count(tokens, 8) == count


def test_token_width_changes_above_one_byte():
    assert [token_width(v) for v in (2, 256, 257, 65536)] == [1, 1, 2, 2]


def test_leaves_cover_the_windows_of_the_token_file():
    tokens = bytes(range(20))
    leaves = split_leaves(derive_leaves(b"s" * 32, "test", tokens, token_bytes=2, sequence_tokens=4))
    salts = [sequence_salt(b"s" * 32, "test", i) for i in range(2)]
    assert leaves == [sequence_leaf(salts[0], tokens[0:10]), sequence_leaf(salts[1], tokens[8:18])]


def test_equal_sequences_have_different_leaves():
    leaves = split_leaves(derive_leaves(PUBLIC_SALT, "train", bytes(100), token_bytes=1, sequence_tokens=9))
    assert len(set(leaves)) == len(leaves) == 11


def test_root_is_rfc_6962_over_the_digests_as_leaves():
    leaves = [sha256(bytes([i])) for i in range(5)]
    assert leaves_root(b"".join(leaves)) == merkle.root(leaves)
    assert leaves_root(b"") == merkle.EMPTY_ROOT


def test_a_torn_leaves_file_is_refused():
    with pytest.raises(FormatError, match="whole number"):
        leaves_root(bytes(33))


def test_batch_digest_depends_on_order_and_length():
    a, b = sha256(b"a"), sha256(b"b")
    assert len({batch_digest(x) for x in ([], [a], [a, b], [b, a], [a, b, b])}) == 5


def test_sixty_thousand_leaves_root_fast():
    leaves = b"".join(sha256(bytes([i % 256])) for i in range(61_000))
    start = time.process_time()
    leaves_root(leaves)
    assert time.process_time() - start < 1.0  # about 0.15 s alone on one core


def test_manifest_reads_back_equal():
    assert DatasetManifest.from_json(manifest().to_json()) == manifest()
    assert manifest().to_json()["format"] == "attestrain.dev/dataset@v1"


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "two\nlines"},
        {"licence": "x" * 501},
        {"sequence_tokens": 0},
        {"sequence_tokens": 9},
        {"train": EMPTY},
        {"validation": dataclasses.replace(EMPTY, root=Digest(bytes(32)))},
        {"validation": dataclasses.replace(EMPTY, sequences=1)},
        {"validation": dataclasses.replace(EMPTY, bytes=5)},
        {"test": dataclasses.replace(EMPTY, documents=-1)},
        {"train": dataclasses.replace(manifest().train, tokens=BlobRef(Digest(bytes(32)), 32))},
        {"tokenizer": TokenizerInfo("bytes", 255, None)},
        {"tokenizer": TokenizerInfo("bytes", 256, sha256(b""))},
        {"tokenizer": TokenizerInfo("bpe", 1024, None)},
        {"tokenizer": TokenizerInfo("bpe", 1 << 17, sha256(b""))},
        {"tokenizer": TokenizerInfo("bpe", 1024, sha256(b""))},
        {"tokenizer": TokenizerInfo("words", 256, None)},
        {"salt": "hidden"},
    ],
)
def test_contradictory_manifests_are_refused(changes: dict[str, object]):
    with pytest.raises(FormatError):
        DatasetManifest.from_json(manifest(**changes).to_json())


@pytest.mark.parametrize(
    ("field", "value"),
    [("format", "attestrain.dev/dataset@v2"), ("token_bytes", 2), ("token_bytes", True), ("splits", {}), ("extra", 1)],
)
def test_other_formats_and_unknown_fields_are_refused(field: str, value: object):
    with pytest.raises(FormatError):
        DatasetManifest.from_json(manifest().to_json() | {field: value})


def test_a_missing_field_is_refused():
    for field in manifest().to_json():
        document = manifest().to_json()
        del document[field]
        with pytest.raises(FormatError):
            DatasetManifest.from_json(document)
