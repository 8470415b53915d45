from __future__ import annotations

import json

import pytest

from attestrain.errors import FormatError
from attestrain.record.blob import blob_ref
from attestrain.record.digest import Digest
from attestrain.record.merkle import leaf_hash, root, verify_consistency, verify_inclusion
from attestrain.record.note import open_checkpoint, parse_vkey
from attestrain.record.proof import verify_proof
from tests.vectors.make_transcript import FOLDER, KEY, MAKERS, entry

STORED = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in MAKERS}
SPEC = FOLDER.parent / "spec"


def digests(texts: list[str]) -> list[Digest]:
    return [Digest(bytes.fromhex(text)) for text in texts]


@pytest.mark.parametrize("name", MAKERS)
def test_our_code_still_makes_the_stored_vectors(name):
    assert MAKERS[name]() == STORED[name]


def test_stored_notes_verify_or_are_refused():
    key = parse_vkey(STORED["note"]["vkey"])
    head = open_checkpoint(STORED["note"]["checkpoint"].encode(), key)
    assert (head.size, head.root) == (5, root([entry(i) for i in range(5)]))
    assert open_checkpoint(STORED["note"]["also_signed_by_a_stranger"].encode(), key) == head
    for case in STORED["note"]["refused"]:
        with pytest.raises(FormatError):
            open_checkpoint(case["note"].encode(), key)


@pytest.mark.parametrize("tree", STORED["transcript"]["trees"], ids=lambda tree: str(tree["size"]))
def test_stored_proofs_verify(tree):
    size = tree["size"]
    (head,) = digests([tree["root"]])
    for index, path in tree["inclusion"].items():
        assert verify_inclusion(leaf_hash(entry(int(index))), int(index), size, digests(path), head)
    for old, path in tree["consistency"].items():
        before = root([entry(i) for i in range(int(old))])
        assert verify_consistency(int(old), size, before, head, digests(path))
    assert verify_proof(tree["proof"].encode(), entry(size - 1), KEY.verifier)[0] == size - 1


def test_stored_references_name_their_data():
    for reference in STORED["blob"]["references"]:
        assert blob_ref(bytes(i % 251 for i in range(reference["size"]))).to_json() == reference


def test_the_specifications_show_stored_artefacts_verbatim():
    assert STORED["note"]["vkey"] in (SPEC / "note.md").read_text()
    assert STORED["note"]["checkpoint"] in (SPEC / "note.md").read_text()
    text = (SPEC / "transcript.md").read_text()
    assert STORED["transcript"]["trees"][3]["proof"] in text
    assert all(path in text for path in STORED["transcript"]["trees"][7]["files"])
    reference = json.dumps(STORED["blob"]["references"][-1], separators=(",", ":"))
    assert reference in (SPEC / "blob.md").read_text()
