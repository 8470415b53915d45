"""What a folder is: a bundle, a run, a dataset, and what it holds in brief. Nothing here is verified."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attestrain.errors import UsageError
from attestrain.record.bundle import FORMAT as BUNDLE_FORMAT
from attestrain.record.bundle import MANIFEST, MAX_MANIFEST, SPEC, Manifest
from attestrain.record.canonical import parse_any_form
from attestrain.record.dataset import FORMAT as DATASET_FORMAT
from attestrain.record.dataset import DatasetManifest
from attestrain.record.spec import RunSpec
from attestrain.report.artefacts import Facts, dataset_facts, manifest_facts
from attestrain.report.events import FILE, read_events
from attestrain.report.story import tell_story


def describe_folder(folder: Path) -> Facts:
    """What ``folder`` holds.

    Raises:
        UsageError: it is no folder of a kind known here, or cannot be read.
        FormatError: its central file is malformed.
    """
    if (folder / FILE).is_file():
        return _describe_run(folder)
    if (folder / MANIFEST).is_file():
        data = _read(folder / MANIFEST, MAX_MANIFEST)
        document = parse_any_form(data, max_bytes=MAX_MANIFEST)
        reader = _READERS.get(str(document.get("format")))
        if reader is not None:
            return reader(folder, data)
    hint = "inspect reads bundles (manifest.json), runs (events.jsonl) and datasets (manifest.json)"
    raise UsageError(f"{folder} is no folder known here", hint=hint)


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _describe_bundle(folder: Path, data: bytes) -> Facts:
    facts = manifest_facts(Manifest.from_bytes(data))
    if (folder / SPEC).is_file():
        spec = RunSpec.from_bytes((folder / SPEC).read_bytes())
        schedule = spec.schedule
        facts["name"] = spec.name
        facts["model"] = f"{spec.layout.parameters} parameters, task {spec.task.name}"
        facts["schedule"] = f"{schedule.rounds} rounds of {schedule.steps} steps, {schedule.workers} workers"
    return {**facts, "checked": "no: see attestrain verify"}


def _describe_dataset(folder: Path, data: bytes) -> Facts:
    return dataset_facts(DatasetManifest.from_json(parse_any_form(data)))


def _describe_run(folder: Path) -> Facts:
    story = tell_story(read_events(folder / FILE))
    workers = [
        {
            "worker": worker.worker,
            "state": worker.state,
            "updates": worker.updates,
            "uploaded bytes": worker.uploaded,
            "confirmed": worker.passed,
            "refuted": worker.failed,
            "restarts": worker.restarts,
        }
        for _, worker in sorted(story.workers.items())
    ]
    facts: Facts = {
        "format": "run folder",
        "run": story.run,
        "name": story.name,
        "state": "finished" if story.finished else f"unfinished, last seen {story.phase} in round {story.round}",
        "parameters": story.parameters,
        "rounds": f"{story.losses[-1][0] if story.losses else 0} of {story.rounds}",
        "validation loss": f"{story.losses[-1][1]:.4f}" if story.losses else "not measured",
        "seconds": round(story.seconds, 1),
        "workers": workers,
    }
    if not story.finished:
        facts["resume"] = f"attestrain train --resume {folder}"
    elif (folder / "bundle").is_dir():
        facts["verify"] = f"attestrain verify {folder}/bundle --policy {folder}/policy.toml"
    return facts


_READERS: dict[str, Callable[[Path, bytes], Facts]] = {
    BUNDLE_FORMAT: _describe_bundle,
    DATASET_FORMAT: _describe_dataset,
}
