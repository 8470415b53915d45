"""RUN.toml: what a builder writes. It resolves to a run spec (`run.preparation`), which is what everyone checks.

Each section is the settings of one component. Numbers may be written as TOML floats; what enters the run spec is their
shortest decimal text.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from attestrain.corpus.config import CorpusConfig
from attestrain.errors import UsageError
from attestrain.record.fields import is_decimal
from attestrain.record.plan import MAX_PLANNED_RANK, MAX_WINDOW
from attestrain.record.spec import (
    MAX_BATCH,
    MAX_BLOCK,
    MAX_FRAGMENTS,
    MAX_ROUNDS,
    MAX_STEPS,
    MAX_TOTAL_STEPS,
    MAX_VOTES,
    MERGES,
    MIN_BLOCK,
)
from attestrain.run.algorithms import DEFAULT, algorithm_names, with_algorithm
from attestrain.update.settings import AGGREGATES, CODECS, OUTERS

COMMITTEE = 3
"""Least auditors of a run on a chain, as the contract of cases asks."""
MAX_FILE = 1 << 20
"""Largest RUN.toml read: a page of settings, with room."""


def decimal_text(value: object) -> str:
    """Shortest plain decimal text of a number, as it enters the run spec ("0.04", never "4e-2").

    Raises:
        ValueError: not a number, or one that a decimal setting cannot hold.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number")
    text = value if isinstance(value, str) else format(value, ".17f" if abs(value) < 1e-4 else "")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    if not is_decimal(text):
        raise ValueError(f"{value!r} is not a plain decimal number")
    return text


def _within(low: int, high: int) -> AfterValidator:
    def check(text: str) -> str:
        if not low <= Fraction(text) <= high:
            raise ValueError(f"{text} is not a number from {low} to {high}")
        return text

    return AfterValidator(check)


DecimalText = Annotated[str, BeforeValidator(decimal_text)]
Share = Annotated[DecimalText, _within(0, 1)]
Rate = Annotated[DecimalText, _within(0, 10)]
Factor = Annotated[DecimalText, _within(0, 1_000_000)]
Coins = Annotated[DecimalText, _within(0, 1_000_000_000)]


