"""One suite for all drivers: what the depot and its upkeep ask of a place, on every kind of place."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.blob import CELL, BlobRef, blob_ref
from attestrain.record.canonical import canonical
from attestrain.store import upkeep
from attestrain.store.depot import Depot, data_name, index_name
from attestrain.store.index import HEAD, PART
from attestrain.store.objects import FolderObjects, Objects
from attestrain.store.remote import open_objects
from tests.unit.store_places import place, s3_place

SMALL = bytes(range(251)) * 300
LARGE = hashlib.shake_256(b"large").digest(2 * PART + 3 * CELL + 17)


@pytest.fixture(params=["folder", "s3", "dav"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    with place(request.param, tmp_path, monkeypatch) as opened:
        yield opened


def spoil(objects: Objects, name: str, at: int = 0) -> None:
    """Flip one bit of an object."""
    size = objects.size(name)
    assert size
    data = bytearray(objects.read(name, 0, size))
    data[at] ^= 1
    objects.put(name, bytes(data))


def test_objects_are_written_read_listed_and_forgotten(objects: Objects) -> None:
    assert objects.size("ab/one") is None
    assert list(objects.list()) == []
    objects.put("ab/one", b"12345")
    objects.put("ab/one", b"123456")
    objects.put("cd/none", b"")
    assert objects.size("ab/one") == 6
    assert objects.size("cd/none") == 0
    assert objects.read("ab/one", 2, 3) == b"345"
    assert objects.same("ab/one", b"123456")
    assert not objects.same("ab/one", b"12345")
    assert {(held.name, held.size) for held in objects.list()} == {("ab/one", 6), ("cd/none", 0)}
    objects.delete("ab/one")
    objects.delete("ab/one")
    assert objects.size("ab/one") is None


def test_what_is_not_there_cannot_be_read(objects: Objects) -> None:
    with pytest.raises(Unreachable):
        objects.read("ab/one", 0, 1)
    objects.put("ab/one", b"12345")
    with pytest.raises(Unreachable):
        objects.read("ab/one", 3, 3)


@pytest.mark.parametrize("data", [b"", b"x", SMALL, LARGE], ids=len)
def test_a_blob_comes_back_whole_and_in_ranges(objects: Objects, data: bytes) -> None:
    depot = Depot(objects)
    ref = depot.put(data)
    assert ref == blob_ref(data) == depot.put(data)
    assert depot.has(ref)
    assert depot.get(ref) == data
    for start, length in ((0, 1), (PART - 1, 2), (2 * PART, CELL + 1), (len(data) - 1, 1), (5, 0)):
        if 0 <= start <= start + length <= len(data):
            assert depot.read(ref, start, length) == data[start : start + length]
    with pytest.raises(UsageError):
        depot.read(ref, len(data), 1)


def test_a_large_blob_is_missing_until_its_index_is_there_and_then_resumes(objects: Objects) -> None:
    def cut_off() -> Iterator[bytes]:
        yield LARGE[:PART]
        raise ConnectionResetError

    depot = Depot(objects)
    with pytest.raises(ConnectionResetError):
        depot.put_stream(cut_off())
    ref = blob_ref(LARGE)
    assert not depot.has(ref)
    (first,) = objects.list()
    with pytest.raises(Unreachable):
        depot.get(ref)
    assert depot.put(LARGE) == ref
    assert depot.get(ref) == LARGE
    assert first in list(objects.list()), "the part that had arrived was not sent again"


def test_a_flipped_bit_is_never_handed_out(objects: Objects) -> None:
    depot = Depot(objects)
    ref = depot.put(LARGE)
    part = data_name(depot.parts(ref)[1])
    spoil(objects, part, CELL + 5)
    with pytest.raises(FormatError, match="part 1"):
        depot.get(ref)
    with pytest.raises(FormatError, match="cell 257"):
        depot.read(ref, PART + CELL, 1)
    assert depot.read(ref, PART, CELL) == LARGE[PART : PART + CELL]
    found = upkeep.fsck(depot, remove=True)
    assert [item.name for item in found.damage] == [part]
    depot.put(LARGE)
    assert depot.get(ref) == LARGE
    assert upkeep.fsck(depot).damage == ()


@pytest.mark.parametrize("at", [0, 24, 33, 24 + 8 + 3 * 32 + 257 * 32])
def test_a_spoiled_index_is_never_followed(objects: Objects, at: int) -> None:
    depot = Depot(objects)
    ref = depot.put(LARGE)
    spoil(objects, index_name(ref.root), at)
    with pytest.raises(FormatError):
        depot.read(ref, PART + CELL, 1)
    assert [item.name for item in upkeep.fsck(depot).damage] == [index_name(ref.root)]


class FallingSilent(FolderObjects):
    """A place that lists its objects and then no longer answers, as a server may."""

    def read(self, name: str, start: int, length: int) -> bytes:
        raise Unreachable(f"the store did not answer about {name}")


def test_silence_is_no_damage_and_deletes_nothing(tmp_path: Path) -> None:
    depot = Depot(FolderObjects(tmp_path))
    ref = depot.put(SMALL)
    upkeep.pin(depot, ref, "one")
    with pytest.raises(Unreachable):
        upkeep.fsck(Depot(FallingSilent(tmp_path)), remove=True)
    assert depot.get(ref) == SMALL
    assert list(upkeep.pinned(depot)) == [("one", ref)]


def test_a_missing_part_costs_neither_the_index_nor_the_pin(objects: Objects) -> None:
    depot = Depot(objects)
    ref = depot.put(LARGE)
    upkeep.pin(depot, ref, "one")
    objects.delete(data_name(depot.parts(ref)[1]))
    found = upkeep.fsck(depot, remove=True)
    assert [(item.name.endswith(".index"), item.removed) for item in found.damage] == [(True, False), (False, False)]
    assert upkeep.collect(depot, grace=-3600) == []
    depot.put(LARGE)
    assert upkeep.fsck(depot).damage == ()


def test_a_damaged_pin_is_reported_and_stays(objects: Objects) -> None:
    depot = Depot(objects)
    ref = depot.put(SMALL)
    upkeep.pin(depot, ref, "one")
    (name,) = (held.name for held in objects.list() if held.name.startswith("pins/"))
    spoil(objects, name)
    assert [(item.name, item.removed) for item in upkeep.fsck(depot, remove=True).damage] == [(name, False)]
    with pytest.raises(FormatError):
        upkeep.collect(depot, grace=-3600)
    assert depot.get(ref) == SMALL


@pytest.mark.parametrize("pinned", [False, True])
def test_an_index_of_a_false_size_is_damaged(objects: Objects, pinned: bool) -> None:
    depot = Depot(objects)
    ref = depot.put(LARGE)
    if pinned:
        upkeep.pin(depot, ref, "one")
    name = index_name(ref.root)
    spoil(objects, name, HEAD - 1)
    assert (name, True) in [(item.name, item.removed) for item in upkeep.fsck(depot, remove=True).damage]
    depot.put(LARGE)
    assert depot.get(ref) == LARGE
    assert upkeep.fsck(depot).damage == ()


def test_a_pin_of_another_size_is_incomplete(objects: Objects) -> None:
    depot = Depot(objects)
    ref = depot.put(SMALL)
    lie = BlobRef(ref.root, len(SMALL) + 1)
    objects.put(f"pins/one.{ref.root.hex()}", canonical(lie.to_json()))
    (found,) = upkeep.fsck(depot).damage
    assert found.name.startswith("pins/")


def test_a_short_object_is_never_handed_out(objects: Objects) -> None:
    depot = Depot(objects)
    ref = depot.put(SMALL)
    objects.put(data_name(ref.root), SMALL[:-1])
    with pytest.raises(FormatError):
        depot.get(ref)
    with pytest.raises(FormatError):
        depot.read(ref, 0, 1)
    assert not depot.has(ref)


def test_only_what_is_pinned_survives_a_collection(objects: Objects) -> None:
    depot = Depot(objects)
    kept, small, gone = depot.put(LARGE), depot.put(SMALL), depot.put(LARGE[::-1])
    upkeep.pin(depot, kept, "one")
    upkeep.pin(depot, kept, "two")
    upkeep.pin(depot, small, "one")
    assert upkeep.collect(depot, grace=3600) == []
    assert len(upkeep.collect(depot, grace=-3600)) == 4
    assert not depot.has(gone)
    upkeep.unpin(depot, kept, "one")
    assert upkeep.collect(depot, grace=-3600) == []
    assert depot.get(kept) == LARGE
    upkeep.unpin(depot, kept, "two")
    assert len(upkeep.collect(depot, grace=-3600)) == 4
    assert depot.get(small) == SMALL


def test_a_collection_deletes_nothing_where_a_pin_cannot_be_read(objects: Objects) -> None:
    depot = Depot(objects)
    upkeep.pin(depot, depot.put(LARGE), "one")
    loose = depot.put(SMALL)
    (name,) = (held.name for held in objects.list() if held.name.startswith("pins/"))
    spoil(objects, name)
    with pytest.raises(FormatError):
        upkeep.collect(depot, grace=-3600)
    assert depot.has(loose)


def test_the_quota_counts_what_is_there(objects: Objects) -> None:
    Depot(objects).put(SMALL)
    depot = Depot(objects, quota=len(SMALL) + 1000)
    depot.put(SMALL)
    ref = depot.put(bytes(1000))
    with pytest.raises(Unreachable, match="quota"):
        depot.put(b"one more")
    objects.delete(data_name(ref.root))
    depot.recount()
    depot.put(b"one more")


def test_a_pin_needs_its_blob_and_a_label(objects: Objects) -> None:
    depot = Depot(objects)
    with pytest.raises(Unreachable):
        upkeep.pin(depot, BlobRef(blob_ref(SMALL).root, len(SMALL)), "one")
    ref = depot.put(SMALL)
    with pytest.raises(UsageError):
        upkeep.pin(depot, ref, "../one")
    upkeep.pin(depot, ref, "one")
    assert list(upkeep.pinned(depot)) == [("one", ref)]


def test_put_replaces_other_bytes_of_the_same_size(objects: Objects) -> None:
    depot = Depot(objects)
    ref = depot.put(SMALL)
    spoil(objects, data_name(ref.root))
    assert depot.put(SMALL) == ref
    assert depot.get(ref) == SMALL


@pytest.mark.parametrize("lead", [0, 5])
def test_a_buffer_may_be_filled_anew_once_the_next_piece_is_asked_for(tmp_path: Path, lead: int) -> None:
    def pieces() -> Iterator[bytearray]:
        yield bytearray(lead)
        buffer = bytearray(PART)
        for byte in range(4):
            buffer[:] = bytes([byte]) * PART
            yield buffer

    depot = Depot(FolderObjects(tmp_path))
    ref = depot.put_stream(pieces())
    assert depot.get(ref) == bytes(lead) + b"".join(bytes([byte]) * PART for byte in range(4))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Inodes that were made durable."""
    seen, genuine = set[int](), os.fsync

    def fsync(handle: int) -> None:
        genuine(handle)
        seen.add(os.fstat(handle).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_a_put_syncs_every_name_down_to_a_new_store(tmp_path: Path, synced: set[int]) -> None:
    place = tmp_path / "new" / "blobs"
    ref = Depot(FolderObjects(place)).put(SMALL)
    folder = (place / data_name(ref.root)).parent
    assert {path.stat().st_ino for path in (tmp_path, tmp_path / "new", place, folder)} <= synced


@pytest.mark.parametrize("written", ["file", "folder"])
def test_what_a_killed_writer_left_is_made_durable_by_the_next_put(
    tmp_path: Path, synced: set[int], written: str
) -> None:
    path = tmp_path / data_name(blob_ref(SMALL).root)
    path.parent.mkdir()
    if written == "file":
        path.write_bytes(SMALL)
    Depot(FolderObjects(tmp_path)).put(SMALL)
    assert {tmp_path.stat().st_ino, path.parent.stat().st_ino} <= synced


def test_a_missing_folder_is_unreachable_until_something_is_put(tmp_path: Path) -> None:
    depot = Depot(FolderObjects(tmp_path / "blobs"), quota=len(SMALL))
    for ask in (lambda: depot.get(blob_ref(SMALL)), lambda: upkeep.fsck(depot), lambda: upkeep.collect(depot)):
        with pytest.raises(Unreachable, match="no store at") as caught:
            ask()
        assert caught.value.hint
    assert not (tmp_path / "blobs").exists()
    assert depot.get(depot.put(SMALL)) == SMALL


def test_a_bucket_that_is_not_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_place(monkeypatch):
        depot = Depot(open_objects("s3://another-bucket/some"))
        with pytest.raises(Unreachable) as caught:
            depot.put(SMALL)
        assert caught.value.hint
        with pytest.raises(Unreachable, match="NoSuchBucket"):
            upkeep.fsck(depot)


def test_a_write_that_failed_is_not_charged(tmp_path: Path) -> None:
    depot = Depot(FolderObjects(tmp_path), quota=len(SMALL))
    folder = (tmp_path / data_name(blob_ref(SMALL).root)).parent
    folder.symlink_to(tmp_path / "nowhere")
    with pytest.raises(Unreachable, match="cannot be written"):
        depot.put(SMALL)
    folder.unlink()
    depot.put(SMALL)


def test_a_collection_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    depot = Depot(FolderObjects(tmp_path))
    ref = depot.put(SMALL)
    folder = (tmp_path / data_name(ref.root)).parent
    old, new = folder / ".one.abc.tmp", folder / ".two.abc.tmp"
    for path, age in ((old, upkeep.UNFINISHED + 60), (new, 60)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    upkeep.collect(depot)
    assert (old.exists(), new.exists(), depot.has(ref)) == (False, True, True)


@pytest.mark.parametrize(
    "location", ["s3://", "s3://B/x", "ftp://host/x", "http://", "http://[", "http://h:x/", "https://host/x?key=1"]
)
def test_a_location_that_names_no_store(location: str) -> None:
    with pytest.raises(UsageError, match="does not name a store"):
        open_objects(location)


def test_a_server_that_is_not_there_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attestrain.store.remote.RETRIES", 0)
    with pytest.raises(Unreachable, match="did not answer"):
        open_objects("http://127.0.0.1:9/").size("ab/one")
