"""Lies: named ways of tampering with an honest bundle, for teaching and for tests (`attestrain tamper`).

A lie changes one thing and then covers its tracks: the manifest is always made again, and where a lie needs signatures
the whole transcript is signed again with keys of the liar's own. What gives each of them away is its claim.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from attestrain.cli.forgery import Transcript, forge, last_published, set_trace
from attestrain.errors import UsageError
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.bundle import (
    CHAIN,
    MANIFEST,
    MODEL,
    SPEC,
    FolderFiles,
    Manifest,
    MemoryFiles,
    make_manifest,
    update_path,
)
from attestrain.record.chain import ChainFacts
from attestrain.record.digest import sha256
from attestrain.record.names import RunId
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Finding, Receipt
from attestrain.record.trace import Segment, StateRefs, Trace

Apply = Callable[[MemoryFiles], None]


@dataclass(frozen=True, slots=True)
class Lie:
    """A way of tampering.

    Attributes:
        summary: what it does, for people.
        claim: number of the claim that gives it away (others may fail besides).
        apply: changes the files in place.
        covered: whether the manifest is made again afterwards.
        chain: whether only a run on a chain, with evidence, gives it a hold.
    """

    summary: str
    claim: int
    apply: Apply
    covered: bool = True
    chain: bool = False


def tell(files: MemoryFiles, name: str) -> MemoryFiles:
    """A copy of the bundle ``files`` with the lie called ``name`` in it.

    Raises:
        UsageError: there is no such lie, or this bundle gives it no hold.
    """
    if name not in LIES:
        raise UsageError(f"no lie is called {name!r}", hint=f"there are: {', '.join(LIES)}")
    lie, told = LIES[name], MemoryFiles(files)
    lie.apply(told)
    if lie.covered:
        told[MANIFEST] = make_manifest(Manifest.from_bytes(told[MANIFEST]).run, told).to_bytes()
    return told


def tamper(bundle: Path, name: str, out: Path) -> Lie:
    """Copy the bundle in ``bundle`` to the new folder ``out``, with the lie called ``name`` in it.

    Raises:
        UsageError: as `tell`, or ``out`` exists or lies inside ``bundle``, or ``bundle`` is not a bundle.
    """
    if out.exists():
        raise UsageError(f"{out} exists already", hint="give a folder that does not exist yet")
    if not (bundle / MANIFEST).is_file():
        raise UsageError(f"{bundle} is not a bundle", hint="give the folder that holds manifest.json")
    if out.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{out} lies inside the bundle", hint="give a folder outside of it")
    folder = FolderFiles(bundle)
    told = tell(MemoryFiles({path: folder.read(path) for path in folder.paths()}), name)
    for path, data in told.items():
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return LIES[name]


def _updates(files: MemoryFiles) -> list[str]:
    """Paths of the updates of the last round that has two."""
    round_, worker = last_published(files)
    chosen = update_path(round_, worker)
    beside = sorted(path for path in files if path.startswith(chosen.rsplit("/", 1)[0]) and path != chosen)
    if not beside:
        raise UsageError("the last round has one update only, this lie needs two")
    return [chosen, beside[0]]


def _flip(data: bytes, index: int) -> bytes:
    index %= len(data)
    return data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :]


def _flip_byte(files: MemoryFiles) -> None:
    path = update_path(*last_published(files))
    files[path] = _flip(files[path], -1)


def _swap_updates(files: MemoryFiles) -> None:
    one, other = _updates(files)
    files[one], files[other] = files[other], files[one]


def _copy_update(files: MemoryFiles) -> None:
    one, other = _updates(files)
    files[one] = files[other]


def _poison_update(files: MemoryFiles) -> None:
    path = update_path(*last_published(files))
    data, body = files[path], len(files[path]) // 2
    files[path] = data[:body] + bytes(byte ^ 0xFF for byte in data[body:])


def _hide_update(files: MemoryFiles) -> None:
    del files[update_path(*last_published(files))]


def _poison_model(files: MemoryFiles) -> None:
    data = bytearray(files[MODEL])
    data[-1] ^= 0x80  # the sign of the last parameter
    files[MODEL] = bytes(data)


def _edit_spec(files: MemoryFiles) -> None:
    spec = RunSpec.from_bytes(files[SPEC])
    files[SPEC] = replace(spec, seed=spec.seed ^ 1).to_bytes()


def _other_run(files: MemoryFiles) -> None:
    _edit_spec(files)
    manifest = Manifest.from_bytes(files[MANIFEST])
    files[MANIFEST] = replace(manifest, run=RunId(sha256(files[SPEC]))).to_bytes()


def _drop(kind: type[Receipt] | type[Finding]) -> Apply:
    def apply(files: MemoryFiles) -> None:
        log = Transcript.read(files)
        found = [index for index, signed in enumerate(log.signed) if isinstance(signed.statement, kind)]
        if not found:
            raise UsageError(f"the transcript holds no {kind.__name__.lower()}")
        del log.signed[found[-1]]
        log.write(files)

    return apply


def _reorder(files: MemoryFiles) -> None:
    log = Transcript.read(files)
    log.signed[-1], log.signed[-2] = log.signed[-2], log.signed[-1]
    log.write(files)


def _truncate(files: MemoryFiles) -> None:
    log = Transcript.read(files)
    del log.signed[-3:]
    log.write(files)


def _resign(files: MemoryFiles) -> None:
    Transcript.read(files).write(files)


def _forge_run(files: MemoryFiles) -> None:
    forge(files)


def _forge_receipt(files: MemoryFiles) -> None:
    forge(files, disown=True)


def _forge_beacon(files: MemoryFiles) -> None:
    _facts(files)
    forge(files, changed=last_published(files), beacon=sha256(b"a better draw"))


def _edit_stake(files: MemoryFiles) -> None:
    facts = _facts(files)
    vault = facts.contracts["vault"]
    held = facts.accounts[vault]
    slot, nodes = max(held.slots.items())
    slots = {**held.slots, slot: (*nodes[:-1], _flip(nodes[-1], -1))}
    files[CHAIN] = replace(facts, accounts={**facts.accounts, vault: replace(held, slots=slots)}).to_bytes()


def _swap_evidence(files: MemoryFiles) -> None:
    paths = sorted(path for path in files if path.startswith("evidence/"))[:2]
    if len(paths) < 2:
        raise UsageError("this run has no evidence to swap")
    files[paths[0]], files[paths[1]] = files[paths[1]], files[paths[0]]


def _facts(files: MemoryFiles) -> ChainFacts:
    if CHAIN not in files:
        raise UsageError("this run has no chain, which the lie would be about")
    return ChainFacts.from_bytes(files[CHAIN])


def _in_trace(edit: Callable[[Trace], Trace]) -> Apply:
    """A lie inside the trace of the last round, with everything above it signed again."""

    def apply(files: MemoryFiles) -> None:
        slot = last_published(files)
        set_trace(files, edit)
        forge(files, changed=slot)

    return apply


def _doctor(trace: Trace, prefix: str, until: int) -> Trace:
    """Put another value into a component before state ``until``: it moved between the rounds."""
    name = next((name for name in sorted(trace.states[0]) if name.startswith(prefix)), None)
    if name is None:
        raise UsageError(f"workers of this run keep no component {prefix}*")
    other = BlobRef(blob_ref(b"doctored").root, trace.states[0][name].size)
    states: list[StateRefs] = [{**state, name: other} for state in trace.states[:until]]
    return replace(trace, states=(*states, *trace.states[until:]))


def _edit_step(trace: Trace, *, rate: int = 0, batch: bytes = b"") -> Trace:
    first = trace.segments[1].steps[0]
    step = replace(first, rate=first.rate ^ rate, batch=sha256(batch) if batch else first.batch)
    segment = Segment("inner", (step, *trace.segments[1].steps[1:]))
    return replace(trace, segments=(trace.segments[0], segment, *trace.segments[2:]))


LIES: dict[str, Lie] = {
    "flip-byte": Lie("flips a bit of an update and leaves the manifest as it was", 0, _flip_byte, covered=False),
    "edit-spec": Lie("changes the seed in the run spec", 1, _edit_spec),
    "other-run": Lie("changes the seed and names the bundle after the new spec", 1, _other_run),
    "drop-receipt": Lie("leaves a receipt out of the transcript and signs it with a new key", 2, _drop(Receipt)),
    "drop-finding": Lie("leaves a finding out of the transcript and signs it with a new key", 2, _drop(Finding)),
    "reorder-entries": Lie("swaps the last two entries and signs the transcript with a new key", 2, _reorder),
    "truncate-transcript": Lie("cuts the transcript's end off and signs it with a new key", 2, _truncate),
    "resign-transcript": Lie("signs the very same transcript with a new key", 2, _resign),
    "forge-run": Lie("signs every statement of the run again with keys of the liar's own", 2, _forge_run),
    "forge-receipt": Lie("forges the run, and a receipt with a key that nobody registered", 4, _forge_receipt),
    "flip-update-byte": Lie("flips a bit of an update", 4, _flip_byte),
    "swap-updates": Lie("exchanges the updates of two workers", 4, _swap_updates),
    "copy-update": Lie("puts one worker's update in another's place", 4, _copy_update),
    "poison-update": Lie("inverts half of an update", 4, _poison_update),
    "hide-update": Lie("leaves an update out of the bundle", 4, _hide_update),
    "doctored-optimizer": Lie(
        "changes an optimizer buffer between two rounds and forges the run over it",
        5,
        _in_trace(lambda trace: _doctor(trace, "opt.", 2)),
    ),
    "doctored-feedback": Lie(
        "changes the error feedback between two rounds and forges the run over it",
        5,
        _in_trace(lambda trace: _doctor(trace, "ef", len(trace.states) - 1)),
    ),
    "edit-rate": Lie(
        "takes another learning rate than the spec's and forges the run over it",
        6,
        _in_trace(lambda trace: _edit_step(trace, rate=1)),
    ),
    "wrong-batch": Lie(
        "trains on another batch than the assigned one and forges the run over it",
        6,
        _in_trace(lambda trace: _edit_step(trace, batch=b"favourite data")),
    ),
    "forge-beacon": Lie(
        "rolls the last draw again and forges the run over a beacon that the chain never said",
        2,
        _forge_beacon,
        chain=True,
    ),
    "edit-stake": Lie("flips a bit of what the chain says of a stake", 2, _edit_stake, chain=True),
    "swap-evidence": Lie("exchanges the evidence of two session keys", 3, _swap_evidence, chain=True),
    "poison-model": Lie("flips the sign of one parameter of the delivered model", 11, _poison_model),
}
"""Every lie by name."""
