from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from attestrain.errors import FormatError
from attestrain.record.bundle import (
    MANIFEST,
    MAX_FILE,
    MAX_PATH,
    Bundle,
    FileEntry,
    FolderFiles,
    Manifest,
    MemoryFiles,
    check_path,
    environment_path,
    make_manifest,
    trace_path,
    update_path,
)
from attestrain.record.digest import sha256
from attestrain.record.names import Round, RunId, Worker

RUN = RunId(sha256(b"run"))
TRICKS = [
    "", ".", "..", "../x", "a/../b", "a/..", "/etc/passwd", "//x", "a//b", "a/", "./a", "a/./b", ".hidden", "a/.git/x",
    "a\\b", "C:x", "a b", "a\nb", "a\n", "a\x00b", "ä", "a/\u202eb", "a%2fb", "~root", "$HOME", "x" * 201, "a*", "-\n",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "a").mkdir(parents=True)
    (root / "a/one.bin").write_bytes(b"one")
    (root / "two.json").write_bytes(b"{}")
    (root / MANIFEST).write_bytes(make_manifest(RUN, FolderFiles(root)).to_bytes())
    return root


@pytest.mark.parametrize("path", TRICKS, ids=repr)
def test_paths_that_could_lead_elsewhere_are_refused(path: str, folder: Path):
    with pytest.raises(FormatError):
        check_path(path)
    with pytest.raises(FormatError):
        FolderFiles(folder).read(path)
    document = json.dumps({"files": {path: {"sha256": "00" * 32, "size": 0}}, "format": "attestrain.dev/bundle@v1"})
    with pytest.raises(FormatError):
        Manifest.from_bytes(document.encode())


@pytest.mark.parametrize("path", TRICKS, ids=repr)
def test_a_manifest_with_such_a_path_is_refused(path: str):
    entry = {"sha256": "00" * 32, "size": 0}
    document = {"files": {path: entry}, "format": "attestrain.dev/bundle@v1", "run": RUN.hex()}
    data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with pytest.raises(FormatError):
        Manifest.from_bytes(data)


@pytest.mark.parametrize("path", ["a", "a-b_c.1", "a/b/c.bin", "x" * MAX_PATH, "-a", "a.", "a..b"])
def test_plain_paths_are_accepted(path: str):
    assert check_path(path) == path


def test_places_of_files_are_plain_paths():
    paths = [trace_path(Round(0), Worker(0)), update_path(Round(10**6), Worker(9999)), environment_path(RUN)]
    assert paths[:2] == ["traces/000000/0000.json", "updates/1000000/9999.bin"]
    assert [check_path(path) for path in paths] == paths


def test_a_manifest_reads_back():
    manifest = Manifest(RUN, {"a/b": FileEntry(3, sha256(b"one")), "c": FileEntry(0, sha256(b""))})
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@pytest.mark.parametrize(
    "entry",
    [
        None,
        1,
        {},
        {"size": 1},
        {"size": 1, "sha256": "AA" * 32},
        {"size": -1, "sha256": "00" * 32},
        {"size": True, "sha256": "00" * 32},
        {"size": 1.5, "sha256": "00" * 32},
        {"size": MAX_FILE + 1, "sha256": "00" * 32},
        {"size": 1, "sha256": "00" * 32, "mode": 1},
    ],
    ids=str,
)
def test_a_malformed_entry_is_refused(entry: object):
    document = {"files": {"a": entry}, "format": "attestrain.dev/bundle@v1", "run": RUN.hex()}
    with pytest.raises(FormatError):
        Manifest.from_bytes(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_a_bundle_hands_out_what_its_manifest_names(folder: Path):
    bundle = Bundle(FolderFiles(folder))
    assert bundle.manifest.run == RUN
    assert sorted(bundle.manifest.files) == ["a/one.bin", "two.json"]
    assert bundle.read("a/one.bin") == b"one"
    assert "two.json" in bundle
    assert MANIFEST not in bundle


def test_an_unlisted_file_is_not_handed_out(folder: Path):
    (folder / "three").write_bytes(b"3")
    with pytest.raises(FormatError, match="not in the manifest"):
        Bundle(FolderFiles(folder)).read("three")
    assert set(FolderFiles(folder).paths()) == {"a/one.bin", "two.json", "three", MANIFEST}


@pytest.mark.parametrize(
    ("data", "words"), [(b"0ne", "not the file"), (b"on", "has 2 bytes, not 3"), (b"one!", "has 4 bytes, not 3")]
)
def test_a_changed_file_is_not_handed_out(folder: Path, data: bytes, words: str):
    (folder / "a/one.bin").write_bytes(data)
    with pytest.raises(FormatError, match=words):
        Bundle(FolderFiles(folder)).read("a/one.bin")


def test_a_missing_file_is_missing(folder: Path):
    (folder / "two.json").unlink()
    with pytest.raises(FormatError, match="is missing"):
        Bundle(FolderFiles(folder)).read("two.json")
    (folder / MANIFEST).unlink()
    with pytest.raises(FormatError, match="is missing"):
        Bundle(FolderFiles(folder))


def test_a_link_to_a_file_is_refused(folder: Path):
    (folder / "a/one.bin").rename(folder.parent / "one.bin")
    (folder / "a/one.bin").symlink_to(folder.parent / "one.bin")
    files = FolderFiles(folder)
    with pytest.raises(FormatError, match="symbolic link"):
        files.read("a/one.bin")
    with pytest.raises(FormatError, match="not a plain file"):
        list(files.paths())


def test_a_link_to_a_folder_is_refused(folder: Path):
    (folder / "a").rename(folder.parent / "outside")
    (folder / "a").symlink_to(folder.parent / "outside")
    files = FolderFiles(folder)
    with pytest.raises(FormatError, match="symbolic link"):
        files.read("a/one.bin")
    with pytest.raises(FormatError, match="symbolic link"):
        files.size("a/one.bin")
    with pytest.raises(FormatError, match="not a plain file"):
        list(files.paths())


def test_a_bundle_may_itself_be_reached_through_a_link(folder: Path):
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert Bundle(FolderFiles(link)).read("a/one.bin") == b"one"


def test_a_pipe_is_refused(folder: Path):
    os.mkfifo(folder / "pipe")
    with pytest.raises(FormatError):
        FolderFiles(folder).read("pipe")
    with pytest.raises(FormatError, match="not a plain file"):
        list(FolderFiles(folder).paths())


def test_files_in_memory_behave_as_files_in_a_folder(folder: Path):
    memory = MemoryFiles({path: FolderFiles(folder).read(path) for path in FolderFiles(folder).paths()})
    assert make_manifest(RUN, memory) == make_manifest(RUN, FolderFiles(folder))
    assert Bundle(memory).read("a/one.bin") == b"one"
    with pytest.raises(FormatError, match="is missing"):
        memory.size("none")


def test_a_manifest_does_not_name_itself():
    files = MemoryFiles({MANIFEST: b"old", "a": b"1"})
    assert list(make_manifest(RUN, files).files) == ["a"]
