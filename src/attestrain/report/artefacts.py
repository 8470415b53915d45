"""What a file says, in facts that people and programs can read. Nothing here is verified; `verify` is for that.

`describe` finds out what a file is from its first bytes and hands it to the reader of that format. Every reader returns
a document: names to texts, numbers, lists and further documents, in the order in which they are best read.
"""

from __future__ import annotations

import json
import struct
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from attestrain.errors import FormatError, UsageError
from attestrain.record.blob import blob_ref
from attestrain.record.bundle import FORMAT as BUNDLE_FORMAT
from attestrain.record.bundle import SPEC, Manifest
from attestrain.record.canonical import Json, canonical, check_nesting, parse_any_form
from attestrain.record.checkpoint import FORMAT as CHECKPOINT_FORMAT
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.dataset import FORMAT as DATASET_FORMAT
from attestrain.record.dataset import DatasetManifest
from attestrain.record.digest import sha256
from attestrain.record.proof import FORMAT as PROOF_FORMAT
from attestrain.record.spec import FORMAT as SPEC_FORMAT
from attestrain.record.spec import RunSpec
from attestrain.record.statements import KINDS, Signed, Statement
from attestrain.record.trace import FORMAT as TRACE_FORMAT
from attestrain.record.trace import Trace, state_root
from attestrain.report.chainfacts import READERS
from attestrain.store.log import MAGIC as LOG_MAGIC
from attestrain.store.log import decode_record
from attestrain.update.codec import decode
from attestrain.update.header import MAGIC as UPDATE_MAGIC
from attestrain.update.header import read_opening

MAX_FILE = 1 << 32
"""Largest file inspected (4 GiB): it is read into memory."""
MAX_TENSORS_HEADER = 64 << 20
"""Longest header of a safetensors file: a hundred thousand tensors."""

Facts = dict[str, Any]


