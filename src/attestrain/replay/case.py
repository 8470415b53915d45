"""A bundle about to be replayed: everything that the replay rests on, checked first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attestrain.corpus.dataset import Dataset, Split
from attestrain.errors import Undecided, UsageError
from attestrain.record.bundle import MANIFEST, Bundle, FolderFiles, environment_path
from attestrain.record.canonical import Json, parse
from attestrain.record.digest import Digest
from attestrain.record.names import Worker
from attestrain.record.spec import RunSpec
from attestrain.replay.calibration import tolerance_for
from attestrain.replay.compare import Tolerance
from attestrain.rules.ledger import Ledger
from attestrain.train.device import same_device
from attestrain.train.engine import Engine
from attestrain.train.environment import environment, environment_digest
from attestrain.train.task import Task, load_task, package_code_digest, task_code_digest
from attestrain.verify.checks import Contradiction
from attestrain.verify.receipts import Works, read_works
from attestrain.verify.structure import open_manifest, read_spec
from attestrain.verify.transcript import read_transcript, replay_transcript

OnEvent = Callable[[str, dict[str, Any]], None]
"""Told what happens: a kind, and its particulars."""


@dataclass(frozen=True, slots=True)
class Case:
    """A bundle being replayed.

    Attributes:
        bundle: its files.
        spec: the run.
        ledger: the transcript, admitted again.
        works: every published worker-round.
        split: the training data.
        engine: executes segments.
        tolerances: per worker of another class, what a calibration allows; None where there is none.
        other_class: workers whose environment class is not this machine's.
        on_event: told of progress.
    """

    bundle: Bundle
    spec: RunSpec
    ledger: Ledger
    works: Works
    split: Split
    engine: Engine
    tolerances: dict[Worker, Tolerance | None]
    other_class: frozenset[Worker]
    on_event: OnEvent


def open_case(folder: Path, data: Path | None, on_event: OnEvent) -> Case:
    """Open a bundle for replaying.

    Raises:
        UsageError: not a bundle, or ``data`` is another dataset.
        Refuted: the bundle contradicts itself.
        Undecided: the data is missing, or the code at hand is not the run's.
    """
    if not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder} is not a bundle", hint="give the folder that holds manifest.json")
    bundle, _ = open_manifest(FolderFiles(folder))
    spec, _ = read_spec(bundle)
    (log, _), _ = read_transcript(bundle)
    ledger, _ = replay_transcript(spec, log)
    works, _ = read_works(bundle, ledger)
    if not works:
        raise Undecided("nothing was published in this run, so there is nothing to replay")
    task = _task(spec)
    split = _dataset(folder, data, spec).split("train")
    classes = dict.fromkeys(work.receipt.environment for work in works.values())
    device = same_device(_environment(bundle, digest).get("device") for digest in classes)
    tolerances, other = _classes(bundle, works, environment(spec, task, device))
    return Case(bundle, spec, ledger, works, split, Engine(spec, task, device), tolerances, other, on_event)


def _task(spec: RunSpec) -> Task:
    task = load_task(spec.task.name)
    for what, found, wanted in (
        ("attestrain", package_code_digest(), spec.code),
        (f"task {spec.task.name}", task_code_digest(task), spec.task.code),
    ):
        if found != wanted:
            raise Undecided(
                f"the code of {what} installed here is not the run's, so a difference would say nothing",
                hint=f"install the version with code digest {wanted.hex()[:12]}",
            )
    return task


def _dataset(folder: Path, data: Path | None, spec: RunSpec) -> Dataset:
    place = data or folder / "data"
    if not place.is_dir():
        raise Undecided(f"{place} is missing: replaying needs the data", hint="give the dataset with --data FOLDER")
    dataset = Dataset.open(place)
    if dataset.manifest.digest != spec.dataset:
        raise UsageError(f"{place} holds another dataset than the run's", hint=f"its digest is {spec.dataset.hex()}")
    return dataset


def _classes(bundle: Bundle, works: Works, mine: Json) -> tuple[dict[Worker, Tolerance | None], frozenset[Worker]]:
    """The tolerance that applies to each worker, if any, and the workers of another class than this machine's."""
    tolerances: dict[Worker, Tolerance | None] = {}
    other: set[Worker] = set()
    for (_, worker), work in works.items():
        if worker in tolerances:
            continue
        tolerances[worker] = None
        if work.receipt.environment == environment_digest(mine):
            continue
        other.add(worker)
        try:
            tolerances[worker] = tolerance_for(_environment(bundle, work.receipt.environment), mine)
        except Undecided:
            # No calibration: a difference stays unknown, equal bits are still equal.
            tolerances[worker] = None
    return tolerances, frozenset(other)


def _environment(bundle: Bundle, digest: Digest) -> Json:
    document = parse(bundle.read(environment_path(digest)))
    if environment_digest(document) != digest:
        raise Contradiction(f"{environment_path(digest)} is not the environment it is called", claim=3)
    return document
