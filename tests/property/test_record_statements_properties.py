from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.blob import MAX_BLOB, BlobRef
from attestrain.record.bundle import Manifest, check_path
from attestrain.record.canonical import canonical
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.digest import Digest
from attestrain.record.fields import is_decimal
from attestrain.record.names import SOLIDITY, Branch, Round, RunId, Worker
from attestrain.record.plan import Plan
from attestrain.record.spec import RunSpec
from attestrain.record.statements import KINDS, Signed, sign
from attestrain.record.trace import KINDS as SEGMENTS
from attestrain.record.trace import Segment, StepRecord, Trace, state_root
from tests.vectors.make_trace import make_trace
from tests.vectors.make_update import adaptive_spec
from tests.vectors.stories import chain_story
from tests.vectors.teller import key, make_spec

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
digests = st.binary(min_size=32, max_size=32).map(Digest)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "bytes32": digests,
    "uint32": st.integers(0, 2**32 - 1),
    "uint64": st.integers(0, 2**53 - 1),
    "address": st.binary(min_size=20, max_size=20).map(lambda value: "0x" + value.hex()),
    "string": printable,
}
statements = st.sampled_from(list(KINDS.values())).flatmap(
    lambda kind: st.builds(kind, **{field.name: VALUES[SOLIDITY[str(field.type)]] for field in fields(kind)})
)
refs = st.builds(BlobRef, digests, st.integers(0, MAX_BLOB))
names = printable.filter(bool)
states = st.dictionaries(names, refs, min_size=1, max_size=4)
u32 = st.integers(0, 2**32 - 1)
segments = st.builds(
    Segment, st.sampled_from(SEGMENTS), st.lists(st.builds(StepRecord, digests, u32, u32, u32), max_size=3).map(tuple)
)
ENTRY = next(item for item in chain_story().said if type(item.statement).__name__ == "Receipt").signed


@settings(max_examples=60)
@given(statements)
def test_every_statement_reads_back(statement: Any):
    signed = sign(statement, key("anybody"))
    read = Signed.from_bytes(signed.to_bytes())
    assert read == signed
    assert read.to_bytes() == signed.to_bytes()
    assert read.signer() == key("anybody").address


@settings(max_examples=200)
@given(st.integers(0, len(ENTRY.to_bytes()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_shows_in_the_signer(at: int, change: int):
    data = bytearray(ENTRY.to_bytes())
    data[at] ^= change
    try:
        signer = Signed.from_bytes(bytes(data)).signer()
    except FormatError:
        return
    assert signer != ENTRY.signer()


@settings(max_examples=60)
@given(st.lists(st.tuples(segments, states), min_size=0, max_size=4), states, refs, st.integers(0, 10_000))
def test_every_trace_reads_back(
    parts: list[tuple[Segment, dict[str, BlobRef]]], first: Any, update: BlobRef, worker: int
):
    run = RunId(Digest(bytes(32)))
    after, kinds = tuple(state for _, state in parts), tuple(segment for segment, _ in parts)
    trace = Trace(run, Branch(0), Round(0), Worker(worker), (first, *after), kinds, update)
    read = Trace.from_bytes(trace.to_bytes())
    assert read == trace
    assert read.root == trace.root


@given(states, states)
def test_different_states_have_different_roots(first: dict[str, BlobRef], second: dict[str, BlobRef]):
    assert (state_root(first) == state_root(second)) == (first == second)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**54), 2**54) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
RUN, REF = RunId(Digest(bytes(32))), BlobRef(Digest(bytes(32)), 1)
PLANNED = CheckpointRecord(RUN, Branch(0), Round(0), REF, REF, plan=Plan((9, 7), (8, 7)))
DOCUMENTS = [
    (Signed.from_bytes, json.loads(ENTRY.to_bytes())),
    (RunSpec.from_bytes, json.loads(make_spec().to_bytes())),
    (Trace.from_bytes, json.loads(make_trace().to_bytes())),
    (CheckpointRecord.from_bytes, json.loads(CheckpointRecord(RUN, Branch(0), Round(0), REF, REF).to_bytes())),
    (CheckpointRecord.from_bytes, json.loads(PLANNED.to_bytes())),
    (RunSpec.from_bytes, json.loads(adaptive_spec().to_bytes())),
    (Manifest.from_bytes, json.loads(Manifest(RUN, {}).to_bytes())),
]


def slots(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a document with each of its keys."""
    children = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, name) for name, _ in children] + [slot for _, item in children for slot in slots(item)]


@settings(max_examples=200)
@given(st.sampled_from(DOCUMENTS), st.data(), json_values)
def test_readers_refuse_or_read_back_whatever_stands_in_a_document(case: Any, data: st.DataObject, value: Any):
    read, document = case
    document = json.loads(json.dumps(document))
    container, name = data.draw(st.sampled_from(slots(document)))
    container[name] = value
    spelled = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )
    try:
        made = read(spelled)
    except FormatError:
        return
    assert made.to_bytes() == spelled


@given(st.binary(max_size=200))
def test_readers_refuse_noise(noise: bytes):
    for read, _ in DOCUMENTS:
        try:
            read(noise)
        except FormatError:
            continue
        raise AssertionError("noise was read")


@given(st.text(max_size=12))
def test_a_path_that_is_accepted_stays_inside(path: str):
    try:
        check_path(path)
    except FormatError:
        return
    assert not path.startswith("/")
    assert all(part and not part.startswith(".") for part in path.split("/"))


@given(st.text(max_size=12))
def test_a_decimal_has_a_value_and_one_canonical_text(text: str):
    if is_decimal(text):
        assert float(text) == float(text)
        assert canonical({"value": text}) == f'{{"value":"{text}"}}'.encode()
