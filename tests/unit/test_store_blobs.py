from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError, Unreachable
from attestrain.record.blob import CELL, MAX_BLOB, BlobRef, blob_ref
from attestrain.store.blobs import BlobStore

DATA = bytes(range(256)) * 300


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "blobs")


@settings(max_examples=40)
@given(st.binary(max_size=200), st.sampled_from([0, CELL - 100, CELL]))
def test_put_and_get(tail, zeros):
    data = bytes(zeros) + tail
    with tempfile.TemporaryDirectory() as folder:
        store = BlobStore(Path(folder))
        ref = store.put(data)
        assert ref == blob_ref(data) == store.put(bytearray(data))
        assert store.has(ref)
        assert store.get(ref) == data
        store.delete(ref)
        store.delete(ref)
        assert not store.has(ref)
        with pytest.raises(Unreachable, match=ref.root.hex()):
            store.get(ref)


def test_files_lie_under_their_own_name(store, tmp_path):
    ref = store.put(DATA)
    name = ref.root.hex()
    files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert files == [tmp_path / "blobs" / name[:2] / name]
    assert files[0].read_bytes() == DATA


@settings(max_examples=40)
@given(st.integers(0, len(DATA) * 8 - 1))
def test_a_flipped_bit_is_found_on_every_read_and_repaired_by_put(bit):
    with tempfile.TemporaryDirectory() as folder:
        store = BlobStore(Path(folder))
        ref = store.put(DATA)
        spoiled = bytearray(DATA)
        spoiled[bit // 8] ^= 1 << bit % 8
        store.path(ref).write_bytes(spoiled)
        for _ in range(2):
            with pytest.raises(FormatError, match=ref.root.hex()):
                store.get(ref)
        assert store.put(DATA) == ref
        assert store.get(ref) == DATA


@pytest.mark.parametrize("size", [0, 1, CELL - 1, CELL, len(DATA) - 1, len(DATA) + 1, 2 * len(DATA)])
def test_another_length_is_found(store, size):
    ref = store.put(DATA)
    store.path(ref).write_bytes((DATA * 2)[:size])
    assert not store.has(ref)
    with pytest.raises(FormatError, match=ref.root.hex()):
        store.get(ref)


def test_a_reference_to_an_enormous_blob_reserves_nothing(store):
    ref = store.put(DATA)
    with pytest.raises(FormatError):
        store.get(BlobRef(ref.root, MAX_BLOB))


def test_unfinished_writes_are_not_blobs_and_leave_nothing_behind(store):
    ref = blob_ref(DATA)
    folder = store.path(ref).parent
    folder.write_bytes(b"in the way")
    with pytest.raises(Unreachable, match="cannot be written"):
        store.put(DATA)
    folder.unlink()
    assert not store.has(ref)
    assert store.put(DATA) == ref
    assert os.listdir(folder) == [ref.root.hex()]


def test_other_failures_are_unreachable(store, tmp_path):
    ref = blob_ref(DATA)
    store.path(ref).mkdir(parents=True)
    with pytest.raises(Unreachable, match="cannot be read"):
        store.get(ref)
    with pytest.raises(Unreachable, match="cannot be deleted"):
        store.delete(ref)
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable, match="cannot be opened"):
        BlobStore(tmp_path / "file")


def test_what_was_just_kept_is_not_read_again_and_what_is_gone_or_was_kept_by_others_is(store, tmp_path):
    ref = store.put(DATA)
    store.path(ref).write_bytes(bytes(len(DATA)))
    store.check(ref)
    with pytest.raises(FormatError):
        BlobStore(tmp_path / "blobs").check(ref)
    store.path(ref).write_bytes(DATA[:-1])
    with pytest.raises(FormatError):
        store.check(ref)
    store.path(ref).unlink()
    with pytest.raises(Unreachable):
        store.check(ref)
