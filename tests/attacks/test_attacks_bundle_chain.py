"""Adversaries of a finished run with chain, evidence and stakes: everybody's true keys, one lie, one claim."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from attestrain.attester.measure import measured_events
from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SimulatedMachine
from attestrain.record.bundle import CHAIN, evidence_path
from attestrain.record.bundle import Bundle as Files
from attestrain.record.chain import CaseFact, Nodes
from attestrain.record.digest import sha256
from attestrain.record.evidence import Evidence, report_data
from attestrain.record.keys import SigningKey
from attestrain.record.names import Round, RunId, Worker
from attestrain.record.statements import Beacon, Finding, Join, Leave, Receipt, RunClose, Statement
from attestrain.rules.ledger import Ledger
from attestrain.verify.chain import read_chain
from attestrain.verify.checks import Contradiction
from attestrain.verify.settlement import check_settlement
from attestrain.verify.verdict import Outcome
from tests.attacks.full_run import Bundle, failures, missing

LAST = 4
"""The last epoch: after it, a beacon decides about nothing but the last round's draw."""


def same(statement: Statement) -> Statement:
    return statement


def flipped(data: bytes, bit: int) -> bytes:
    number = int.from_bytes(data, "big") ^ 1 << bit % (8 * len(data))
    return number.to_bytes(len(data), "big")


def refused(bundle: Bundle, claim: int, name: str, reason: str, *, alone: bool = True) -> None:
    """The verdict refutes this claim for this reason, and by default no other."""
    verdict = bundle.verdict()
    found = failures(verdict)
    assert verdict.outcome is Outcome.REFUTED
    assert reason in found[claim, name], found
    assert not alone or verdict.failed_claims == (claim,), found


def undecided(bundle: Bundle, claim: int, name: str, reason: str) -> None:
    verdict = bundle.verdict()
    assert verdict.outcome is Outcome.UNDECIDED, failures(verdict)
    assert reason in missing(verdict)[claim, name]


def test_the_honest_bundle_is_verified_and_signs_again_to_the_same_bytes(bundle: Bundle) -> None:
    before = dict(bundle.files)
    bundle.rewrite(same)
    verdict = bundle.verdict()
    assert dict(bundle.files) == before
    assert (verdict.outcome, verdict.unmet) == (Outcome.VERIFIED, ())


# The chain's facts.


@pytest.mark.parametrize("change", [{"number": 1}, {"block": sha256(b"another block")}])
def test_facts_of_another_block_than_the_pinned_one(bundle: Bundle, change: dict[str, object]) -> None:
    bundle.set_chain_pin(**change)
    refused(bundle, 2, "chain", "not of the pinned one")


@pytest.mark.parametrize("bit", range(5, 4800, 801))
def test_a_bit_of_the_header(bundle: Bundle, bit: int) -> None:
    bundle.set_facts(header=flipped(bundle.facts.header, bit))
    assert bundle.verdict().failed_claims == (2,)


@pytest.mark.parametrize("contract", ["ledger", "vault", "registry", "cases", "settlement"])
@pytest.mark.parametrize("pinned", [True, False])
def test_a_bit_of_a_contracts_account(bundle: Bundle, contract: str, pinned: bool) -> None:
    bundle.set_account(contract, lambda held: replace(held, proof=(*held.proof[:-1], flipped(held.proof[-1], 100))))
    verdict = bundle.verdict(pinned=pinned)
    assert failures(verdict) == {(2, "chain"): "a trie node is not the one that its parent names"}


def test_another_chain(bundle: Bundle) -> None:
    bundle.set_facts(chain_id=1)
    refused(bundle, 2, "chain", "of chain 1, not of the pinned 31337")


def test_another_ledger(bundle: Bundle) -> None:
    contracts = bundle.facts.contracts
    bundle.set_facts(contracts={**contracts, "ledger": contracts["vault"]})
    refused(bundle, 2, "chain", "not at the pinned")
    assert "other code than this package's" in failures(bundle.verdict(pinned=False))[2, "chain"]


def first_node(nodes: Nodes) -> Nodes:
    return (flipped(nodes[0], 77), *nodes[1:])


@pytest.mark.parametrize("contract", ["ledger", "vault", "registry", "cases"])
def test_a_bit_of_a_slots_proof(bundle: Bundle, contract: str) -> None:
    bundle.set_slots(contract, first_node)
    verdict = bundle.verdict()
    assert verdict.failed_claims == (2,)
    assert set(failures(verdict).values()) == {"a trie node is not the one that its parent names"}


