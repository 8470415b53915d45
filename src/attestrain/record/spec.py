"""The run spec: everything that decides what a run computes, in one document whose hash is the run's name.

Keys, hosts and money are not in it: the same spec trained twice gives the same checkpoints.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, Json, canonical, parse
from attestrain.record.digest import Digest, sha256
from attestrain.record.fields import Fields, is_decimal
from attestrain.record.layout import MAX_PARAMETERS, MAX_TENSORS, Layout
from attestrain.record.names import RunId

FORMAT = "attestrain.dev/run-spec@v1"
MAX_ROUNDS = 1_000_000
MAX_STEPS = 10_000
"""Most inner steps of a round: DiLoCo's 500 with room."""
MAX_WORKERS = 10_000
MAX_BATCH = 1_000_000
MAX_SEQUENCE = 1 << 24
"""Longest sequence in tokens."""
MAX_TOTAL_STEPS = 1_000_000
"""Most steps of a run: the learning-rate table has eight characters for each."""
MAX_SETTINGS = 64
UPDATE_ROOM = 1 << 16
"""Bytes of an update beside its values: header and, for tiny tensors, scales."""
MAX_COMPONENTS = 64
MAX_COMPONENT_NAME = 64
"""Longest name of a state's component: "opt." and a word, with room."""
MAX_VOTES = 64
"""Most auditors that replay the same segment: more would cost more than the training they check."""
CODECS = ("dense", "ternary", "two-bit")
INNERS = ("adamw", "muon", "sgd")
OUTERS = ("sgd", "nesterov")
BEACONS = ("recorded", "chain")
"""Where beacons come from: a value that the spec records, or blocks of a chain, which `Beacon` statements report."""

_RATES = re.compile(r"([0-9a-f]{8})*\Z")


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What is trained: a task by entry point, the digest of its code, its settings (no floats)."""

    name: str
    code: Digest
    config: Json


@dataclass(frozen=True, slots=True)
class Schedule:
    """Shape of the run in time: rounds of ``steps`` inner steps in segments, ``batch`` sequences a step and worker."""

    rounds: int
    steps: int
    segment_steps: int
    batch: int
    sequence_tokens: int
    workers: int

    @property
    def segments(self) -> int:
        """Segments of one worker-round: adopt, the inner ones, compress."""
        return 2 + -(-self.steps // self.segment_steps)

    @property
    def total_steps(self) -> int:
        """Inner steps of one worker over the run."""
        return self.rounds * self.steps

    @property
    def round_tokens(self) -> int:
        """Tokens one worker computes a loss over in one round."""
        return self.steps * self.batch * self.sequence_tokens

    def steps_of(self, segment: int) -> range:
        """Steps (within the round) of inner segment ``segment``, 1 .. segments-2; empty for adopt and compress."""
        if not 0 < segment < self.segments - 1:
            return range(0)
        first = (segment - 1) * self.segment_steps
        return range(first, min(first + self.segment_steps, self.steps))


@dataclass(frozen=True, slots=True)
class Inner:
    """Inner optimizer. ``rates`` is the learning-rate table: eight hex digits of float32 bits per step of the run."""

    name: str
    settings: dict[str, str]
    rates: str

    def rate_bits(self, step: int) -> int:
        """Bits of the learning rate at step ``step`` of the run."""
        return int(self.rates[8 * step : 8 * step + 8], 16)


@dataclass(frozen=True, slots=True)
class Codec:
    """How a pseudo-gradient becomes bytes: block length of the scales, decay of the error feedback ("1" keeps all)."""

    name: str
    block: int
    feedback: str


@dataclass(frozen=True, slots=True)
class Outer:
    """Outer optimizer over the aggregated pseudo-gradient."""

    name: str
    rate: str
    momentum: str


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The run spec. ``state`` maps every component of a worker's state to its size in bytes."""

    name: str
    seed: int
    code: Digest
    task: TaskSpec
    layout: Layout
    state: dict[str, int]
    dataset: Digest
    schedule: Schedule
    inner: Inner
    codec: Codec
    norm_clip: str
    outer: Outer
    beacon_mode: str
    beacon: Digest
    audit_fraction: str
    audit_votes: int

    def to_json(self) -> Json:
        """The document."""
        task, schedule, inner = self.task, self.schedule, self.inner
        return {
            "format": FORMAT,
            "name": self.name,
            "seed": self.seed,
            "code": self.code.hex(),
            "task": {"name": task.name, "code": task.code.hex(), "config": task.config},
            "layout": self.layout.to_json(),
            "state": self.state,
            "dataset": self.dataset.hex(),
            "schedule": {key: getattr(schedule, key) for key in Schedule.__dataclass_fields__},
            "inner": {"name": inner.name, "settings": inner.settings, "rates": inner.rates},
            "codec": {"name": self.codec.name, "block": self.codec.block, "feedback": self.codec.feedback},
            "screen": {"norm_clip": self.norm_clip},
            "outer": {"name": self.outer.name, "rate": self.outer.rate, "momentum": self.outer.momentum},
            "beacon": {"mode": self.beacon_mode, "value": self.beacon.hex()},
            "audit": {"fraction": self.audit_fraction, "votes": self.audit_votes},
        }

    def to_bytes(self) -> bytes:
        """Canonical bytes."""
        return canonical(self.to_json())

    @property
    def run_id(self) -> RunId:
        """Name of the run: SHA-256 of the canonical bytes."""
        return _run_id(self)

    @property
    def most_update(self) -> int:
        """Most bytes an update of this run can have: twice what the plainest codec takes, and room for a header."""
        return 8 * self.layout.parameters + UPDATE_ROOM

    @classmethod
    def from_bytes(cls, data: bytes) -> RunSpec:
        """Read a run spec strictly.

        Raises:
            FormatError: malformed, out of bounds or inconsistent.
        """
        return _read_spec(parse(data))

    def __hash__(self) -> int:
        return hash((self.name, self.seed, self.code, self.dataset))


