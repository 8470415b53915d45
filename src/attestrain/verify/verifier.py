"""The essay: claim by claim from a bundle to a verdict. No torch, no network, no chain, no account."""

from __future__ import annotations

from pathlib import Path

from attestrain.record.bundle import CHAIN, MANIFEST, Bundle, Files, FolderFiles
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.names import RunId
from attestrain.record.note import VerifierKey
from attestrain.record.spec import RunSpec
from attestrain.record.transcript import Log
from attestrain.rules.ledger import Ledger
from attestrain.verify import (
    aggregation,
    anchors,
    assignment,
    chain,
    continuity,
    enrolments,
    keys,
    model,
    receipts,
    replays,
    settlement,
    structure,
    transcript,
)
from attestrain.verify.checks import Docket, VerificationError, require
from attestrain.verify.guarantees import Evidence, OnChain, achieved, self_asserted, unmet
from attestrain.verify.policy import CHECKED, Pins, Policy
from attestrain.verify.verdict import Verdict, decide
from attestrain.verify.workers import worker_reports

_UNCHECKED = Pins()
_EARLIER = "an earlier claim does not hold"


def verify_folder(folder: Path, policy: Policy | None = None) -> Verdict:
    """Judge the bundle in ``folder``.

    Raises:
        VerificationError: it is not a bundle, or cannot be read.
    """
    if not (folder / MANIFEST).is_file():
        hint = "give the folder that holds manifest.json, such as runs/<run>/bundle"
        raise VerificationError(f"{folder} is not a bundle", hint=hint)
    return verify(FolderFiles(folder), policy)


def verify(files: Files, policy: Policy | None = None) -> Verdict:
    """Judge a bundle.

    Args:
        files: the bundle.
        policy: pins and required guarantees; without one the best verdict is CONSISTENT.

    Raises:
        VerificationError: the files cannot be read.
    """
    docket = Docket()
    try:
        run, evidence = _hear(docket, files, policy.pins if policy else _UNCHECKED)
    except OSError as error:
        raise VerificationError(f"the bundle cannot be read: {error}") from error
    docket.skip_rest(_EARLIER)
    return _conclude(docket, run, evidence, policy)


def _hear(docket: Docket, files: Files, pins: Pins) -> tuple[RunId | None, Evidence | None]:
    """Claims (0) to (11), in order, as far as each can be checked."""
    # (0) structure
    bundle = docket.hear(0, "manifest", lambda: structure.open_manifest(files))
    if bundle is None:
        return None, None
    docket.hear(0, "files", lambda: structure.check_files(bundle))

    # (1) spec
    spec = docket.hear(1, "run spec", lambda: structure.read_spec(bundle))
    if spec is None:
        return None, None
    if pins.run is not None:
        docket.hear(1, "pinned run", lambda: _same_run(spec, pins.run))

    # (2) transcript
    log_and_key = docket.hear(2, "log", lambda: transcript.read_transcript(bundle))
    if log_and_key is None:
        return spec.run_id, None
    log, key = log_and_key
    if pins.transcript_key is not None:
        docket.hear(2, "pinned key", lambda: _same_key(key, pins.transcript_key))
    ledger = docket.hear(2, "entries", lambda: transcript.replay_transcript(spec, log))
    if ledger is None:
        return spec.run_id, None
    docket.hear(2, "end of the run", lambda: transcript.require_end(ledger))
    found = _hear_chain(docket, bundle, ledger, log, pins)
    return spec.run_id, _hear_work(docket, bundle, ledger, pins, found)


