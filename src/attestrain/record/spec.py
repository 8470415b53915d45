"""The run spec: everything that decides what a run computes, in one document whose hash is the run's name.

Keys, hosts and money are not in it: the same spec trained twice gives the same checkpoints.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from fractions import Fraction

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, Json, canonical, parse
from attestrain.record.digest import Digest, sha256
from attestrain.record.fields import Fields, is_decimal
from attestrain.record.layout import MAX_PARAMETERS, MAX_TENSORS, Layout
from attestrain.record.names import Round, RunId
from attestrain.record.plan import Adaptive, read_adaptive
from attestrain.record.rates import read_rates

FORMAT = "attestrain.dev/run-spec@v2"
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
MIN_BLOCK, MAX_BLOCK = 16, 1 << 20
"""Values that share a scale: fewer would cost more in scales than in values, more would fit none of them."""
MAX_FRAGMENTS = 1_000
"""Most parts that a model is synchronised in."""
CODECS = ("dense", "ternary", "two-bit", "sign", "int8", "int4", "topk", "dct", "lowrank")
MERGES = ("dense", "ternary", "two-bit", "sign", "int8", "int4", "topk")
"""Codecs of merged updates: those that remember nothing and do not care for shapes."""
INNERS = ("adamw", "muon", "sgd", "gradient")
AGGREGATES = ("mean", "contributors", "tokens", "trimmed", "centered", "multi-krum")
OUTERS = ("sgd", "nesterov", "adamw", "sign")
BEACONS = ("recorded", "chain")
"""Where beacons come from: a value that the spec records, or blocks of a chain, which `Beacon` statements report."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What is trained: a task by entry point, the digest of its code, its settings (no floats)."""

    name: str
    code: Digest
    config: Json


@dataclass(frozen=True, slots=True)
class Schedule:
    """Shape of the run in time: rounds of ``steps`` inner steps in segments, ``batch`` sequences a step and worker.

    ``accumulate`` is the number of equal parts in which a batch passes through the model, one after the other.
    """

    rounds: int
    steps: int
    segment_steps: int
    batch: int
    accumulate: int
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
class Overlap:
    """What of the model a round synchronises, and when workers hear of it.

    Attributes:
        fragments: parts of the model; round r synchronises part r modulo their number (`update.fragments`).
        shares: parts of a fragment's blocks; in round r, worker k sends part r + k modulo their number.
        delay: rounds between an update and the checkpoint with it reaching the workers, who train on meanwhile: 0 or 1.
        blend: fraction of a worker's own drift that it keeps when it takes a checkpoint, a decimal text in 0 .. 1.
    """

    fragments: int
    shares: int
    delay: int
    blend: str

    @property
    def whole(self) -> bool:
        """Whether workers take checkpoints as they are, so that their parameters are the checkpoint's."""
        return self.fragments == 1 and not Fraction(self.blend)

    def base(self, round_: Round) -> Round:
        """The checkpoint that a round starts from."""
        return Round(max(0, round_ - self.delay))


@dataclass(frozen=True, slots=True)
class Codec:
    """How a pseudo-gradient becomes bytes.

    Attributes:
        name: one of ``CODECS``.
        block: values that share a scale, or stand in one chunk.
        feedback: decay of the error feedback; "1" keeps all.
        settings: the codec's own, complete decimal texts (`update.settings`).
    """

    name: str
    block: int
    feedback: str
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Merge:
    """How the aggregate of a round becomes bytes that workers may fetch instead of every update (`update.merge`)."""

    name: str
    block: int
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """How the updates of a round become one; ``settings`` as a codec's."""

    name: str
    settings: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outer:
    """Outer optimizer over the aggregate. ``rates`` is its learning-rate table, eight hex digits for each round."""

    name: str
    settings: dict[str, str]
    rates: str

    def rate_bits(self, round_: Round) -> int:
        """Bits of the learning rate of a round."""
        return int(self.rates[8 * round_ : 8 * round_ + 8], 16)

    def rate(self, round_: Round) -> float:
        """Learning rate of a round: a float32."""
        return float(struct.unpack(">f", bytes.fromhex(self.rates[8 * round_ : 8 * round_ + 8]))[0])


