"""From a finished run folder to its bundle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from attestrain.corpus.dataset import Dataset
from attestrain.errors import FormatError
from attestrain.record import bundle as names
from attestrain.record.blob import BlobRef
from attestrain.record.bundle import (
    FolderFiles,
    environment_path,
    evidence_path,
    make_manifest,
    trace_path,
    update_path,
)
from attestrain.record.chain import ChainFacts
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.note import LogKey
from attestrain.record.spec import RunSpec
from attestrain.record.trace import StateRefs, Trace
from attestrain.record.transcript import Log
from attestrain.rules.ledger import Ledger
from attestrain.run.folder import RunFolder
from attestrain.run.states import ADOPTED, needed, retained
from attestrain.store.atomic import sync_folder, write_atomic
from attestrain.store.blobs import BlobStore
from attestrain.train.export import safetensors_bytes
from attestrain.train.task import Task
from attestrain.update.checkpoint import Checkpoint

STATES = "states"
"""Component blobs by root: where a stranger's replay can start besides round 0."""


def write_bundle(
    folder: RunFolder,
    ledger: Ledger,
    log: Log,
    note_key: LogKey,
    dataset: Dataset,
    final: Checkpoint,
    keep_states_every: int,
    facts: ChainFacts | None,
) -> Path:
    """Write the bundle of a finished run beside the run, then move it into place in one step."""
    target, building = folder.bundle, folder.bundle.with_name(".bundle-building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    store = BlobStore(folder.store)
    _write(building, names.SPEC, ledger.spec.to_bytes())
    for path, data in log.files(log.checkpoint(note_key)).items():
        _write(building, f"{names.TRANSCRIPT}/{path}", data)
    for digest in sorted({item.statement.environment for joins in ledger.joins.values() for item in joins}):
        name = environment_path(digest)
        _write(building, name, (folder.path / name).read_bytes())
    for digest in sorted({item.statement.evidence for joins in ledger.joins.values() for item in joins}):
        if digest != ZERO_DIGEST:
            _write(building, evidence_path(digest), (folder.path / evidence_path(digest)).read_bytes())
    if facts is not None:
        _write(building, names.CHAIN, facts.to_bytes())
    _write_dataset(building, dataset)
    for trace, update in _published(ledger, store):
        _write(building, trace_path(trace.round, trace.worker), trace.to_bytes())
        _write(building, update_path(trace.round, trace.worker), update)
        if retained(trace.round, keep_states_every):
            _write_states(building, store, ledger.spec, trace)
    _write_model(building, ledger, final)
    write_atomic(building / names.MANIFEST, make_manifest(ledger.spec.run_id, FolderFiles(building)).to_bytes())
    # A bundle in its place is complete, also after the power has failed.
    os.sync()
    building.rename(target)
    sync_folder(target.parent)
    return target


def _write(building: Path, path: str, data: bytes) -> None:
    target = building / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _write_dataset(building: Path, dataset: Dataset) -> None:
    """Manifest and training leaves for everyone; the data itself, which replaying needs, if its salt is public."""
    _write(building, names.DATASET, (dataset.folder / "manifest.json").read_bytes())
    _write(building, names.LEAVES, dataset.split("train").leaves)
    if dataset.manifest.salt == "public":
        shutil.copytree(dataset.folder, building / "data", ignore=shutil.ignore_patterns(".*"))


def _published(ledger: Ledger, store: BlobStore) -> Iterator[tuple[Trace, bytes]]:
    """Every worker-round that was published, with its update."""
    for round_ in sorted(ledger.rounds):
        book = ledger.rounds[round_]
        for worker in sorted(book.published):
            published = book.published[worker].statement
            receipt = book.receipts[worker].statement
            trace = Trace.from_bytes(store.get(BlobRef(published.trace_blob, published.trace_size)))
            yield trace, store.get(BlobRef(receipt.update_root, receipt.update_size))


def _write_states(building: Path, store: BlobStore, spec: RunSpec, trace: Trace) -> None:
    refs: StateRefs = needed(spec, trace, ADOPTED)
    if not all(store.has(ref) for ref in refs.values()):
        return
    for ref in refs.values():
        _write(building, f"{STATES}/{ref.root.hex()}.bin", store.get(ref))


def _write_model(building: Path, ledger: Ledger, final: Checkpoint) -> None:
    if ledger.run_close is None or ledger.run_close.checkpoint != final.record.digest:
        raise FormatError("the run is not closed on the checkpoint at hand")
    _write(building, names.MODEL, safetensors_bytes(ledger.spec.layout, final.params))


def export_model(folder: RunFolder, ledger: Ledger, task: Task, final: Checkpoint) -> None:
    """Write the model for other libraries to load, beside the bundle: no claim covers a library's configuration."""
    folder.model.mkdir(exist_ok=True)
    write_atomic(folder.model / "model.safetensors", safetensors_bytes(ledger.spec.layout, final.params))
    config = task.export_config(ledger.spec.task.config)
    if config is not None:
        write_atomic(folder.model / "config.json", json.dumps(config, indent=2, sort_keys=True).encode("ascii") + b"\n")