# The ledger's own slots are read for the anchors, the others' wiring before anything else.
@pytest.mark.parametrize(
    ("contract", "name"), [("ledger", "anchors"), *((name, "chain") for name in ("vault", "registry", "cases"))]
)
def test_slots_whose_proof_is_left_out(bundle: Bundle, contract: str, name: str) -> None:
    bundle.set_slots(contract, lambda nodes: None)
    undecided(bundle, 2, name, f"of the {contract}")


def test_proofs_of_slots_that_are_exchanged(bundle: Bundle) -> None:
    def exchanged(nodes: Nodes) -> Nodes:
        return other if nodes != other else one

    slots = bundle.facts.accounts[bundle.facts.contracts["ledger"]].slots
    one, other = sorted(set(slots.values()))[:2]
    bundle.set_slots("ledger", exchanged)
    assert bundle.verdict().failed_claims == (2,)


def test_no_facts_at_all(bundle: Bundle) -> None:
    del bundle.files[CHAIN]
    undecided(bundle, 2, "chain", "facts.json is missing")


# The transcript against the chain.


def test_a_beacon_that_names_another_block(bundle: Bundle) -> None:
    bundle.rewrite(lambda item: replace(item, height=item.height + 1) if isinstance(item, Beacon) else item)
    refused(bundle, 2, "anchors", "are not those on chain")


def test_a_beacon_that_the_chain_never_said(bundle: Bundle) -> None:
    """The sequencer rolls the last draw, and what the old one gave is left out."""

    def edit(item: Statement) -> Iterable[Statement]:
        if isinstance(item, Beacon) and item.epoch == LAST:
            yield replace(item, value=sha256(b"a better one"))
        elif not (isinstance(item, Finding) and item.round == LAST - 1):
            yield item

    bundle.rewrite(edit)
    refused(bundle, 2, "anchors", "are not those on chain")


def exchange_receipts(bundle: Bundle) -> Callable[[Statement], Statement]:
    """Two entries of the first round change places, which nothing but the log's root shows."""
    first, second = [item for item in bundle.statements if isinstance(item, Receipt)][:2]
    assert first.round == second.round == 0
    return lambda item: second if item == first else first if item == second else item


def test_an_entry_changed_before_its_anchor(bundle: Bundle) -> None:
    bundle.rewrite(exchange_receipts(bundle), refit=False)
    verdict = bundle.verdict()
    assert "the anchor of epoch 1 is not over this log's first" in failures(verdict)[2, "anchored prefixes"]
    assert verdict.failed_claims == (2,)


def test_an_entry_changed_before_its_anchor_and_every_anchor_after_it(bundle: Bundle) -> None:
    bundle.rewrite(exchange_receipts(bundle))
    refused(bundle, 2, "anchors", "are not those on chain")
    assert set(failures(bundle.verdict())) == {(2, "anchors")}


def test_a_beacon_over_another_log_is_refused_without_any_chain(bundle: Bundle) -> None:
    bundle.rewrite(exchange_receipts(bundle), refit=False)
    del bundle.files[CHAIN]
    for pinned in (True, False):
        verdict = bundle.verdict(pinned=pinned)
        assert (verdict.outcome, set(failures(verdict))) == (Outcome.REFUTED, {(2, "anchored prefixes")})


def leave_of(join: Join) -> Leave:
    return Leave(join.run, join.role, join.worker, join.participant, join.key_epoch)


def test_entries_behind_the_last_anchor(bundle: Bundle) -> None:
    leave = leave_of(bundle.join("worker", 0))
    bundle.rewrite(lambda item: (leave, item) if isinstance(item, RunClose) else item)
    refused(bundle, 2, "anchors", "are not those on chain")


def test_a_transcript_cut_before_its_last_anchor(bundle: Bundle) -> None:
    bundle.rewrite(lambda item: () if isinstance(item, RunClose) else item)
    undecided(bundle, 2, "anchors", "the transcript ends before its last anchor")


# Keys.


def edit_join(bundle: Bundle, role: str, slot: int, **changes: object) -> None:
    join = bundle.join(role, slot)
    bundle.rewrite(lambda item: replace(join, **changes) if item == join else item)  # type: ignore[arg-type]