def describe(path: Path) -> Facts:
    """What the file ``path`` says.

    Raises:
        UsageError: it cannot be read or is of no format known here.
        FormatError: it is malformed.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise UsageError(f"{path} is larger than {MAX_FILE} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    for recognise, read in _FORMATS:
        if recognise(data):
            return read(data, path)
    raise UsageError(f"{path} is of no format known here", hint="inspect reads artefacts of a run: see spec/")


def _read_update(data: bytes, path: Path) -> Facts:
    opening = read_opening(data)
    header = opening.header
    bits = 8 * len(data) / opening.parameters if opening.parameters else 0.0
    facts: Facts = {
        "format": UPDATE_MAGIC.decode().strip(),
        "run": header.run.hex(),
        "branch": header.branch,
        "round": header.round,
        "worker": header.worker,
        "base": header.base.hex(),
        "codec": opening.codec,
        "parameters": opening.parameters,
        "bytes": len(data),
        "bits per parameter": f"{bits:.3f}",
        "times smaller than fp32": f"{32 / bits:.1f}" if bits else "",
        "root": blob_ref(data).root.hex(),
    }
    spec = _spec_beside(path)
    if spec is None or spec.run_id != header.run:
        return {**facts, "norm": "not known: the run's spec.json is not above this file"}
    if spec.adaptive is not None:
        return {**facts, "norm": "not known: the rank of this round stands in the checkpoint it starts from"}
    return {**facts, "norm": f"{float(decode(spec, data).norm_squared()) ** 0.5:.6g}"}


def _spec_beside(path: Path) -> RunSpec | None:
    """The run spec in one of the folders above ``path``, as in a bundle."""
    for folder in path.resolve().parents:
        if (folder / SPEC).is_file():
            return RunSpec.from_bytes((folder / SPEC).read_bytes())
    return None


def _read_journal(data: bytes, path: Path) -> Facts:
    kinds: Counter[str] = Counter()
    at, entries = len(LOG_MAGIC), 0
    while (record := decode_record(data, at)) is not None:
        entry, at = record
        entries += 1
        kinds[Signed.from_bytes(entry).statement.FORMAT] += 1
    facts = {"format": LOG_MAGIC.decode().strip(), "entries": entries, "kinds": dict(kinds)}
    return facts if at == len(data) else {**facts, "unfinished": f"{len(data) - at} bytes of an entry nobody has seen"}


def _is_entries(data: bytes) -> bool:
    """An entry bundle of a C2SP tile log: u16 length and entry, again and again; ours are documents."""
    return data[2:3] == b"{" and data[int.from_bytes(data[:2], "big") + 1 :][:1] == b"}"


def _read_entries(data: bytes, path: Path) -> Facts:
    entries: list[Facts] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        signed = Signed.from_bytes(data[at + 2 : end])
        entry: Facts = {"entry": len(entries), "statement": signed.statement.FORMAT}
        said = {name: getattr(signed.statement, name, "") for name in ("round", "worker", "segment", "outcome")}
        entries.append({**entry, **said, "signer": signed.signer()[:10]})
        at = end
    return {"format": "c2sp.org/tlog-tiles entry bundle", "entries": entries}


def _is_safetensors(data: bytes) -> bool:
    return len(data) > 9 and data[8:9] == b"{" and 2 <= int.from_bytes(data[:8], "little") <= len(data) - 8


def _read_safetensors(data: bytes, path: Path) -> Facts:
    size = int.from_bytes(data[:8], "little")
    try:
        check_nesting(data[8 : 8 + min(size, MAX_TENSORS_HEADER)])
        header = json.loads(data[8 : 8 + min(size, MAX_TENSORS_HEADER)])
        tensors = [
            {"name": name, "type": entry["dtype"], "shape": "x".join(map(str, entry["shape"]))}
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} has a malformed safetensors header") from error
    return {"format": "safetensors", "bytes": len(data), "sha256": sha256(data).hex(), "tensors": tensors}


def _read_document(data: bytes, path: Path) -> Facts:
    lines = data.splitlines()
    if len(lines) > 1 and lines[0].endswith(b"}"):
        return _read_events(path)
    document = parse_any_form(data)
    reader = _DOCUMENTS.get(str(document.get("format")))
    if reader is not None:
        return reader(document, data)
    if "crypto" in document and document.get("version") == 3:
        return _read_keystore(document)
    if "format" not in document:
        raise UsageError(f"{path} is JSON without a format", hint="inspect reads artefacts of a run: see spec/")
    return {**document, "sha256": sha256(canonical(document)).hex()}


def _read_events(path: Path) -> Facts:
    from attestrain.report.events import read_events

    lines = read_events(path)
    return {"format": "events.jsonl", "events": len(lines), "kinds": dict(Counter(line.kind for line in lines))}


def _read_statement(document: Json, data: bytes) -> Facts:
    signed = Signed.from_bytes(data)
    return {"format": signed.statement.FORMAT, **_quantities(signed.statement), "signer": signed.signer()}


def _quantities(statement: Statement) -> Facts:
    values = {item.name: getattr(statement, item.name) for item in fields(statement)}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def _read_spec(document: Json, data: bytes) -> Facts:
    spec = RunSpec.from_bytes(data)
    schedule, inner = spec.schedule, spec.inner
    rates = [_float32(inner.rate_bits(step)) for step in range(schedule.total_steps)]
    return {
        "format": SPEC_FORMAT,
        "run": spec.run_id.hex(),
        "name": spec.name,
        "seed": spec.seed,
        "code": spec.code.hex(),
        "task": {"name": spec.task.name, "code": spec.task.code.hex(), "config": spec.task.config},
        "model": {"parameters": spec.layout.parameters, "tensors": len(spec.layout.tensors)},
        "state": spec.state,
        "dataset": spec.dataset.hex(),
        "schedule": {
            **document["schedule"],
            "segments per worker-round": schedule.segments,
            "tokens per worker-round": schedule.round_tokens,
        },
        "inner": {
            "name": inner.name,
            "peak rate": f"{max(rates):.6g}",
            "last rate": f"{rates[-1]:.6g}",
            **inner.settings,
        },
        "codec": document["codec"],
        **({"adaptive": document["adaptive"]} if spec.adaptive is not None else {}),
        "screen": document["screen"],
        "outer": document["outer"],
        "audit": document["audit"],
        "beacon": document["beacon"],
    }


def _float32(bits: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", bits))[0])


def _read_trace(document: Json, data: bytes) -> Facts:
    trace = Trace.from_bytes(data)
    segments = []
    for index, segment in enumerate(trace.segments):
        losses = [_float32(step.loss) for step in segment.steps]
        segments.append(
            {
                "segment": index,
                "kind": segment.kind,
                "steps": len(segment.steps),
                "loss": f"{losses[0]:.4f} to {losses[-1]:.4f}" if losses else "",
                "state out": state_root(trace.states[index + 1]).hex()[:16],
                "result": trace.result(index).hex()[:16],
            }
        )
    return {
        "format": TRACE_FORMAT,
        "run": trace.run.hex(),
        "branch": trace.branch,
        "round": trace.round,
        "worker": trace.worker,
        "root": trace.root.hex(),
        "update": trace.update.to_json(),
        "components": ", ".join(sorted(trace.states[0])),
        "segments": segments,
    }


def _read_checkpoint(document: Json, data: bytes) -> Facts:
    return {**document, "digest": CheckpointRecord.from_bytes(data).digest.hex()}


def _read_manifest(document: Json, data: bytes) -> Facts:
    return manifest_facts(Manifest.from_bytes(data))


def manifest_facts(manifest: Manifest) -> Facts:
    """A bundle's manifest, its files counted by folder."""
    parts: dict[str, list[int]] = {}
    for path, entry in manifest.files.items():
        parts.setdefault(path.partition("/")[0], []).append(entry.size)
    content = [{"part": part, "files": len(sizes), "bytes": sum(sizes)} for part, sizes in sorted(parts.items())]
    total = sum(entry.size for entry in manifest.files.values())
    facts = {"format": BUNDLE_FORMAT, "run": manifest.run.hex()}
    return {**facts, "files": len(manifest.files), "bytes": total, "content": content}


