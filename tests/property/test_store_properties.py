from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.blob import CELL, BlobRef, blob_ref
from attestrain.store.depot import Depot, cut, name_stream
from attestrain.store.index import HEAD, PART, Layout, leaves_of, make_index, read_head, read_leaves, split_digests
from attestrain.store.objects import FolderObjects

LARGE = bytes(PART) + bytes(range(256)) * 1024
REF = blob_ref(LARGE)
ROOTS = [blob_ref(LARGE[:PART]).root, blob_ref(LARGE[PART:]).root]
INDEX = make_index(len(LARGE), ROOTS, b"".join(leaves_of(LARGE[:PART]) + leaves_of(LARGE[PART:])))


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 30))
def test_cutting_changes_no_byte(pieces: list[bytes], size: int) -> None:
    chunks = [bytes(chunk) for chunk in cut(pieces, size)]
    assert b"".join(chunks) == b"".join(pieces)
    assert all(len(chunk) == size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= size for chunk in chunks)


@settings(max_examples=20)
@given(st.integers(0, len(LARGE)), st.lists(st.integers(0, len(LARGE)), max_size=4))
def test_a_blob_has_one_name_however_it_comes(size: int, cuts: list[int]) -> None:
    bounds = sorted({0, size, *(at for at in cuts if at < size)})
    pieces = [LARGE[start:end] for start, end in pairwise(bounds)]
    assert name_stream(pieces) == blob_ref(LARGE[:size])


def test_the_parts_roots_are_nodes_of_the_blobs_tree() -> None:
    layout = Layout(len(LARGE))
    assert (layout.parts, layout.cells, layout.total) == (2, 260, len(INDEX))
    assert read_head(INDEX[: layout.head], REF) == ROOTS
    start, length = layout.leaves_of(1)
    assert read_leaves(INDEX[start : start + length], ROOTS[1]) == leaves_of(LARGE[PART:])


@given(st.integers(0, 8 * Layout(len(LARGE)).head - 1))
def test_no_bit_of_the_head_can_change(bit: int) -> None:
    head = bytearray(INDEX[: Layout(len(LARGE)).head])
    head[bit // 8] ^= 1 << bit % 8
    try:
        read_head(bytes(head), REF)
    except FormatError:
        return
    raise AssertionError("a changed head was believed")


@given(st.binary(max_size=4 * 32 + HEAD))
def test_any_bytes_are_an_index_or_a_format_error(data: bytes) -> None:
    for read in (lambda: read_head(data, REF), lambda: read_leaves(data, REF.root), lambda: split_digests(data)):
        try:
            read()
        except FormatError:
            continue


@given(st.text(max_size=100) | st.from_regex(r"[0-9a-f]{64}:[0-9]{1,16}\n?", fullmatch=True))
def test_a_name_is_read_strictly(text: str) -> None:
    try:
        ref = BlobRef.from_name(text)
    except FormatError:
        return
    assert str(ref) == text


@settings(max_examples=25)
@given(st.data())
def test_any_range_of_a_small_or_large_blob(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        depot = Depot(FolderObjects(Path(folder)))
        blob = LARGE[: data.draw(st.sampled_from([CELL + 1, len(LARGE)]))]
        ref = depot.put(blob)
        start = data.draw(st.integers(0, len(blob)))
        length = data.draw(st.integers(0, len(blob) - start))
        assert depot.read(ref, start, length) == blob[start : start + length]
        assert b"".join(depot.ranges(ref, start, length)) == blob[start : start + length]
