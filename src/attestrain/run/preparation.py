"""From RUN.toml to the run spec: text to dataset, task to layout, settings to bits."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.corpus.build import build_dataset, build_from_documents
from attestrain.corpus.dataset import Dataset
from attestrain.errors import UsageError
from attestrain.record.canonical import canonical
from attestrain.record.digest import tagged
from attestrain.record.plan import Adaptive
from attestrain.record.spec import Aggregate, Codec, Inner, Merge, Outer, Overlap, RunSpec, Schedule, TaskSpec
from attestrain.run.cheats import require_cheat
from attestrain.run.config import RunConfig
from attestrain.run.folder import RunFolder
from attestrain.store.atomic import write_atomic
from attestrain.train.determinism import determinism
from attestrain.train.layout import layout_of
from attestrain.train.schedule import cosine_rates
from attestrain.train.settings import inner_settings, state_sizes
from attestrain.train.task import Task, check_config, load_task, package_code_digest, task_code_digest
from attestrain.update.settings import aggregate_settings, codec_settings, outer_settings, require_sharable


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that can start: its spec, the opened dataset, the loaded task."""

    spec: RunSpec
    dataset: Dataset
    task: Task


def prepare(config: RunConfig, folder: RunFolder) -> Prepared:
    """Build the dataset and the spec in ``folder``.

    Raises:
        UsageError: the configuration cannot be run.
    """
    determinism()
    for cheat in config.cheat:
        require_cheat(cheat.kind)
    task = load_task(config.task.name)
    dataset = _dataset(config, folder, task)
    spec = _make_spec(config, dataset, task)
    write_atomic(folder.spec, spec.to_bytes())
    return Prepared(spec, dataset, task)


def reopen(folder: RunFolder) -> Prepared:
    """Open a prepared run again.

    Raises:
        UsageError: its code is not the code at hand any more, so going on would be another run.
        FormatError: a file of the run is damaged.
    """
    determinism()
    spec = RunSpec.from_bytes(folder.spec.read_bytes())
    task = load_task(spec.task.name)
    if spec.code != package_code_digest() or spec.task.code != task_code_digest(task):
        raise UsageError(
            f"run {spec.run_id.hex()[:12]} was started by other code", hint="resume it with the version it began with"
        )
    dataset = Dataset.open(folder.dataset)
    if dataset.manifest.digest != spec.dataset:
        raise UsageError(f"{folder.dataset} holds another dataset than the run's")
    return Prepared(spec, dataset, task)


def _dataset(config: RunConfig, folder: RunFolder, task: Task) -> Dataset:
    documents = task.documents(config.task.config)
    if documents is None:
        build_dataset(config.dataset, folder.dataset)
    else:
        build_from_documents(documents, config.dataset, folder.dataset)
    return Dataset.open(folder.dataset)


def _make_spec(config: RunConfig, dataset: Dataset, task: Task) -> RunSpec:
    manifest = dataset.manifest
    own = {"vocab": manifest.tokenizer.vocab, "context": manifest.sequence_tokens}
    task_config = check_config({**own, **config.task.config})
    try:
        model = task.build_model(task_config)
    except (RuntimeError, MemoryError) as error:
        reason = str(error).partition("\n")[0] or "out of memory"
        raise UsageError(f"the model cannot be built: {reason}", hint="lower the sizes in task.config") from error
    layout = layout_of(task, model)
    schedule = Schedule(
        rounds=config.schedule.rounds,
        steps=config.schedule.steps,
        segment_steps=config.schedule.segment_steps,
        batch=config.schedule.batch,
        accumulate=config.schedule.accumulate,
        sequence_tokens=manifest.sequence_tokens,
        workers=config.schedule.workers,
    )
    inner, rule, outer = config.inner, config.aggregate, config.outer
    codec = _codec(config)
    parts = config.overlap
    require_sharable(parts.shares, codec.name, rule.name)
    overlap = Overlap(parts.fragments, parts.shares, parts.delay, parts.blend)
    rates = cosine_rates(schedule.total_steps, peak=inner.rate, warmup=inner.warmup, floor=inner.final)
    outer_rates = cosine_rates(schedule.rounds, peak=outer.rate, warmup=outer.warmup, floor=outer.final)
    spec = RunSpec(
        name=config.run.name,
        seed=config.run.seed,
        code=package_code_digest(),
        task=TaskSpec(config.task.name, task_code_digest(task), task_config),
        layout=layout,
        state=state_sizes(layout, inner.name, codec, overlap),
        dataset=manifest.digest,
        schedule=schedule,
        inner=Inner(inner.name, inner_settings(inner.name, inner.settings), rates),
        overlap=overlap,
        codec=codec,
        norm_clip=config.screen.norm_clip,
        aggregate=Aggregate(rule.name, aggregate_settings(rule.name, rule.settings)),
        outer=Outer(outer.name, outer_settings(outer.name, outer.settings), outer_rates),
        beacon_mode="recorded" if config.chain_mode == "none" else "chain",
        beacon=tagged("attestrain.dev/recorded-beacon@v1", canonical(config.run.seed)),
        audit_fraction=config.audit.fraction,
        audit_votes=config.audit.votes,
        merge=_merge(config),
        adaptive=_adaptive(config, codec),
    )
    # Reading it back applies every bound that a stranger will apply.
    return RunSpec.from_bytes(spec.to_bytes())


def _merge(config: RunConfig) -> Merge | None:
    rule = config.merge
    return None if rule.name == "none" else Merge(rule.name, rule.block, codec_settings(rule.name, rule.settings))


def _adaptive(config: RunConfig, codec: Codec) -> Adaptive | None:
    rule = config.adaptive
    if not rule.window:
        return None
    if codec.name != "lowrank" or config.merge.name != "none":
        hint = "set adaptive.window to 0, or codec.name to lowrank and merge.name to none"
        raise UsageError("only low-rank updates that nobody merges have a rank to adapt", hint=hint)
    if rule.min_rank > int(codec.settings["rank"]):
        hint = "lower adaptive.min_rank, or raise codec.settings.rank"
        raise UsageError(f"adaptive.min_rank {rule.min_rank} is above the rank that the run begins with", hint=hint)
    return Adaptive(rule.share, rule.window, rule.min_rank)


def _codec(config: RunConfig) -> Codec:
    codec = config.codec
    return Codec(codec.name, codec.block, codec.feedback, codec_settings(codec.name, codec.settings))