def _one_of(kind: str, names: Sequence[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"no {kind} is called {name!r}; there are {', '.join(names)}")
        return name

    return AfterValidator(check)


CodecName = Annotated[str, _one_of("codec", tuple(CODECS))]
MergeName = Annotated[str, _one_of("codec for merged updates", ("none", *MERGES))]
AggregateName = Annotated[str, _one_of("aggregation rule", tuple(AGGREGATES))]
OuterName = Annotated[str, _one_of("outer optimizer", tuple(OUTERS))]


class Section(BaseModel):
    """A section of RUN.toml: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunSection(Section):
    """Name and seed of the run."""

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    seed: int = Field(0, ge=0, lt=2**53)


class TaskSection(Section):
    """What is trained: an entry point of group attestrain.tasks or "package.module:Name", and its settings."""

    name: str = "llama"
    config: dict[str, Any] = {}


class AlgorithmSection(Section):
    """How the run trains, by name; the sections from inner to outer and the schedule override single settings."""

    preset: Annotated[str, _one_of("algorithm", algorithm_names())] = DEFAULT


class ScheduleSection(Section):
    """Shape of the run in time. ``batch`` counts sequences per step and worker."""

    rounds: int = Field(60, ge=1, le=MAX_ROUNDS)
    steps: int = Field(10, ge=1, le=MAX_STEPS)
    segment_steps: int = Field(10, ge=1, le=MAX_STEPS)
    batch: int = Field(4, ge=1, le=MAX_BATCH)
    accumulate: int = Field(1, ge=1, le=MAX_BATCH, description="equal parts in which a batch passes through the model")
    workers: int = Field(4, ge=1, le=64, description="worker processes on this machine")


class InnerSection(Section):
    """Inner optimizer, its peak rate, and the warm-up and cosine decay around it."""

    name: Literal["muon", "adamw", "sgd", "gradient"] = "muon"
    rate: Rate = "0.05"
    warmup: int = Field(30, ge=0, description="steps of linear warm-up")
    final: Share = "0.1"
    settings: dict[str, DecimalText] = {}


class OverlapSection(Section):
    """Parts of the model that rounds synchronise in turn, and how late and how completely workers take checkpoints."""

    fragments: int = Field(1, ge=1, le=MAX_FRAGMENTS)
    shares: int = Field(1, ge=1, le=MAX_FRAGMENTS, description="parts of an update; workers send one each, in turn")
    delay: int = Field(0, ge=0, le=1, description="rounds that an update may take to reach the workers")
    blend: Share = Field("0", description="fraction of its own drift that a worker keeps")


class CodecSection(Section):
    """How pseudo-gradients are compressed."""

    name: CodecName = "topk"
    block: int = Field(1024, ge=MIN_BLOCK, le=MAX_BLOCK)
    feedback: Share = "1"
    settings: dict[str, DecimalText] = {}


class AdaptiveSection(Section):
    """A rank of low-rank updates that falls with their effective rank, from the codec's down to ``min_rank``."""

    window: int = Field(0, ge=0, le=MAX_WINDOW, description="rounds whose effective ranks are averaged; 0 keeps it")
    share: Share = Field("0.95", description="part of an update's energy that its effective rank holds")
    min_rank: int = Field(1, ge=1, le=MAX_PLANNED_RANK)


class AggregateSection(Section):
    """How the updates of a round become one."""

    name: AggregateName = "mean"
    settings: dict[str, DecimalText] = {}


class OuterSection(Section):
    """Outer optimizer, its peak rate, and the warm-up and cosine decay around it; ``final`` 1 keeps the rate."""

    name: OuterName = "sgd"
    rate: Rate = "0.8"
    warmup: int = Field(0, ge=0, description="rounds of linear warm-up")
    final: Share = "1"
    settings: dict[str, DecimalText] = {}


class MergeSection(Section):
    """One merged update a round, which workers fetch instead of everybody's; ``none`` has them fetch all of them."""

    name: MergeName = "none"
    block: int = Field(1024, ge=MIN_BLOCK, le=MAX_BLOCK)
    settings: dict[str, DecimalText] = {}


class ScreenSection(Section):
    """Screening: updates beyond ``norm_clip`` times the median norm are scaled down; 0 turns it off."""

    norm_clip: Factor = "3"


class AuditSection(Section):
    """Replay: the fraction of every worker-round that is re-executed, by how many auditors of how many."""

    fraction: Share = "0.25"
    votes: int = Field(1, ge=1, le=MAX_VOTES)
    auditors: int = Field(1, ge=0, le=16)


class CheatSection(Section):
    """A worker that cheats, for demonstrations and tests."""

    worker: int = Field(ge=0)
    kind: str = "skip-steps"
    from_round: int = Field(0, ge=0)


class TrustSection(Section):
    """The dial: replay (audits alone), economic (plus stake on a chain), tee (plus evidence), full (all of them)."""

    preset: Literal["replay", "economic", "tee", "full"] = "replay"


class ChainSection(Section):
    """The chain that anchors, stakes and pays. Amounts are in the chain's whole coins."""

    mode: Literal["auto", "none", "embedded", "rpc"] = Field("auto", description="auto: as trust.preset says")
    url: str = Field("", description="JSON-RPC endpoint for mode rpc")
    deployment: str = Field("", description="deployment.json of `attestrain chain deploy`, for mode rpc")
    worker_stake: Coins = Field("10", description="stake of a worker")
    auditor_stake: Coins = Field("10", description="stake of an auditor")
    fine: Coins = Field("5", description="what a worker found guilty loses (embedded chain)")
    bond: Coins = Field("1", description="what an accuser puts up (embedded chain)")
    budget: Coins = Field("100", description="what the run pays out to its workers")


class EvidenceSection(Section):
    """Evidence of where session keys live; simulated is a development stand-in and always says so.

    tdx: participants join from TDX guests of their own, under Intel's root.
    """

    mode: Literal["auto", "none", "simulated", "tdx"] = Field("auto", description="auto: as trust.preset says")


class LocalSection(Section):
    """Running on this machine: on what, how long a round may wait for its workers, what is kept for later replays."""

    device: Literal["auto", "cpu", "cuda", "cuda-tf32"] = Field("auto", description="auto: cuda if there is a GPU")
    deadline: float = Field(600.0, gt=0, description="most seconds a round waits for somebody missing")
    keep_states_every: int = Field(10, ge=1, description="rounds between the states a stranger's replay starts from")
    validation_sequences: int = Field(128, ge=1)
    solo: bool = Field(False, description="also train one worker alone, for comparison")


class RunConfig(Section):
    """A whole RUN.toml."""

    run: RunSection = RunSection()
    task: TaskSection = TaskSection()
    dataset: CorpusConfig = CorpusConfig()
    algorithm: AlgorithmSection = AlgorithmSection()
    schedule: ScheduleSection = ScheduleSection()
    inner: InnerSection = InnerSection()
    overlap: OverlapSection = OverlapSection()
    codec: CodecSection = CodecSection()
    adaptive: AdaptiveSection = AdaptiveSection()
    screen: ScreenSection = ScreenSection()
    aggregate: AggregateSection = AggregateSection()
    merge: MergeSection = MergeSection()
    outer: OuterSection = OuterSection()
    audit: AuditSection = AuditSection()
    trust: TrustSection = TrustSection()
    chain: ChainSection = ChainSection()
    evidence: EvidenceSection = EvidenceSection()
    cheat: tuple[CheatSection, ...] = ()
    local: LocalSection = LocalSection()

    @property
    def chain_mode(self) -> str:
        """Which chain the run uses: none, embedded or rpc."""
        if self.chain.mode != "auto":
            return self.chain.mode
        return "none" if self.trust.preset == "replay" else "embedded"

    @property
    def evidence_mode(self) -> str:
        """Which evidence participants give: none, simulated or tdx."""
        if self.evidence.mode != "auto":
            return self.evidence.mode
        return "simulated" if self.trust.preset in ("tee", "full") else "none"


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read RUN.toml and apply overrides of the form ``section.key=value`` (the value as TOML, or else as text).

    Raises:
        UsageError: the file or an override is missing, malformed or unknown.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        hint = "make one with: attestrain init" if isinstance(error, FileNotFoundError) else None
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    if len(data) > MAX_FILE:
        raise UsageError(f"{path} is larger than {MAX_FILE} bytes")
    try:
        settings = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    for override in overrides:
        _override(settings, override)
    return make_config(settings, str(path))


def make_config(settings: dict[str, Any], where: str) -> RunConfig:
    """Check ``settings``.

    Raises:
        UsageError: naming the first setting that is unknown or out of range.
    """
    try:
        config = RunConfig.model_validate(with_algorithm(settings))
    except ValidationError as error:
        raise _wrong_setting(error, where) from error
    slots = [cheat.worker for cheat in config.cheat]
    if any(slot >= config.schedule.workers for slot in slots) or len(set(slots)) != len(slots):
        hint = "remove the [[cheat]] section, or raise schedule.workers"
        raise UsageError(f"{where}: cheat.worker names a worker that does not exist, or one twice", hint=hint)
    if config.audit.auditors > config.schedule.workers or 0 < config.audit.auditors < config.audit.votes:
        raise UsageError(f"{where}: audit.auditors is between audit.votes and schedule.workers, or 0 for none")
    _check_trust(config, where)
    steps, warmup = config.schedule.rounds * config.schedule.steps, config.inner.warmup
    if steps > MAX_TOTAL_STEPS:
        hint = "lower schedule.rounds or schedule.steps"
        raise UsageError(f"{where}: schedule: {steps} steps in all are more than {MAX_TOTAL_STEPS}", hint=hint)
    if warmup > steps:
        hint = "lower inner.warmup, or raise schedule.rounds or schedule.steps"
        raise UsageError(f"{where}: inner.warmup: {warmup} steps are more than the run's {steps}", hint=hint)
    return config


def _check_trust(config: RunConfig, where: str) -> None:
    """A chain needs to be named, and a committee that decides its cases."""
    chain = config.chain_mode
    if chain == "rpc" and not (config.chain.url and config.chain.deployment):
        hint = "deploy the contracts once with: attestrain chain deploy"
        raise UsageError(f"{where}: chain.mode rpc needs chain.url and chain.deployment", hint=hint)
    if chain == "none" and config.evidence_mode != "none":
        raise UsageError(f"{where}: evidence needs a chain, which says when it was given", hint="set chain.mode")
    if chain != "none" and config.audit.auditors < COMMITTEE:
        hint = f"set audit.auditors to {COMMITTEE} or more: no single auditor's word takes a stake"
        raise UsageError(f"{where}: cases on a chain are decided by {COMMITTEE} auditors at least", hint=hint)


def _wrong_setting(error: ValidationError, where: str) -> UsageError:
    """What is wrong with the first wrong setting, in words; the hint names one that is spelled alike."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    hint = "attestrain init shows every setting"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "no such setting"
        if alike := get_close_matches(place[-1], _settings(place[:-1]), 1):
            hint = f"did you mean {'.'.join([*place[:-1], *alike])}?"
    return UsageError(f"{where}: {'.'.join(place)}: {message}", hint=hint)


def _settings(section: Sequence[str]) -> list[str]:
    """Names of the settings in a section, of the sections themselves without one."""
    if not section:
        return list(RunConfig.model_fields)
    kind = CheatSection if section[0] == "cheat" else RunConfig.model_fields[section[0]].annotation
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _override(settings: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or (not sections and name not in RunConfig.model_fields):
        hint = "for example --set schedule.rounds=10"
        raise UsageError(f"override {override!r} is not of the form section.key=value", hint=hint)
    target = settings
    for section in sections:
        target = target.setdefault(section, {})
        if not isinstance(target, dict):
            raise UsageError(f"override {override!r}: {section} is not a section")
    target[name] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