def _hear_chain(docket: Docket, bundle: Bundle, ledger: Ledger, log: Log, pins: Pins) -> OnChain:
    """Claims (2) and (3), as far as a chain answers them."""
    found = OnChain()
    testimony = [path for path in bundle.manifest.files if path.startswith("evidence/")]
    if ledger.spec.beacon_mode == "recorded":
        if strays := [path for path in (CHAIN, *testimony) if path in bundle]:
            docket.fail(2, "anchors", f"{strays[0]} has no place in the bundle of a run without a chain")
        else:
            docket.skip(2, "anchors", "this run has no chain")
        docket.skip(3, "evidence", "this run has no chain to date evidence by")
        return found
    docket.hear(2, "anchored prefixes", lambda: anchors.check_prefixes(ledger, log))
    found.state = state = docket.hear(2, "chain", lambda: chain.read_chain(bundle, pins.chain))
    if state is None:
        return found
    found.run = docket.hear(2, "anchors", lambda: anchors.check_anchors(ledger, log, state))
    docket.hear(3, "enrolments", lambda: enrolments.check_enrolments(ledger, state))
    if not testimony and all(join.evidence == ZERO_DIGEST for join in enrolments.joins(ledger)):
        docket.skip(3, "evidence", "this run has no TEE evidence")
        return found
    from attestrain.verify import evidence

    roots = pins.evidence_roots or None
    registers = pins.registers
    found.appraisals = docket.hear(
        3, "evidence", lambda: evidence.check_evidence(bundle, ledger, state, roots, registers)
    )
    return found


def _hear_work(docket: Docket, bundle: Bundle, ledger: Ledger, pins: Pins, found: OnChain) -> Evidence | None:
    """Claims (3) to (11), over a transcript that holds."""
    # (3) keys
    docket.hear(3, "environments", lambda: keys.check_environments(bundle, ledger))

    # (4) receipts
    works = docket.hear(4, "receipts", lambda: receipts.read_works(bundle, ledger))
    if works is None:
        return None

    # (8) aggregation, heard before (5), which needs the checkpoints
    history = docket.hear(8, "checkpoints", lambda: aggregation.derive(bundle, ledger, works))

    # (5) continuity
    gaps = None
    if history is not None:
        records = history.checkpoints
        gaps = docket.hear(5, "continuity", lambda: continuity.check_continuity(ledger, works, records))

    # (6) assignment
    dataset = docket.hear(6, "dataset", lambda: assignment.read_dataset(bundle, ledger.spec))
    if dataset is not None:
        manifest, leaves = dataset
        docket.hear(6, "batches and rates", lambda: assignment.check_assignment(ledger, works, leaves))
        docket.hear(0, "data and states", lambda: model.check_extras(bundle, manifest, ledger.spec))

    # (7) availability
    docket.skip(7, "availability", "this run has no keepers")

    # (9) replays
    replayed = docket.hear(9, "findings", lambda: replays.check_findings(ledger, works))
    if pins.auditors:
        docket.hear(9, "pinned auditors", lambda: replays.check_auditors(ledger, pins.auditors))

    # (10) settlement
    if ledger.spec.beacon_mode == "recorded":
        docket.skip(10, "settlement", "this run has no stake and no payouts")
    elif found.state is not None and found.run is not None and history is not None:
        state, run, members = found.state, found.run, history.members
        found.settled = docket.hear(10, "settlement", lambda: settlement.check_settlement(ledger, state, run, members))

    # (11) model
    if history is not None:
        docket.hear(11, "model", lambda: model.check_model(bundle, ledger, history, pins.checkpoint))
    return Evidence(docket, ledger, works, history, gaps, replayed, found)


def _same_run(spec: RunSpec, pinned: RunId | None) -> tuple[None, str]:
    require(spec.run_id == pinned, f"this is run {spec.run_id.hex()}, not the pinned one")
    return None, "as pinned"


def _same_key(key: VerifierKey, pinned: VerifierKey | None) -> tuple[None, str]:
    require(key == pinned, f"the transcript is signed by {key}, not by the pinned key")
    return None, "as pinned"


def _conclude(docket: Docket, run: RunId | None, evidence: Evidence | None, policy: Policy | None) -> Verdict:
    found, reasons = (
        achieved(evidence, policy.pins if policy else _UNCHECKED)
        if evidence
        else ([], dict.fromkeys(CHECKED, _EARLIER))
    )
    fraction = evidence.ledger.spec.audit_fraction if evidence else "0"
    lacking = tuple(unmet(policy, found, reasons, fraction)) if policy else ()
    checks = tuple(sorted(docket.checks, key=lambda check: check.claim))
    return Verdict(
        outcome=decide(checks, pinned=policy is not None, unmet=lacking),
        run=run,
        checks=checks,
        achieved=tuple(found),
        self_asserted=tuple(self_asserted(found, policy.pins if policy else _UNCHECKED)),
        unmet=lacking,
        workers=tuple(worker_reports(evidence)) if evidence else (),
    )
