"""What was trained on what: the model, the data, the schedule, as the run spec and the dataset's manifest fix them."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.bundle import DATASET, MODEL, SPEC
from attestrain.record.spec import RunSpec
from attestrain.report.page.machines import machines
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Sources, short
from attestrain.report.units import counted, shown_bytes


@dataclass(frozen=True, slots=True)
class Subject:
    """What was trained.

    Attributes:
        model: pairs of a label and a value.
        data: the same of the dataset; empty where it cannot be read.
        schedule: the same of the shape of the run.
    """

    name: str
    run: Cited | None
    parameters: Cited | None
    task: str
    dataset: Cited | None
    licence: Cited | None
    origin: Cited | None
    length: Cited | None
    tokens: Cited | None
    model: list[tuple[str, Cited]]
    data: list[tuple[str, Cited]]
    schedule: list[tuple[str, Cited]]


def subject(reading: Reading, sources: Sources, fallback: str) -> Subject:
    """What the spec and the manifests say; ``fallback`` names a run whose spec cannot be read."""
    spec, manifest = reading.spec, reading.dataset
    if spec is None:
        return Subject(fallback, None, None, "", None, None, None, None, None, [], [], [])
    said = sources.file(SPEC, "the run spec, whose digest names the run")
    stated = sources.file(DATASET, "what the dataset is, with the digests of its text")
    tokens = sum(receipt.tokens for receipt in reading.published())
    return Subject(
        name=spec.name,
        run=Cited(short(spec.run_id.hex()), said, spec.run_id.hex()),
        parameters=Cited(f"{spec.layout.parameters:,}", said),
        task=spec.task.name,
        dataset=None if manifest is None else Cited(manifest.name, stated, manifest.digest.hex()),
        licence=None if manifest is None else Cited(manifest.licence or "none stated", stated),
        origin=None if manifest is None else Cited(manifest.source or "none stated", stated),
        length=Cited(f"{counted(spec.schedule.rounds, 'round')} of {counted(spec.schedule.steps, 'step')}", said),
        tokens=Cited(f"{tokens:,}", sources.claim(4, "tokens in the receipts")) if tokens else None,
        model=_model(reading, sources),
        data=_data(reading, sources),
        schedule=_schedule(reading, sources),
    )


def _model(reading: Reading, sources: Sources) -> list[tuple[str, Cited]]:
    spec, bundle = reading.spec, reading.bundle
    assert spec is not None
    assert bundle is not None
    said = sources.file(SPEC)
    config = ", ".join(f"{key} {value}" for key, value in sorted(spec.task.config.items()))
    rows = [
        ("task", Cited(spec.task.name, said)),
        ("parameters", Cited(f"{spec.layout.parameters:,} in {len(spec.layout.tensors)} tensors", said)),
        ("shape", Cited(config or "none", said)),
        ("code", Cited(short(spec.code.hex()), said, spec.code.hex())),
    ]
    if MODEL in bundle:
        entry = bundle.manifest.files[MODEL]
        file = sources.file(MODEL, "the delivered model")
        rows.append(("delivered file", Cited(f"{MODEL}, {shown_bytes(entry.size)}", file, entry.digest.hex())))
    ledger = reading.ledger
    if ledger is not None and ledger.run_close is not None:
        last = ledger.run_close.checkpoint.hex()
        rows.append(("delivered checkpoint", Cited(short(last), sources.entry(ledger.size - 1), last)))
    return rows


def _data(reading: Reading, sources: Sources) -> list[tuple[str, Cited]]:
    manifest = reading.dataset
    if manifest is None:
        return []
    said = sources.file(DATASET)
    train = manifest.train
    documents = f"{train.documents:,} documents, {shown_bytes(train.bytes)} of text"
    return [
        ("name, as stated", Cited(manifest.name, said)),
        ("source, as stated", Cited(manifest.source or "none", said)),
        ("licence, as stated", Cited(manifest.licence or "none", said)),
        ("digest", Cited(short(manifest.digest.hex()), said, manifest.digest.hex())),
        ("training split", Cited(f"{train.sequences:,} sequences of {manifest.sequence_tokens} tokens", said)),
        ("made from", Cited(documents, said)),
        ("tokenizer", Cited(f"{manifest.tokenizer.kind}, vocabulary {manifest.tokenizer.vocab:,}", said)),
        ("held out", Cited(f"{manifest.validation.sequences:,} sequences to measure the loss on", said)),
    ]


def _schedule(reading: Reading, sources: Sources) -> list[tuple[str, Cited]]:
    spec = reading.spec
    assert spec is not None
    said, schedule = sources.file(SPEC), spec.schedule
    rows = (
        ("rounds", f"{schedule.rounds} of {schedule.steps} steps"),
        ("batch", f"{schedule.batch} sequences a step and worker"),
        ("inner optimizer", spec.inner.name),
        ("compression", f"{spec.codec.name}, blocks of {spec.codec.block}{_settings(spec.codec.settings)}"),
        *_adaptive(spec),
        ("aggregation", f"{spec.aggregate.name}{_settings(spec.aggregate.settings)}"),
        ("outer optimizer", f"{spec.outer.name}{_settings(spec.outer.settings)}"),
        ("screening", f"updates beyond {spec.norm_clip} times the median norm scaled down"),
        ("replayed", f"{spec.audit_fraction} of every worker-round"),
        ("findings that prove a fault", str(spec.audit_votes)),
        ("beacon", "from the chain" if spec.beacon_mode == "chain" else "recorded by the operator"),
    )
    return [(label, Cited(text, said)) for label, text in rows] + machines(reading, sources)


def _adaptive(spec: RunSpec) -> list[tuple[str, str]]:
    rule = spec.adaptive
    if rule is None:
        return []
    window = counted(rule.window, "round")
    text = f"falls to the effective rank (energy {rule.share}, mean over {window}), not below {rule.min_rank}"
    return [("rank of updates", text)]


def _settings(settings: dict[str, str]) -> str:
    return "".join(f", {name.replace('_', ' ')} {value}" for name, value in settings.items())