@dataclass(frozen=True, slots=True)
class RunSpec:
    """The run spec. ``state`` maps every component of a worker's state to its size in bytes.

    ``codec.settings`` has the rank that a run begins with; ``adaptive`` says how later ones follow, None if none do.
    """

    name: str
    seed: int
    code: Digest
    task: TaskSpec
    layout: Layout
    state: dict[str, int]
    dataset: Digest
    schedule: Schedule
    overlap: Overlap
    inner: Inner
    codec: Codec
    norm_clip: str
    aggregate: Aggregate
    outer: Outer
    beacon_mode: str
    beacon: Digest
    audit_fraction: str
    audit_votes: int
    merge: Merge | None = None
    adaptive: Adaptive | None = None

    def to_json(self) -> Json:
        """The document."""
        task = self.task
        merge = {} if self.merge is None else {"merge": _plain(self.merge)}
        adaptive = {} if self.adaptive is None else {"adaptive": self.adaptive.to_json()}
        return {
            **merge,
            **adaptive,
            "format": FORMAT,
            "name": self.name,
            "seed": self.seed,
            "code": self.code.hex(),
            "task": {"name": task.name, "code": task.code.hex(), "config": task.config},
            "layout": self.layout.to_json(),
            "state": self.state,
            "dataset": self.dataset.hex(),
            "schedule": _plain(self.schedule),
            "inner": _plain(self.inner),
            "overlap": _plain(self.overlap),
            "codec": _plain(self.codec),
            "screen": {"norm_clip": self.norm_clip},
            "aggregate": _plain(self.aggregate),
            "outer": _plain(self.outer),
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
    keys: tuple[str, ...] = ("format", "name", "seed", "code", "task", "layout", "state", "dataset", "schedule")
    keys = (*keys, "overlap", "inner", "codec", "screen", "aggregate", "outer", "beacon", "audit")
    keys = (*keys, *(key for key in ("merge", "adaptive") if key in document))
    fields = Fields(document, keys, "spec")
    fields.constant("format", FORMAT)
    codec = _read_codec(fields.object("codec"))
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
        overlap=_read_overlap(fields.object("overlap")),
        codec=codec,
        norm_clip=screen.decimal("norm_clip", 0, 1_000_000),
        aggregate=_read_aggregate(fields.object("aggregate")),
        outer=_read_outer(fields.object("outer"), schedule.rounds),
        beacon_mode=beacon.choice("mode", BEACONS),
        beacon=beacon.digest("value"),
        audit_fraction=audit.decimal("fraction", 0, 1),
        audit_votes=audit.integer("votes", 1, MAX_VOTES),
        merge=_read_merge(fields.object("merge")) if "merge" in document else None,
        adaptive=read_adaptive(document, codec.name, codec.settings),
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
        accumulate=fields.integer("accumulate", 1, MAX_BATCH),
        sequence_tokens=fields.integer("sequence_tokens", 1, MAX_SEQUENCE),
        workers=fields.integer("workers", 1, MAX_WORKERS),
    )
    if schedule.batch % schedule.accumulate:
        raise FormatError(f"a batch of {schedule.batch} sequences does not fall into {schedule.accumulate} equal parts")
    if schedule.total_steps > MAX_TOTAL_STEPS:
        raise FormatError(f"a run of {schedule.total_steps} steps is longer than {MAX_TOTAL_STEPS}")
    if schedule.round_tokens > MAX_INTEGER:
        raise FormatError(f"a round of {schedule.round_tokens} tokens is more than a receipt can count")
    return schedule


def _read_overlap(value: Json) -> Overlap:
    fields = Fields(value, Overlap.__dataclass_fields__, "spec.overlap")
    return Overlap(
        fragments=fields.integer("fragments", 1, MAX_FRAGMENTS),
        shares=fields.integer("shares", 1, MAX_FRAGMENTS),
        delay=fields.integer("delay", 0, 1),
        blend=fields.decimal("blend", 0, 1),
    )


def _read_inner(value: Json, schedule: Schedule) -> Inner:
    fields = Fields(value, Inner.__dataclass_fields__, "spec.inner")
    return Inner(fields.choice("name", INNERS), _read_settings(fields), read_rates(fields, schedule.total_steps))


def _read_codec(value: Json) -> Codec:
    fields = Fields(value, Codec.__dataclass_fields__, "spec.codec")
    block, feedback = fields.integer("block", MIN_BLOCK, MAX_BLOCK), fields.decimal("feedback", 0, 1)
    return Codec(fields.choice("name", CODECS), block, feedback, _read_settings(fields))


def _read_merge(value: Json) -> Merge:
    fields = Fields(value, Merge.__dataclass_fields__, "spec.merge")
    block = fields.integer("block", MIN_BLOCK, MAX_BLOCK)
    return Merge(fields.choice("name", MERGES), block, _read_settings(fields))


def _read_aggregate(value: Json) -> Aggregate:
    fields = Fields(value, Aggregate.__dataclass_fields__, "spec.aggregate")
    return Aggregate(fields.choice("name", AGGREGATES), _read_settings(fields))


def _read_outer(value: Json, rounds: int) -> Outer:
    fields = Fields(value, Outer.__dataclass_fields__, "spec.outer")
    return Outer(fields.choice("name", OUTERS), _read_settings(fields), read_rates(fields, rounds))


def _read_settings(fields: Fields) -> dict[str, str]:
    settings = fields.object("settings")
    if len(settings) > MAX_SETTINGS or not all(is_decimal(item) for item in settings.values()):
        raise fields.wrong("settings", "decimal texts")
    return settings


def _plain(part: Schedule | Overlap | Inner | Codec | Merge | Aggregate | Outer) -> dict[str, Json]:
    return {key: getattr(part, key) for key in part.__dataclass_fields__}
