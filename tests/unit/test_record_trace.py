from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from attestrain.errors import FormatError
from attestrain.record.blob import MAX_BLOB, BlobRef, blob_ref
from attestrain.record.digest import sha256
from attestrain.record.merkle import EMPTY_ROOT
from attestrain.record.trace import (
    KINDS,
    MAX_SEGMENTS,
    Segment,
    StepRecord,
    Trace,
    result_digest,
    segment_leaf,
    state_root,
)
from tests.vectors.make_trace import make_trace, step

TRACE = make_trace()
DOCUMENT = json.loads(TRACE.to_bytes())
OTHER = blob_ref(b"other")


def spelled(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def with_state(index: int, **components: BlobRef) -> Trace:
    states = list(TRACE.states)
    states[index] = {**states[index], **components}
    return replace(TRACE, states=tuple(states))


def with_step(record: StepRecord) -> Trace:
    segments = list(TRACE.segments)
    segments[1] = Segment("inner", (record, segments[1].steps[1]))
    return replace(TRACE, segments=tuple(segments))


def test_a_trace_reads_back():
    assert Trace.from_bytes(TRACE.to_bytes()) == TRACE
    assert Trace.from_bytes(TRACE.to_bytes()).root == TRACE.root == TRACE.root_over(TRACE.state_roots())


def test_the_root_covers_every_state_every_step_every_kind_and_their_order():
    record = TRACE.segments[1].steps[0]
    changed = [with_state(index, **{name: OTHER}) for index in range(5) for name in TRACE.states[0]]
    changed += [with_state(2, params=BlobRef(TRACE.states[2]["params"].root, 18))]
    changed += [with_step(replace(record, batch=sha256(b"x")))]
    changed += [with_step(replace(record, **{part: 7})) for part in ("loss", "grad_norm", "rate")]
    a, b, c, d = TRACE.segments
    for segments in (
        (a, c, b, d),
        (b, b, c, d),
        (a, Segment("inner", b.steps[::-1]), c, d),
        (a, b, c, Segment("adopt")),
    ):
        changed.append(replace(TRACE, segments=segments))
    changed += [replace(TRACE, segments=TRACE.segments[:-1], states=TRACE.states[:-1])]
    assert len({TRACE.root, *(trace.root for trace in changed)}) == len(changed) + 1


def test_a_state_root_covers_names_sizes_and_roots():
    base = {"a": blob_ref(b"1"), "b": blob_ref(b"2")}
    others = [
        {"a": blob_ref(b"2"), "b": blob_ref(b"1")},
        {"a": blob_ref(b"1")},
        {"a": blob_ref(b"1"), "c": blob_ref(b"2")},
        {"a": BlobRef(base["a"].root, 2), "b": base["b"]},
        {**base, "c": blob_ref(b"")},
        {"ab": blob_ref(b"1"), "b": blob_ref(b"2")},
    ]
    assert state_root(dict(reversed(base.items()))) == state_root(base)
    assert len({state_root(state) for state in [base, *others]}) == 7


def test_components_with_equal_bytes_are_told_apart_by_name():
    same = blob_ref(b"0" * 100)
    assert state_root({"m": same, "v": OTHER}) != state_root({"m": OTHER, "v": same})


def test_a_step_record_is_44_bytes():
    record = step(0)
    data = record.to_bytes()
    assert len(data) == 44
    assert data[:32] == record.batch
    assert data[32:] == bytes.fromhex("408000003f8000003a83126f")
    assert StepRecord.from_hex(data.hex()) == record


@pytest.mark.parametrize(
    "text",
    [None, 1, "", "00" * 43, "00" * 45, "AA" * 44, "zz" * 44, "0x" + "0" * 86, " " * 88, "00 " * 29 + "0", "٠" * 88],
)
def test_a_malformed_step_record_is_refused(text: object):
    with pytest.raises(FormatError):
        StepRecord.from_hex(text)


def test_a_segment_without_steps_has_the_empty_root():
    assert Segment("adopt").steps_root == EMPTY_ROOT
    assert Segment("inner", (step(0),)).steps_root != EMPTY_ROOT


def test_a_segment_leaf_is_101_bytes_and_covers_everything():
    segment, a, b = TRACE.segments[1], sha256(b"a"), sha256(b"b")
    leaf = segment_leaf(1, segment, a, b)
    assert len(leaf) == 101
    others = [
        segment_leaf(2, segment, a, b),
        segment_leaf(1, segment, b, a),
        segment_leaf(1, replace(segment, kind="compress"), a, b),
        segment_leaf(1, replace(segment, steps=segment.steps[:1]), a, b),
    ]
    assert len({leaf, *others}) == 5


def test_a_result_covers_kind_state_steps_and_update():
    state, segment = sha256(b"state"), TRACE.segments[1]
    results = {
        result_digest(segment, state, None),
        result_digest(replace(segment, kind="compress"), state, None),
        result_digest(segment, sha256(b"x"), None),
        result_digest(replace(segment, steps=()), state, None),
        result_digest(segment, state, OTHER),
        result_digest(segment, state, BlobRef(OTHER.root, OTHER.size + 1)),
    }
    assert len(results) == 6


def test_only_compress_names_the_update_in_its_result():
    other = replace(TRACE, update=OTHER)
    assert [TRACE.result(i) == other.result(i) for i in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("field", sorted(DOCUMENT))
def test_a_missing_field_is_refused(field: str):
    with pytest.raises(FormatError, match="unknown or missing"):
        Trace.from_bytes(spelled({key: value for key, value in DOCUMENT.items() if key != field}))


REF: dict[str, Any] = {"root": "00" * 32, "size": 1}
WRONG: list[tuple[str, object]] = [
    ("format", "attestrain.dev/trace@v2"),
    ("run", "00" * 31),
    ("branch", -1),
    ("branch", True),
    ("round", 1_000_001),
    ("round", 1.0),
    ("worker", 10_001),
    ("worker", "2"),
    ("states", {}),
    ("states", []),
    ("states", DOCUMENT["states"][:-1]),
    ("states", [*DOCUMENT["states"], DOCUMENT["states"][0]]),
    ("states", [{}] * 5),
    ("states", [[]] * 5),
    ("states", [{"": REF}] * 5),
    ("states", [{"x" * 65: REF}] * 5),
    ("states", [{"opt.\x1b[31m": REF}] * 5),
    ("states", [{"päram": REF}] * 5),
    ("states", [{f"c{i}": REF for i in range(65)}] * 5),
    ("states", [{"a": REF | {"size": MAX_BLOB + 1}}] * 5),
    ("states", [{"a": REF | {"size": -1}}] * 5),
    ("states", [{"a": REF | {"size": 1.5}}] * 5),
    ("states", [{"a": REF | {"root": "AA" * 32}}] * 5),
    ("states", [{"a": {"root": "00" * 32}}] * 5),
    ("segments", [{"kind": "inner"}] * 4),
    ("segments", [{"kind": "skip", "steps": []}] * 4),
    ("segments", [{"kind": 1, "steps": []}] * 4),
    ("segments", [{"kind": ["inner"], "steps": []}] * 4),
    ("segments", [{"kind": "inner", "steps": ["00"]}] * 4),
    ("segments", [{"kind": "inner", "steps": ["00" * 44] * 10_001}] * 4),
    ("segments", [{"kind": "inner", "steps": [], "note": 1}] * 4),
    ("segments", [{"kind": "inner", "steps": []}] * (MAX_SEGMENTS + 1)),
    ("update", None),
    ("update", REF | {"size": 2**53}),
    ("update", REF | {"more": 1}),
    ("note", "x"),
]


@pytest.mark.parametrize(("field", "value"), WRONG, ids=[f"{field}-{i}" for i, (field, _) in enumerate(WRONG)])
def test_a_wrong_field_is_refused(field: str, value: object):
    with pytest.raises(FormatError):
        Trace.from_bytes(spelled(DOCUMENT | {field: value}))


def test_all_kinds_can_be_read():
    assert {segment["kind"] for segment in DOCUMENT["segments"]} == set(KINDS)
