from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.merkle import leaf_hash, root
from attestrain.record.tiles import (
    MAX_ENTRIES,
    MAX_ENTRY,
    WIDTH,
    check_tiles,
    decode_bundle,
    encode_bundle,
    entries_path,
    read_entries,
    tile_path,
    tiles_of,
)


def entries(count: int) -> list[bytes]:
    return [b"%d" % i for i in range(count)]


@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "000"),
        (7, "007"),
        (999, "999"),
        (1000, "x001/000"),
        (1234067, "x001/x234/067"),
        (10**9, "x001/x000/x000/000"),
    ],
)
def test_paths_of_the_specification(index, path):
    assert tile_path(0, index) == f"tile/0/{path}"
    assert tile_path(63, index, 1) == f"tile/63/{path}.p/1"
    assert entries_path(index, 255) == f"tile/entries/{path}.p/255"


def test_the_specifications_tree_of_70_000():
    # tlog-tiles, section "Partial Tiles": 273 full level 0 tiles, one of width 112, one full level 1 tile, one of
    # width 17, one level 2 tile of width 1.
    files = tiles_of([b""] * 70_000)
    level0 = {tile_path(0, index) for index in range(273)} | {tile_path(0, 273, 112)}
    bundles = {entries_path(index) for index in range(273)} | {entries_path(273, 112)}
    assert files.keys() == level0 | bundles | {tile_path(1, 0), tile_path(1, 1, 17), tile_path(2, 0, 1)}


def test_a_tree_of_256_has_a_full_tile_and_one_above():
    files = tiles_of(entries(256))
    assert files.keys() == {tile_path(0, 0), tile_path(1, 0, 1), entries_path(0)}
    assert files[tile_path(1, 0, 1)] == root(entries(256))
    assert files[tile_path(0, 0)][:32] == leaf_hash(b"0")


def test_an_empty_log_has_no_files():
    assert tiles_of([]) == {}
    assert read_entries({}.get, 0) == []


@settings(max_examples=30)
@given(st.integers(0, 700))
def test_files_read_back(count):
    files = tiles_of(entries(count))
    assert read_entries(files.get, count) == entries(count)
    check_tiles(files.get, entries(count))
    assert all(len(data) > 0 for data in files.values())


def test_another_size_is_refused():
    files = tiles_of(entries(300))
    for size in (299, 301, 512, 513, MAX_ENTRIES):
        with pytest.raises(FormatError, match="is missing"):
            read_entries(files.get, size)
    for size in (-1, MAX_ENTRIES + 1, 2**53):
        with pytest.raises(FormatError, match="larger than"):
            read_entries(files.get, size)


@settings(max_examples=60)
@given(st.sampled_from(sorted(tiles_of(entries(300)))), st.data())
def test_any_changed_or_missing_file_is_found(path, data):
    files = tiles_of(entries(300))
    original = files[path]
    at = data.draw(st.integers(0, len(original) - 1))
    spoiled = bytes([original[at] ^ 1 << data.draw(st.integers(0, 7))])
    for change in (original[:at], original + b"\0", original[:at] + spoiled + original[at + 1 :], None):
        files[path] = change
        get = {name: content for name, content in files.items() if content is not None}.get
        try:
            read = read_entries(get, 300)
        except FormatError:
            continue
        with pytest.raises(FormatError, match="hash tile"):
            check_tiles(get, read)


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_bundles_read_back(items):
    assert decode_bundle(encode_bundle(items), len(items)) == items


@given(st.binary(max_size=600), st.integers(0, WIDTH))
def test_arbitrary_bundles_read_or_fail_in_the_one_way(data, width):
    try:
        items = decode_bundle(data, width)
    except FormatError:
        return
    assert encode_bundle(items) == data


def test_the_longest_entry_fits_and_no_longer_one():
    longest = b"x" * MAX_ENTRY
    assert read_entries(tiles_of([longest]).get, 1) == [longest]
    with pytest.raises(FormatError, match="longer than"):
        tiles_of([longest + b"x"])


def test_an_oversized_bundle_is_refused_unread():
    with pytest.raises(FormatError, match="larger than"):
        read_entries(lambda path: bytes(WIDTH * (2 + MAX_ENTRY) + 1), WIDTH)