@pytest.mark.parametrize(("role", "slot"), [("worker", 0), ("auditor", 2)])
def test_a_session_key_that_was_never_enrolled(bundle: Bundle, role: str, slot: int) -> None:
    """The participant itself names another key, and signs everything with that."""
    stranger = SigningKey.generate()
    bundle.keys[stranger.address] = stranger
    edit_join(bundle, role, slot, session=stranger.address)
    verdict = bundle.verdict()
    assert f"{role} {slot} in key epoch 0 was enrolled on chain with another" in failures(verdict)[3, "enrolments"]
    assert "report data" in failures(verdict)[3, "evidence"]
    assert verdict.failed_claims == (2, 3)


def test_a_receipt_after_the_keys_last_round(bundle: Bundle) -> None:
    edit_join(bundle, "worker", 0, until=Round(0))
    refused(bundle, 3, "keys", "is signed by a key that ended with round 0")


def test_a_key_that_is_prolonged_after_its_enrolment(bundle: Bundle) -> None:
    edit_join(bundle, "worker", 0, until=Round(100))
    refused(bundle, 3, "enrolments", "another account, key, term, evidence or time", alone=False)


def test_a_receipt_after_leaving(bundle: Bundle) -> None:
    leave = leave_of(bundle.join("worker", 0))
    last = [item for item in bundle.statements if isinstance(item, Receipt) and item.worker == 0][-1]
    bundle.rewrite(lambda item: (leave, item) if item == last else item)
    refused(bundle, 3, "keys", "is outside its key epoch")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"timestamp": 1}, "another account, key, term, evidence or time"),
        ({"block_number": 1}, "another account, key, term, evidence or time"),
        ({"timestamp": 2**40}, "was enrolled after block"),
        ({"block_number": 2**40}, "was enrolled after block"),
    ],
)
def test_an_enrolment_at_another_time(bundle: Bundle, changes: dict[str, int], reason: str) -> None:
    facts = bundle.facts.enrolments
    bundle.set_facts(enrolments=(replace(facts[0], **changes), *facts[1:]))  # type: ignore[arg-type]
    refused(bundle, 3, "enrolments", reason)


def test_an_enrolment_that_is_left_out(bundle: Bundle) -> None:
    bundle.set_facts(enrolments=bundle.facts.enrolments[1:])
    undecided(bundle, 3, "enrolments", "chain facts say nothing about")


# Evidence.


def test_another_workers_evidence_under_the_name_of_ones_own(bundle: Bundle) -> None:
    one, other = (evidence_path(bundle.join("worker", slot).evidence) for slot in (0, 1))
    bundle.files[other] = bundle.files[one]
    refused(bundle, 3, "evidence", "is not the evidence of that digest")


def test_another_workers_evidence_by_its_own_name(bundle: Bundle) -> None:
    one, other = (bundle.join("worker", slot).evidence for slot in (0, 1))
    del bundle.files[evidence_path(other)]
    edit_join(bundle, "worker", 1, evidence=one)
    refused(bundle, 3, "evidence", "the evidence of worker 1: the quote is not bound to session key", alone=False)
    assert "another account, key, term, evidence" in failures(bundle.verdict())[3, "enrolments"]


def test_evidence_that_is_left_out(bundle: Bundle) -> None:
    path = evidence_path(bundle.join("auditor", 1).evidence)
    del bundle.files[path]
    undecided(bundle, 3, "evidence", f"{path} is missing")


def test_evidence_that_nobody_names(bundle: Bundle) -> None:
    bundle.files[evidence_path(sha256(b"stray"))] = b"{}"
    refused(bundle, 3, "evidence", "is nobody's evidence")


def test_another_networks_root_in_the_policy(bundle: Bundle) -> None:
    bundle.set_pins(evidence_roots=(DevPki.generate(int(time.time())).root_digest,))
    refused(bundle, 3, "evidence", "is neither Intel's nor a pinned development root")


def test_a_guest_of_another_image_than_the_policy_pins(bundle: Bundle) -> None:
    bundle.set_pins(registers={"mrtd": (b"\1" * 48,)})
    refused(bundle, 3, "evidence", "the evidence of auditor 0: mrtd is ")


def quoted_for(bundle: Bundle, run: RunId) -> Evidence:
    """Evidence of worker 0's key for a run, by a machine of the same network."""
    join, spec = bundle.join("worker", 0), bundle.spec
    fact = next(item for item in bundle.facts.enrolments if (item.role, item.worker) == ("worker", 0))
    bound = report_data(
        session=join.session,
        participant=join.participant,
        run=run,
        role=join.role,
        worker=join.worker,
        key_epoch=join.key_epoch,
        block_number=fact.block_number,
        block_hash=fact.block_hash,
    )
    machine = SimulatedMachine(bundle.pki.provision())
    return machine.evidence(bound, measured_events(spec, join.environment), fact.block_number, fact.block_hash)


