"""Strangers who send rubbish: bounded, named, never a traceback."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attestrain.record.blob import blob_ref
from attestrain.record.bundle import DATASET, MANIFEST, MODEL, SPEC, Files, MemoryFiles
from attestrain.record.canonical import canonical, parse
from attestrain.record.trace import Trace
from attestrain.update.header import HEADER_SIZE
from attestrain.verify.checks import VerificationError
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify, verify_folder
from tests.attacks.world import World, cover, honest_world, tiny_spec

DEEP = b'{"a":' * 50_000
HUGE_NUMBER = b'{"format":' + b"9" * 50_000 + b"}"


def with_file(path: str, data: bytes) -> Verdict:
    """The verdict on the honest bundle with one file put in place of another, under its own digest."""
    files, policy = honest_world()
    manifest = parse(files[MANIFEST])
    manifest["files"][path] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return verify(MemoryFiles({**files, MANIFEST: canonical(manifest), path: data}), policy)


PLACES = [
    (MANIFEST, 0),
    (SPEC, 1),
    ("transcript/checkpoint", 2),
    ("transcript/tile/entries/000.p/42", 2),
    ("transcript/tile/0/000.p/42", 2),
    ("traces/000001/0001.json", 4),
    ("updates/000001/0001.bin", 4),
    (DATASET, 6),
    ("dataset/train.leaves", 6),
    (MODEL, 11),
    ("data/train.tokens", 0),
]


@pytest.mark.parametrize(("path", "claim"), PLACES)
@pytest.mark.parametrize("data", [b"", b"\x00", DEEP, HUGE_NUMBER, b"\xff\xfe", b"[]", b"{}", b'{"a":1e400}', b"{" * 9])
def test_rubbish_in_any_place_fails_the_claim_of_that_place(path: str, claim: int, data: bytes) -> None:
    assert path in honest_world()[0]
    verdict = with_file(path, data)
    assert verdict.outcome is Outcome.REFUTED
    assert claim in verdict.failed_claims


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/passwd", "a/../../b", "a//b", ".hidden", "a/.git/config", "", "a\x00b", "x" * 300, "ü"]
)
def test_paths_that_could_leave_the_bundle_are_refused(path: str) -> None:
    files, policy = honest_world()
    manifest = parse(files[MANIFEST])
    manifest["files"][path] = {"size": 0, "sha256": "0" * 64}
    files[MANIFEST] = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert verify(files, policy).failed_claims == (0,)


@pytest.mark.parametrize("path", ["README.md", "model/config.json", "traces/1/1.json", "states/x.bin", "transcript/x"])
def test_a_file_that_no_claim_looks_at_has_no_place_in_a_bundle(path: str) -> None:
    verdict = with_file(path, b"believe me")
    assert verdict.failed_claims == (0,)
    assert any(f"{path} has no place" in check.detail for check in verdict.checks)


@pytest.mark.parametrize(
    ("path", "claim"),
    [("traces/000009/0001.json", 4), ("updates/000001/0009.bin", 4), (f"environments/{'0' * 64}.json", 3)],
)
def test_a_file_that_belongs_to_nothing_is_refuted(path: str, claim: int) -> None:
    assert claim in with_file(path, b"{}").failed_claims


@pytest.mark.parametrize("size", [-1, 1 << 60, 1.5, "1", True, None])
def test_sizes_in_the_manifest_are_bounded(size: object) -> None:
    files, policy = honest_world()
    manifest = parse(files[MANIFEST])
    manifest["files"][MODEL]["size"] = size
    files[MANIFEST] = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    assert 0 in verify(files, policy).failed_claims


class Counting:
    """Files that remember how many bytes were asked for."""

    def __init__(self, files: MemoryFiles, sizes: dict[str, int]) -> None:
        self.files, self.sizes, self.read_bytes = files, sizes, 0
        self.paths: Callable[[], object] = files.paths

    def size(self, path: str) -> int:
        return self.sizes.get(path, self.files.size(path))

    def read(self, path: str) -> bytes:
        self.read_bytes += self.size(path)
        return self.files.read(path)


@pytest.mark.parametrize("path", [MANIFEST, "traces/000000/0000.json", SPEC, DATASET, "transcript/checkpoint"])
def test_files_larger_than_their_place_allows_are_not_read(path: str) -> None:
    files, policy = honest_world()
    if path != MANIFEST:
        manifest = parse(files[MANIFEST])
        manifest["files"][path]["size"] = 1 << 30
        files[MANIFEST] = canonical(manifest)
    counting = Counting(files, {path: 1 << 30})
    found: Files = counting  # type: ignore[assignment]
    verdict = verify(found, policy)
    assert 0 in verdict.failed_claims
    assert counting.read_bytes < 1 << 20


def test_a_spec_of_a_trillion_parameters_allocates_nothing() -> None:
    files, _ = honest_world()
    spec = parse(files[SPEC])
    spec["layout"][0]["shape"] = [1 << 20, 1 << 19]
    spec["state"]["params"] = spec["state"]["ef"] = 4 * ((1 << 39) + 312)
    files[SPEC] = canonical(spec)
    verdict = verify(cover(files))
    assert verdict.outcome is Outcome.REFUTED


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    files, policy = honest_world()
    folder = write(files, tmp_path / "bundle")
    outside = tmp_path / "outside"
    (folder / MODEL).rename(outside)
    os.symlink(outside, folder / MODEL)
    verdict = verify_folder(folder, policy)
    assert verdict.outcome is Outcome.REFUTED
    assert 0 in verdict.failed_claims


def test_names_that_no_terminal_can_show_are_escaped(tmp_path: Path) -> None:
    files, policy = honest_world()
    folder = write(files, tmp_path / "bundle")
    (folder / os.fsdecode(b"\xff\x1b[31m")).write_bytes(b"")
    verdict = verify_folder(folder, policy)
    assert 0 in verdict.failed_claims
    assert all(check.detail.isascii() and check.detail.isprintable() for check in verdict.checks)


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, Path.touch])
def test_what_is_not_a_bundle_is_the_one_error_that_leaves_verify(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")
    with pytest.raises(VerificationError, match="is not a bundle"):
        verify_folder(tmp_path / "x")


def test_files_that_cannot_be_read_are_that_error_too() -> None:
    class Failing(MemoryFiles):
        def read(self, path: str) -> bytes:
            raise PermissionError(13, "denied", path)

    with pytest.raises(VerificationError, match="cannot be read"):
        verify(Failing(honest_world()[0]))


def test_monstrous_updates_end_in_a_verdict() -> None:
    def edit(trace: Trace, update: bytes) -> tuple[Trace, bytes]:
        values = np.full((len(update) - HEADER_SIZE) // 4, 3e38, "<f4").tobytes()
        monster = update[:HEADER_SIZE] + values
        return replace(trace, update=blob_ref(monster)), monster

    world = World(tiny_spec(codec="dense"), edit=edit)
    assert verify(world.play().files, world.policy).outcome in Outcome


def write(files: MemoryFiles, folder: Path) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder
