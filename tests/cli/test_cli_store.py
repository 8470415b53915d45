from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from attestrain.record.blob import blob_ref
from attestrain.store.index import PART
from tests.cli.conftest import PROGRAM, Call

DATA = bytes(range(253)) * 200_000
MEMORY = 300 << 20
"""Most resident memory of a process that moves a blob of any size, in bytes."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(DATA)
    return path


def test_put_and_get_a_file(call: Call, file: Path, tmp_path: Path) -> None:
    named = call("store", "root", file)
    kept = call("store", "put", file, "--at", tmp_path / "blobs", "--pin", "mine", "--json")
    assert (named.code, kept.code) == (0, 0)
    name = named.out.strip()
    assert json.loads(kept.out) == {"blob": name, **blob_ref(DATA).to_json(), "at": str(tmp_path / "blobs")}
    fetched = call("store", "get", name, "--at", tmp_path / "blobs", "--out", tmp_path / "out")
    assert (fetched.code, fetched.out) == (0, "")
    assert (tmp_path / "out").read_bytes() == DATA
    call("store", "get", name, "--at", tmp_path / "blobs", "-o", tmp_path / "out", "--start", PART - 9, "--length", 20)
    assert (tmp_path / "out").read_bytes() == DATA[PART - 9 : PART + 11]


def test_damage_is_found_never_written_and_mended(call: Call, file: Path, tmp_path: Path) -> None:
    name = call("store", "put", file, "--at", tmp_path / "blobs").out.strip()
    assert call("store", "fsck", "--at", tmp_path / "blobs").code == 0
    part = max((tmp_path / "blobs").glob("*/*"), key=lambda path: path.stat().st_size)
    part.write_bytes(bytes(PART))
    target = tmp_path / "out"
    target.write_bytes(b"what was there")
    fetched = call("store", "get", name, "--at", tmp_path / "blobs", "--out", target)
    assert (fetched.code, target.read_bytes()) == (2, b"what was there")
    checked = call("store", "fsck", "--at", tmp_path / "blobs", "--remove", "--json")
    assert checked.code == 4
    assert [item["object"] for item in json.loads(checked.out)["damage"]] == [f"{part.parent.name}/{part.name}"]
    assert call("store", "put", file, "--at", tmp_path / "blobs").out.strip() == name
    assert call("store", "get", name, "--at", tmp_path / "blobs", "--out", target).code == 0
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("name", ["", "x:1", f"{'a' * 64}:01", f"{'a' * 64}:99999999999999999999", "../../x:1"])
def test_a_bad_name_is_one_line(call: Call, tmp_path: Path, name: str) -> None:
    result = call("store", "get", name, "--at", tmp_path / "blobs", "--out", tmp_path / "out")
    assert result.code == 2
    assert "root, a colon and its size" in result.err
    assert not (tmp_path / "out").exists()


def test_a_misspelt_folder_is_unreachable_and_not_made(call: Call, tmp_path: Path) -> None:
    name, place = str(blob_ref(DATA)), tmp_path / "blosb"
    for asked in (("fsck", "--remove"), ("get", name, "--out", tmp_path / "out")):
        result = call("store", *asked, "--at", place)
        assert result.code == 6
        assert "misspelt" in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_range_outside_the_blob(call: Call, file: Path, tmp_path: Path) -> None:
    name = call("store", "put", file, "--at", tmp_path / "blobs").out.strip()
    for start, length in ((len(DATA), 1), (len(DATA) + 5, 0), (5, len(DATA))):
        asked = ("--start", start, "--length", length)
        assert call("store", "get", name, "--at", tmp_path / "blobs", "-o", tmp_path / "x", *asked).code == 2


@pytest.mark.slow
def test_four_gibibytes_pass_in_bounded_memory(tmp_path: Path) -> None:
    """A sparse file, whose parts are all the same: what is measured is memory."""
    source, target, blobs = tmp_path / "source", tmp_path / "target", tmp_path / "blobs"
    with source.open("wb") as file:
        file.truncate(4 << 30)
    put = subprocess.run([*PROGRAM, "store", "put", source, "--at", blobs], capture_output=True, text=True, check=True)
    name = put.stdout.strip()
    subprocess.run([*PROGRAM, "store", "get", name, "--at", blobs, "--out", target], check=True)
    assert target.stat().st_size == 4 << 30
    unit = 1 if sys.platform == "darwin" else 1024
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit < MEMORY
    os.unlink(target)