def put_evidence(bundle: Bundle, evidence: Evidence) -> None:
    data = evidence.to_bytes()
    del bundle.files[evidence_path(bundle.join("worker", 0).evidence)]
    bundle.files[evidence_path(sha256(data))] = data
    edit_join(bundle, "worker", 0, evidence=sha256(data))


def test_another_runs_quote(bundle: Bundle) -> None:
    put_evidence(bundle, quoted_for(bundle, RunId(sha256(b"another run"))))
    refused(bundle, 3, "evidence", "the evidence of worker 0: the quote is not bound to session key", alone=False)


def test_a_good_quote_that_was_not_the_enrolled_one(bundle: Bundle) -> None:
    """The evidence holds, and the chain knows of another: so a quote cannot be handed in later."""
    put_evidence(bundle, quoted_for(bundle, bundle.spec.run_id))
    refused(bundle, 3, "enrolments", "another account, key, term, evidence or time", alone=False)
    assert (3, "evidence") not in failures(bundle.verdict())


# Settlement.


def test_payouts_that_do_not_follow_once_the_fault_is_hidden(bundle: Bundle) -> None:
    """Members as they are, and nobody found the cheat: what the chain pays is not what that asks for."""
    state, _ = read_chain(Files(bundle.files), bundle.policy.pins.chain)
    ledgers = Ledger(bundle.spec), Ledger(bundle.spec)
    for signed in bundle.entries:
        is_fault = isinstance(signed.statement, Finding) and signed.statement.outcome == "fault"
        for ledger in ledgers[is_fault:]:
            ledger.file(signed)
    blind, seeing = ledgers
    members = {worker.worker: worker.aggregated for worker in bundle.verdict().workers}
    rounds = {round_: [worker for worker, inside in members.items() if round_ in inside] for round_ in seeing.rounds}
    run = state.run(bundle.spec.run_id)
    assert check_settlement(seeing, state, run, rounds)[0].unsettled == []
    with pytest.raises(Contradiction, match="payouts on chain do not follow"):
        check_settlement(blind, state, run, rounds)


def test_the_finding_that_proves_the_fault_is_left_out(bundle: Bundle) -> None:
    def is_fault(item: Statement) -> bool:
        return isinstance(item, Finding) and item.outcome == "fault"

    bundle.rewrite(lambda item: () if is_fault(item) else item)
    verdict = bundle.verdict()
    # Whoever was at fault and handed in a receipt before the next close is missing in what that close counts.
    assert {2, 4} & set(verdict.failed_claims)


def test_a_case_about_nobody(bundle: Bundle) -> None:
    bundle.set_facts(cases=(CaseFact(Round(0), Worker(77), 0),))
    refused(bundle, 10, "settlement", "a case about worker 77, who never joined")


def test_a_case_that_is_not_mentioned_is_asked_for_all_the_same(bundle: Bundle) -> None:
    bundle.set_facts(cases=())
    assert bundle.verdict().outcome is Outcome.VERIFIED


def test_a_case_without_its_proof(bundle: Bundle) -> None:
    bundle.set_facts(cases=(*bundle.facts.cases, CaseFact(Round(0), Worker(0), 0)))
    undecided(bundle, 10, "settlement", "of the cases")


# The policy.


def test_without_a_pinned_block_what_the_chain_says_is_self_asserted(bundle: Bundle) -> None:
    bundle.set_pins(chain=None)
    verdict = bundle.verdict()
    assert verdict.outcome is Outcome.CONSISTENT
    assert {"attested", "anchored", "staked", "settled", "assigned", "replayed"} <= set(verdict.self_asserted)
    reasons = {item.name: item.reason for item in verdict.unmet}
    assert all("does not pin" in reasons[name] for name in ("attested", "anchored", "staked", "settled"))


def test_simulated_evidence_counts_only_where_the_policy_allows_it(bundle: Bundle) -> None:
    bundle.policy = replace(bundle.policy, allow_simulated=())
    verdict = bundle.verdict()
    assert verdict.outcome is Outcome.CONSISTENT
    assert [(item.name, item.reason) for item in verdict.unmet] == [
        ("attested", "it is simulated, which the policy does not allow")
    ]
