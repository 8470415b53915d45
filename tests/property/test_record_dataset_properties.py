from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record import merkle
from attestrain.record.canonical import canonical, parse
from attestrain.record.dataset import (
    DatasetManifest,
    batch_digest,
    derive_leaves,
    leaves_root,
    sequence_count,
    sequence_leaf,
    sequence_salt,
    split_leaves,
)
from attestrain.record.digest import sha256

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/dataset.json").read_text())
DOCUMENTS: list[bytes] = [canonical(case["manifest"]) for case in VECTORS["manifests"]]

salts = st.binary(min_size=32, max_size=32)
digests = st.binary(min_size=1, max_size=4).map(sha256)


@given(salt=salts, tokens=st.binary(max_size=200), width=st.sampled_from([1, 2]), length=st.integers(1, 20))
def test_leaves_are_one_per_sequence_and_each_verifies_in_the_root(salt: bytes, tokens: bytes, width: int, length: int):
    packed = derive_leaves(salt, "train", tokens, token_bytes=width, sequence_tokens=length)
    leaves = split_leaves(packed)
    assert len(leaves) == sequence_count(len(tokens) // width, length)
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    for i, leaf in enumerate(leaves):
        window = tokens[i * length * width : (i * length + length + 1) * width]
        assert leaf == sequence_leaf(sequence_salt(salt, "train", i), window)
        proof = merkle.inclusion_proof(hashes, i)
        assert merkle.verify_inclusion(hashes[i], i, len(leaves), proof, leaves_root(packed))


@given(salt=salts, tokens=st.binary(min_size=9, max_size=60), at=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_token_bit_changes_exactly_the_sequences_that_hold_it(salt: bytes, tokens: bytes, at: int, bit: int):
    def leaves(data: bytes) -> list[bytes]:
        return list(split_leaves(derive_leaves(salt, "train", data, token_bytes=1, sequence_tokens=4)))

    at %= len(tokens)
    changed = bytearray(tokens)
    changed[at] ^= 1 << bit
    differing = [i for i, (a, b) in enumerate(zip(leaves(tokens), leaves(bytes(changed)), strict=True)) if a != b]
    assert differing == [i for i in range(len(leaves(tokens))) if i * 4 <= at <= i * 4 + 4]


@given(a=st.lists(digests, max_size=6), b=st.lists(digests, max_size=6))
def test_batches_have_equal_digests_only_when_equal(a: list[Any], b: list[Any]):
    assert (batch_digest(a) == batch_digest(b)) == (a == b)


@given(a=st.tuples(salts, st.sampled_from(["train", "test"]), st.integers(0, 2**64 - 1)), b=st.data())
def test_every_sequence_has_its_own_salt(a: tuple[bytes, str, int], b: st.DataObject):
    other = b.draw(st.tuples(salts, st.sampled_from(["train", "test"]), st.integers(0, 2**64 - 1)))
    assert (sequence_salt(*a) == sequence_salt(*other)) == (a == other)


@given(document=st.sampled_from(DOCUMENTS), at=st.integers(0), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_becomes_another_digest(document: bytes, at: int, byte: int):
    mutated = bytearray(document)
    mutated[at % len(mutated)] = byte
    _accepts_only_what_it_says(bytes(mutated))


@given(document=st.sampled_from(DOCUMENTS), start=st.integers(0), size=st.integers(0, 40), put=st.binary(max_size=10))
def test_a_changed_span_is_refused_or_becomes_another_digest(document: bytes, start: int, size: int, put: bytes):
    start %= len(document)
    _accepts_only_what_it_says(document[:start] + put + document[start + size :])


def _leaf_paths(value: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path]
    return [path, *(found for key in value for found in _leaf_paths(value[key], (*path, key)))]


@given(
    document=st.sampled_from(DOCUMENTS),
    pick=st.integers(0),
    value=st.integers(-3, 2**53 - 1) | st.sampled_from([None, True, "", "x", "secret", "a\nb", "00" * 32, {}, []]),
)
def test_a_changed_field_is_refused_or_becomes_another_digest(document: bytes, pick: int, value: object):
    fields = json.loads(document)
    paths = _leaf_paths(fields)[1:]
    path = paths[pick % len(paths)]
    inner = fields
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    _accepts_only_what_it_says(canonical(fields))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"format":"attestrain.dev/dataset@v1"}'])
def test_fragments_are_refused(data: bytes):
    with pytest.raises(FormatError):
        DatasetManifest.from_json(parse(data))


def _accepts_only_what_it_says(data: bytes) -> None:
    """Reading ``data`` fails cleanly, or gives a manifest whose document is ``data`` to the byte."""
    try:
        manifest = DatasetManifest.from_json(parse(data))
    except FormatError:
        return
    assert canonical(manifest.to_json()) == data
    assert manifest.digest == sha256(data)