@functools.lru_cache(maxsize=64)
def _run_id(spec: RunSpec) -> RunId:
    return RunId(sha256(spec.to_bytes()))


def _read_spec(document: Json) -> RunSpec:
    keys = ("format", "name", "seed", "code", "task", "layout", "state", "dataset", "schedule")
    fields = Fields(document, (*keys, "inner", "codec", "screen", "outer", "beacon", "audit"), "spec")
    fields.constant("format", FORMAT)
    schedule = _read_schedule(fields.object("schedule"))
    beacon = Fields(fields.object("beacon"), ("mode", "value"), "spec.beacon")
    audit = Fields(fields.object("audit"), ("fraction", "votes"), "spec.audit")
    screen = Fields(fields.object("screen"), ("norm_clip",), "spec.screen")
    return RunSpec(
        name=fields.text("name"),
        seed=fields.integer("seed", 0, MAX_INTEGER),
        code=fields.digest("code"),
        task=_read_task(fields.object("task")),
        layout=Layout.from_json(fields.array("layout", max_length=MAX_TENSORS)),
        state=_read_state(fields.object("state")),
        dataset=fields.digest("dataset"),
        schedule=schedule,
        inner=_read_inner(fields.object("inner"), schedule),
        codec=_read_codec(fields.object("codec")),
        norm_clip=screen.decimal("norm_clip", 0, 1_000_000),
        outer=_read_outer(fields.object("outer")),
        beacon_mode=beacon.choice("mode", BEACONS),
        beacon=beacon.digest("value"),
        audit_fraction=audit.decimal("fraction", 0, 1),
        audit_votes=audit.integer("votes", 1, MAX_VOTES),
    )


def _read_task(value: Json) -> TaskSpec:
    fields = Fields(value, ("name", "code", "config"), "spec.task")
    return TaskSpec(fields.text("name"), fields.digest("code"), fields.object("config"))


def is_component(name: str) -> bool:
    """Whether ``name`` can name a component of a state: 1 to 64 printable ASCII characters."""
    return 0 < len(name) <= MAX_COMPONENT_NAME and name.isascii() and name.isprintable()


def _read_state(value: Json) -> dict[str, int]:
    if not 0 < len(value) <= MAX_COMPONENTS:
        raise FormatError(f"spec.state of {len(value)} components is out of range")
    if not all(is_component(name) for name in value):
        raise FormatError(f"spec.state names a component in other than 1 to {MAX_COMPONENT_NAME} printable characters")
    fields = Fields(value, value.keys(), "spec.state")
    return {name: fields.integer(name, 0, 16 * MAX_PARAMETERS) for name in value}


def _read_schedule(value: Json) -> Schedule:
    fields = Fields(value, Schedule.__dataclass_fields__, "spec.schedule")
    schedule = Schedule(
        rounds=fields.integer("rounds", 1, MAX_ROUNDS),
        steps=fields.integer("steps", 1, MAX_STEPS),
        segment_steps=fields.integer("segment_steps", 1, MAX_STEPS),
        batch=fields.integer("batch", 1, MAX_BATCH),
        sequence_tokens=fields.integer("sequence_tokens", 1, MAX_SEQUENCE),
        workers=fields.integer("workers", 1, MAX_WORKERS),
    )
    if schedule.total_steps > MAX_TOTAL_STEPS:
        raise FormatError(f"a run of {schedule.total_steps} steps is longer than {MAX_TOTAL_STEPS}")
    if schedule.round_tokens > MAX_INTEGER:
        raise FormatError(f"a round of {schedule.round_tokens} tokens is more than a receipt can count")
    return schedule


def _read_inner(value: Json, schedule: Schedule) -> Inner:
    fields = Fields(value, ("name", "settings", "rates"), "spec.inner")
    settings = fields.object("settings")
    if len(settings) > MAX_SETTINGS or not all(is_decimal(item) for item in settings.values()):
        raise FormatError("spec.inner.settings holds something other than decimal texts")
    rates = fields.text("rates", max_length=8 * MAX_TOTAL_STEPS)
    if len(rates) != 8 * schedule.total_steps or not _RATES.match(rates):
        raise FormatError(f"spec.inner.rates is not a table of {schedule.total_steps} float32 bit patterns")
    return Inner(fields.choice("name", INNERS), settings, rates)


def _read_codec(value: Json) -> Codec:
    fields = Fields(value, ("name", "block", "feedback"), "spec.codec")
    block = fields.integer("block", 16, 1 << 20)
    return Codec(fields.choice("name", CODECS), block, fields.decimal("feedback", 0, 1))


def _read_outer(value: Json) -> Outer:
    fields = Fields(value, ("name", "rate", "momentum"), "spec.outer")
    rate, momentum = fields.decimal("rate", 0, 10), fields.decimal("momentum", 0, 1)
    return Outer(fields.choice("name", OUTERS), rate, momentum)
