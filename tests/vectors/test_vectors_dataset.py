from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from attestrain.record.canonical import canonical
from attestrain.record.dataset import DatasetManifest
from tests.vectors.make_dataset import TARGET, make

STORED = json.loads(TARGET.read_text())


def test_our_code_still_makes_the_stored_vectors():
    assert make() == STORED


def test_a_leaf_follows_from_the_written_layout_alone():
    def tagged(tag: bytes, *parts: bytes) -> bytes:
        lengths = b"".join(struct.pack(">Q", len(part)) + part for part in parts)
        return hashlib.sha256(struct.pack(">I", len(tag)) + tag + lengths).digest()

    for case in STORED["sequences"]:
        index = struct.pack(">Q", case["index"])
        salt = tagged(b"attestrain.dev/salt@v1", bytes.fromhex(case["dataset_salt"]), case["split"].encode(), index)
        leaf = tagged(b"attestrain.dev/sequence@v1", salt, bytes.fromhex(case["tokens"]))
        assert (salt.hex(), leaf.hex()) == (case["salt"], case["leaf"])


def test_stored_manifests_read_back_to_their_digests():
    for case in STORED["manifests"]:
        assert DatasetManifest.from_json(case["manifest"]).digest.hex() == case["digest"]


def test_the_specification_shows_the_manifest_of_the_slice_verbatim():
    text = (Path(__file__).parents[2] / "spec/dataset.md").read_text()
    assert canonical(STORED["manifests"][1]["manifest"]).decode() in text
