"""Whatever a stranger hands over to be inspected, the answer is facts or an error with a message, never a traceback."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attestrain.errors import AttestrainError
from attestrain.report.artefacts import describe
from attestrain.report.folders import describe_folder
from tests.attacks.world import honest_world

SAMPLES = sorted(
    path
    for path in honest_world()[0]
    if path.startswith(("manifest", "spec", "dataset/manifest", "model", "transcript"))
    or path.endswith(("000001/0001.json", "000001/0001.bin"))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artefacts")


def inspect(folder: Path, data: bytes) -> None:
    path = folder / "thing"
    path.write_bytes(data)
    with contextlib.suppress(AttestrainError):
        json.dumps(describe(path))


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(SAMPLES), at=st.integers(0, 1 << 16), new=st.binary(max_size=4), cut=st.integers(0, 1 << 16)
)
def test_damaged_artefacts(folder: Path, path: str, at: int, new: bytes, cut: int) -> None:
    data = honest_world()[0][path]
    at, cut = at % len(data), cut % len(data)
    inspect(folder, data[:at] + new + data[at + len(new) :])
    inspect(folder, data[:cut])
    inspect(folder, data + new)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_arbitrary_bytes(folder: Path, data: bytes) -> None:
    inspect(folder, data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100)
@given(path=st.sampled_from([path for path in SAMPLES if path.endswith(".json")]), value=VALUES, data=st.data())
def test_documents_with_a_field_of_another_kind(folder: Path, path: str, value: object, data: st.DataObject) -> None:
    document = json.loads(honest_world()[0][path])
    document[data.draw(st.sampled_from(sorted(document)))] = value
    inspect(folder, json.dumps(document).encode())


def test_dates_in_settings(folder: Path) -> None:
    (folder / "dates.toml").write_text("at = 2026-11-22T10:00:00Z")
    assert describe(folder / "dates.toml")["at"] == "2026-11-22 10:00:00+00:00"


@pytest.mark.parametrize("name", ["manifest.json", "events.jsonl"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"format":"attestrain.dev/bundle@v1"}\n', b"{" * 9999])
def test_folders_with_a_broken_heart(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with contextlib.suppress(AttestrainError):
        json.dumps(describe_folder(tmp_path))
