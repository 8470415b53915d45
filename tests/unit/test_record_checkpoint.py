from __future__ import annotations

import json
from dataclasses import replace

import pytest

from attestrain.errors import FormatError
from attestrain.record.blob import blob_ref
from attestrain.record.checkpoint import MAX_CHECKPOINT, CheckpointRecord
from attestrain.record.digest import sha256
from attestrain.record.names import Branch, Round, RunId

RECORD = CheckpointRecord(RunId(sha256(b"run")), Branch(0), Round(3), blob_ref(b"params"), blob_ref(b"momentum"))
DOCUMENT = json.loads(RECORD.to_bytes())


def spelled(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def test_a_checkpoint_reads_back_under_its_digest():
    read = CheckpointRecord.from_bytes(RECORD.to_bytes())
    assert read == RECORD
    assert read.digest == RECORD.digest == sha256(RECORD.to_bytes())


def test_every_field_is_part_of_the_digest():
    others = [
        replace(RECORD, run=RunId(sha256(b"x"))),
        replace(RECORD, branch=Branch(1)),
        replace(RECORD, round=Round(4)),
        replace(RECORD, params=blob_ref(b"x")),
        replace(RECORD, momentum=blob_ref(b"x")),
        replace(RECORD, params=RECORD.momentum, momentum=RECORD.params),
    ]
    assert len({RECORD.digest, *(other.digest for other in others)}) == 7


@pytest.mark.parametrize("field", sorted(DOCUMENT))
def test_a_missing_or_wrong_field_is_refused(field: str):
    with pytest.raises(FormatError, match="unknown or missing"):
        CheckpointRecord.from_bytes(spelled({key: value for key, value in DOCUMENT.items() if key != field}))
    for wrong in (None, True, -1, 1.5, 2**53, "x", [], {}, {"root": "00" * 32}, {"root": "00" * 32, "size": -1}):
        with pytest.raises(FormatError):
            CheckpointRecord.from_bytes(spelled(DOCUMENT | {field: wrong}))


def test_superfluous_fields_other_spellings_and_long_documents_are_refused():
    data = RECORD.to_bytes()
    for wrong in (spelled(DOCUMENT | {"note": 1}), data + b"\n", b" " * (MAX_CHECKPOINT + 1), b""):
        with pytest.raises(FormatError):
            CheckpointRecord.from_bytes(wrong)
