"""What one worker did in one round: the trace, its segments, the states between them.

The trace opens with *adopt* (previous state and checkpoint to first state-in), goes through the inner segments and ends
with *compress* (last state and error feedback to the update). States are named by a Merkle root over named components,
so that what moved between two segments can be checked component by component without any tensor at hand.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record import merkle
from attestrain.record.blob import BlobRef
from attestrain.record.canonical import Json, canonical, parse
from attestrain.record.digest import Digest, tagged
from attestrain.record.fields import Fields
from attestrain.record.names import Branch, Round, RunId, Worker
from attestrain.record.spec import (
    MAX_COMPONENT_NAME,
    MAX_COMPONENTS,
    MAX_ROUNDS,
    MAX_STEPS,
    MAX_WORKERS,
    is_component,
)

FORMAT = "attestrain.dev/trace@v1"
KINDS = ("adopt", "inner", "compress")
MAX_SEGMENTS = MAX_STEPS + 2
MAX_TRACE = 8 << 20
"""Largest trace document: ten thousand steps in segments of one."""

_STEP = struct.Struct(">32sIII")

StateRefs = Mapping[str, BlobRef]
"""A state by name: component to content address."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One inner step: digest of its batch, and the float32 bits of loss, gradient norm and learning rate."""

    batch: Digest
    loss: int
    grad_norm: int
    rate: int

    def to_bytes(self) -> bytes:
        """44 bytes, big-endian: the leaf that the steps root is built over."""
        return _STEP.pack(self.batch, self.loss, self.grad_norm, self.rate)

    @classmethod
    def from_hex(cls, text: object) -> StepRecord:
        """Read a record from a trace document.

        Raises:
            FormatError: not 88 lower-case hexadecimal digits.
        """
        if not isinstance(text, str) or len(text) != 2 * _STEP.size or text != text.lower():
            raise FormatError("a step record is 88 lower-case hexadecimal digits")
        try:
            batch, loss, grad_norm, rate = _STEP.unpack(bytes.fromhex(text))
        except (ValueError, struct.error) as error:
            raise FormatError("a step record is 88 lower-case hexadecimal digits") from error
        return cls(Digest(batch), loss, grad_norm, rate)


@dataclass(frozen=True, slots=True)
class Segment:
    """A few consecutive steps, or the adopting or compressing at either end of a round."""

    kind: str
    steps: tuple[StepRecord, ...] = ()

    @property
    def steps_root(self) -> Digest:
        """RFC 6962 root over the step records."""
        return merkle.root([step.to_bytes() for step in self.steps])


def state_root(state: StateRefs) -> Digest:
    """Root of a state: RFC 6962 over its components in the order of their names.

    A leaf is the u16 length of the name, the name in ASCII, the u64 size and the component's blob root, big-endian.
    """
    leaves = []
    for name in sorted(state):
        encoded = name.encode("ascii")
        leaves.append(
            struct.pack(">H", len(encoded)) + encoded + struct.pack(">Q", state[name].size) + state[name].root
        )
    return merkle.root(leaves)


def segment_leaf(index: int, segment: Segment, state_in: Digest, state_out: Digest) -> bytes:
    """Leaf of the trace: u8 kind, u32 index, state-in root, state-out root, steps root (101 bytes, big-endian)."""
    head = struct.pack(">BI", KINDS.index(segment.kind), index)
    return head + state_in + state_out + segment.steps_root


def result_digest(segment: Segment, state_out: Digest, update: BlobRef | None) -> Digest:
    """What a segment produced, in one digest: the state it left, its step records and, for compress, the update."""
    name = b"" if update is None else update.root + struct.pack(">Q", update.size)
    return tagged("attestrain.dev/segment-result@v1", segment.kind.encode(), state_out, segment.steps_root, name)


@dataclass(frozen=True, slots=True)
class Trace:
    """A worker-round. ``states`` has one entry more than ``segments``: segment i leads from state i to state i+1."""

    run: RunId
    branch: Branch
    round: Round
    worker: Worker
    states: tuple[StateRefs, ...]
    segments: tuple[Segment, ...]
    update: BlobRef

    def state_roots(self) -> list[Digest]:
        """Root of every state, in order."""
        return [state_root(state) for state in self.states]

    @property
    def root(self) -> Digest:
        """RFC 6962 root over the segment leaves: what the receipt signs."""
        return self.root_over(self.state_roots())

    def root_over(self, roots: list[Digest]) -> Digest:
        """`root`, for a caller who has the `state_roots` already."""
        pairs = zip(self.segments, roots[:-1], roots[1:], strict=True)
        return merkle.root([segment_leaf(i, segment, a, b) for i, (segment, a, b) in enumerate(pairs)])

    def result(self, index: int) -> Digest:
        """Result digest of segment ``index`` as this trace claims it."""
        segment = self.segments[index]
        update = self.update if segment.kind == "compress" else None
        return result_digest(segment, state_root(self.states[index + 1]), update)

    def to_bytes(self) -> bytes:
        """Canonical document."""
        return canonical(
            {
                "format": FORMAT,
                "run": self.run.hex(),
                "branch": self.branch,
                "round": self.round,
                "worker": self.worker,
                "states": [{name: ref.to_json() for name, ref in state.items()} for state in self.states],
                "segments": [
                    {"kind": segment.kind, "steps": [step.to_bytes().hex() for step in segment.steps]}
                    for segment in self.segments
                ],
                "update": self.update.to_json(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Trace:
        """Read a trace strictly.

        Raises:
            FormatError: malformed, out of bounds, or not one state more than segments.
        """
        keys = ("format", "run", "branch", "round", "worker", "states", "segments", "update")
        fields = Fields(parse(data, max_bytes=MAX_TRACE), keys, "trace")
        fields.constant("format", FORMAT)
        states = tuple(_read_state(item) for item in fields.array("states", max_length=MAX_SEGMENTS + 1))
        segments = tuple(_read_segment(item) for item in fields.array("segments", max_length=MAX_SEGMENTS))
        if len(states) != len(segments) + 1:
            raise FormatError(f"trace has {len(segments)} segments between {len(states)} states")
        return cls(
            run=RunId(fields.digest("run")),
            branch=Branch(fields.integer("branch", 0, MAX_ROUNDS)),
            round=Round(fields.integer("round", 0, MAX_ROUNDS)),
            worker=Worker(fields.integer("worker", 0, MAX_WORKERS)),
            states=states,
            segments=segments,
            update=BlobRef.from_json(fields.object("update")),
        )


def _read_state(value: Json) -> StateRefs:
    if not isinstance(value, dict) or not 0 < len(value) <= MAX_COMPONENTS:
        raise FormatError("a state is an object of one or more components")
    if not all(is_component(name) for name in value):
        raise FormatError(f"a state names a component in other than 1 to {MAX_COMPONENT_NAME} printable characters")
    return {name: BlobRef.from_json(item) for name, item in value.items()}


def _read_segment(value: Json) -> Segment:
    fields = Fields(value, ("kind", "steps"), "trace.segment")
    steps = tuple(StepRecord.from_hex(item) for item in fields.array("steps", max_length=MAX_STEPS))
    return Segment(fields.choice("kind", KINDS), steps)