def _read_dataset(document: Json, data: bytes) -> Facts:
    return dataset_facts(DatasetManifest.from_json(document))


def dataset_facts(manifest: DatasetManifest) -> Facts:
    """A dataset's manifest with its digest."""
    splits = [
        {
            "split": name,
            "sequences": info.sequences,
            "documents": info.documents,
            "bytes of text": info.bytes,
            "root": info.root.hex()[:16],
        }
        for name, info in manifest.splits()
    ]
    return {
        "format": DATASET_FORMAT,
        "digest": manifest.digest.hex(),
        "name": manifest.name,
        "licence": manifest.licence,
        "source": manifest.source,
        "salt": manifest.salt,
        "tokenizer": manifest.tokenizer.to_json(),
        "sequence tokens": manifest.sequence_tokens,
        "splits": splits,
    }


def _read_keystore(document: Json) -> Facts:
    """Public parts only: not even the encrypted secret is worth a line on a screen."""
    crypto = document["crypto"]
    public = {name: str(document[name]) for name in ("address", "vkey", "id") if name in document}
    known = {name: str(crypto.get(name)) for name in ("cipher", "kdf")} if isinstance(crypto, dict) else {}
    facts: Facts = {"format": "Web3 Secret Storage version 3"}
    return facts | public | known


def _read_note(data: bytes, path: Path) -> Facts:
    text, _, signatures = data.decode("utf-8", errors="replace").rpartition("\n\n")
    signers = [line.split(" ")[1] for line in signatures.splitlines() if line.count(" ") == 2]
    origin, size, root = (*text.split("\n"), "", "", "")[:3]
    facts = {"format": "c2sp.org/tlog-checkpoint", "origin": origin, "entries": size, "root": root}
    return {**facts, "signed by": signers, "checked": "no: that needs the key, see attestrain verify"}


def _read_proof(data: bytes, path: Path) -> Facts:
    head, _, note = data.decode("ascii", errors="replace").partition("\n\n")
    lines = head.split("\n")
    index = lines[1].removeprefix("index ") if len(lines) > 1 else ""
    checkpoint = _read_note(note.encode(), path)
    return {"format": PROOF_FORMAT, "index": index, "path": f"{len(lines) - 2} hashes", "checkpoint": checkpoint}


def _is_toml(data: bytes) -> bool:
    try:
        tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return bool(data.strip())


def _read_toml(data: bytes, path: Path) -> Facts:
    settings = tomllib.loads(data.decode("utf-8"))
    # TOML knows dates and times, which JSON has to write as text.
    return {"format": "TOML settings", **json.loads(json.dumps(settings, default=str))}


_NOTE_MARK = "\n\n\N{EM DASH} ".encode()

_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, Path], Facts]], ...] = (
    (lambda data: data.startswith(UPDATE_MAGIC), _read_update),
    (lambda data: data.startswith(LOG_MAGIC), _read_journal),
    (_is_safetensors, _read_safetensors),
    (_is_entries, _read_entries),
    (lambda data: data.lstrip()[:1] == b"{", _read_document),
    (lambda data: data.startswith(PROOF_FORMAT.encode()), _read_proof),
    (lambda data: _NOTE_MARK in data[-4096:], _read_note),
    (_is_toml, _read_toml),
)
"""How to tell formats apart, the surest sign first."""

_DOCUMENTS: dict[str, Callable[[Json, bytes], Facts]] = {
    SPEC_FORMAT: _read_spec,
    TRACE_FORMAT: _read_trace,
    CHECKPOINT_FORMAT: _read_checkpoint,
    BUNDLE_FORMAT: _read_manifest,
    DATASET_FORMAT: _read_dataset,
    **READERS,
    **dict.fromkeys(KINDS, _read_statement),
}
