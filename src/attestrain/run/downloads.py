"""What a participant fetches before it joins: spec, terms, dataset. All of it is checked against the run's name."""

from __future__ import annotations

import shutil
from pathlib import Path

from attestrain.corpus.dataset import (
    DOCUMENTS,
    MANIFEST,
    MAX_MANIFEST,
    TOKENIZER,
    Dataset,
    leaves_file,
    tokens_file,
)
from attestrain.corpus.tokenizers import MAX_FILE
from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.canonical import MAX_DOCUMENT, parse
from attestrain.record.dataset import DatasetManifest
from attestrain.record.digest import DIGEST_SIZE, sha256
from attestrain.record.names import RunId
from attestrain.record.spec import RunSpec
from attestrain.run.folder import RunFolder
from attestrain.run.service.client import Caller
from attestrain.run.terms import MAX_TERMS, Terms
from attestrain.store.atomic import write_atomic


def fetch_spec(caller: Caller, run: RunFolder, name: RunId) -> RunSpec:
    """The spec of run ``name``, kept in the folder.

    Raises:
        FormatError: what the service sends is not that spec.
        UsageError: the folder holds another run.
    """
    if not run.spec.is_file():
        data = fetch(caller, "/v1/run", MAX_DOCUMENT)
        if sha256(data) != name:
            raise FormatError("the service sends the spec of another run than the invitation names")
        RunSpec.from_bytes(data)
        write_atomic(run.spec, data)
    spec = RunSpec.from_bytes(run.spec.read_bytes())
    if spec.run_id != name:
        raise UsageError(f"{run.path} holds another run", hint="choose another folder with --folder")
    return spec


def fetch_terms(caller: Caller) -> Terms:
    """The network's terms.

    Raises:
        FormatError: malformed.
    """
    return Terms.from_bytes(fetch(caller, "/v1/run/terms", MAX_TERMS))


def fetch_dataset(caller: Caller, run: RunFolder, spec: RunSpec) -> None:
    """The run's dataset, whole and checked, in the folder; nothing if it is there.

    Raises:
        UsageError: it is not public.
        FormatError: what the service sends is not that dataset.
    """
    if run.dataset.is_dir():
        return
    building = run.path / ".dataset-building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    manifest = _fetch_manifest(caller, building, spec)
    for name, most in _sizes(manifest).items():
        caller.fetch_file(f"/v1/run/dataset/{name}", building / name, most)
    Dataset.open(building).check()
    building.rename(run.dataset)


def _fetch_manifest(caller: Caller, folder: Path, spec: RunSpec) -> DatasetManifest:
    answer = caller.ask("GET", f"/v1/run/dataset/{MANIFEST}", most=MAX_MANIFEST)
    if answer.status == 404:
        raise UsageError("the data of this network are not public, and sealed data cannot be had yet")
    if answer.status != 200:
        raise Unreachable(f"the dataset cannot be had: {answer.why}")
    manifest = DatasetManifest.from_json(parse(answer.body))
    if manifest.digest != spec.dataset:
        raise FormatError("the service sends another dataset than the run's")
    (folder / MANIFEST).write_bytes(answer.body)
    return manifest


def _sizes(manifest: DatasetManifest) -> dict[str, int]:
    """Most bytes of every file of the dataset besides the manifest."""
    found = {DOCUMENTS: manifest.documents.size}
    if manifest.tokenizer.file is not None:
        found[TOKENIZER] = MAX_FILE
    for name, split in manifest.splits():
        found[leaves_file(name)] = split.sequences * DIGEST_SIZE
        found[tokens_file(name)] = split.tokens.size
    return found


def fetch(caller: Caller, target: str, most: int) -> bytes:
    """A small document.

    Raises:
        Unreachable: the service does not hand it out.
    """
    answer = caller.ask("GET", target, most=most)
    if answer.status != 200:
        raise Unreachable(f"{target} cannot be had: {answer.why}")
    return answer.body
