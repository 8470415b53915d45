"""Insiders whose chain says something else than their transcript, and whose chain is not the pinned one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from attestrain.record.bundle import CHAIN, MemoryFiles, evidence_path
from attestrain.record.chain import ChainFacts
from attestrain.record.digest import sha256
from attestrain.record.names import Address
from attestrain.record.statements import Beacon, Statement
from attestrain.verify.verdict import Outcome
from attestrain.verify.verifier import verify
from tests.attacks.anchored_world import (
    AnchoredWorld,
    anchored_world,
    caught,
    failure,
    judge,
    played,
    refused,
    with_facts,
)
from tests.attacks.world import Party, cover, honest_world
from tests.contracts import Contracts

# Anchors.


def with_run(**words: object) -> Callable[[AnchoredWorld], object]:
    """The ledger holds something else about the run."""

    def change(world: AnchoredWorld) -> None:
        world.chain.runs[world.spec.run_id].update(words)
        world.chain.write_run(world.spec.run_id)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_run(sequencer=77), "the run stands on chain under 0x0000"),
        (with_run(closed=False), "the run is not closed on chain"),
        (with_run(epochs=3), "the chain holds 3 anchors, the transcript implies 4"),
        (with_run(epochs=5), "the chain holds 5 anchors, the transcript implies 4"),
        (with_run(accumulator=bytes(32)), "are not those on chain"),
    ],
)
def test_a_ledger_that_says_something_else_is_refuted(change: Callable[[AnchoredWorld], object], words: str) -> None:
    refused(played(change), 2, "anchors", words)


def test_missed_blocks_are_told() -> None:
    verdict = played(with_run(missed=3))
    assert verdict.outcome is Outcome.VERIFIED
    assert any("3 blocks missed" in check.detail for check in verdict.checks if check.name == "anchors")


class Anchoring(AnchoredWorld):
    """A world whose sequencer tells the chain something else than it should."""

    def __init__(self, lie: Callable[[int, bytes, int, bytes], tuple[int, bytes, int, bytes] | None]) -> None:
        self.lie = lie
        super().__init__(outcome=caught)

    def __post_init__(self) -> None:
        super().__post_init__()
        honest = self.chain.anchor

        def anchor(run: bytes, epoch: int, root: bytes, size: int, checkpoint: bytes, *, last: bool) -> None:
            told = self.lie(epoch, root, size, checkpoint)
            if told is None:
                self.chain.runs[run]["pending"] = self.chain.number + 2
            else:
                honest(run, *told, last=last)

        self.chain.anchor = anchor  # type: ignore[method-assign]


@pytest.mark.parametrize(
    "lie",
    [
        lambda epoch, root, size, base: (epoch, sha256(b"other") if epoch == 2 else root, size, base),
        lambda epoch, root, size, base: (epoch, sha256(b"other") if epoch == 4 else root, size, base),
        lambda epoch, root, size, base: (epoch, root, size - (epoch == 4), base),
        lambda epoch, root, size, base: (epoch, root, size, sha256(b"base") if epoch in (1, 4) else base),
        lambda epoch, root, size, base: (3 - epoch if epoch in (1, 2) else epoch, root, size, base),
        lambda epoch, root, size, base: None if epoch == 2 else (epoch, root, size, base),
    ],
)
def test_anchors_over_something_else_dropped_or_out_of_order_are_refuted(
    lie: Callable[[int, bytes, int, bytes], tuple[int, bytes, int, bytes] | None],
) -> None:
    refused(judge(Anchoring(lie)), 2, "anchors", "are not those on chain")


class Saying(AnchoredWorld):
    """A world in which some statements say something else than they should."""

    def __init__(self, lie: Callable[[Statement], Statement], **options: object) -> None:
        self.lie = lie
        super().__init__(outcome=caught, **options)  # type: ignore[arg-type]

    def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
        super().say(self.lie(statement), role, slot, kind)


def chosen(statement: Statement) -> Statement:
    """The sequencer's own favourite number, from which everything else then follows."""
    return replace(statement, value=sha256(b"favourite")) if isinstance(statement, Beacon) else statement


def test_beacons_that_the_chain_never_said_are_refuted() -> None:
    refused(judge(Saying(chosen)), 2, "anchors", "are not those on chain")


def test_beacons_of_another_height_are_refuted() -> None:
    def lie(statement: Statement) -> Statement:
        return replace(statement, height=statement.height + 1) if isinstance(statement, Beacon) else statement

    refused(judge(Saying(lie)), 2, "anchors", "are not those on chain")


# The chain itself.


def test_a_private_chain_is_consistent_at_best_and_refuted_under_the_pins() -> None:
    """Everything invented: keys, chain, contracts at their own addresses. Nothing is wrong, and nobody pinned it."""
    _, policy = anchored_world()
    fabricated = AnchoredWorld(
        outcome=caught, evidence=True, party=Party("sybil"), chain=Contracts("private"), network="theirs"
    )
    fabricated.play()
    unpinned = verify(fabricated.files)
    assert unpinned.outcome is Outcome.CONSISTENT
    assert {"attested", "anchored", "staked", "settled"} <= set(unpinned.self_asserted)
    pinned = verify(fabricated.files, policy)
    assert pinned.outcome is Outcome.REFUTED
    assert pinned.failed_claims == (2, 9)
    assert "not of the pinned one" in failure(pinned, 2, "chain")


def test_the_same_keys_on_a_private_chain_are_refuted_under_the_pins() -> None:
    """The participants rerun on a chain whose beacons they like better."""
    _, policy = anchored_world()
    again = AnchoredWorld(outcome=caught, chain=Contracts("private"))
    again.play()
    refused(verify(again.files, policy), 2, "chain", "not of the pinned one")


def test_an_older_state_of_the_same_chain_is_refuted() -> None:
    older: dict[str, bytes] = {}
    world = AnchoredWorld(outcome=caught)

    def keep(world: AnchoredWorld) -> None:
        older["facts"] = world.facts().to_bytes()
        world.chain.stake(world.participant("worker", 0), 0, holds=0)
        world.chain.mine()

    world.in_the_end = keep
    world.play()
    files = cover(MemoryFiles({**world.files, CHAIN: older["facts"]}))
    refused(verify(files, world.policy), 2, "chain", "not of the pinned one")


def test_contracts_of_another_address_than_pinned_are_refuted() -> None:
    files, policy = anchored_world()
    assert policy.pins.chain is not None
    pin = replace(policy.pins.chain, contracts=Contracts("other").addresses)
    verdict = verify(files, replace(policy, pins=replace(policy.pins, chain=pin)))
    refused(verdict, 2, "chain", "the ledger is at")


@pytest.mark.parametrize("name", ["ledger", "vault", "registry", "cases", "settlement"])
def test_contracts_with_other_code_are_refuted(name: str) -> None:
    chain = Contracts()
    chain.code[name] = sha256(b"other code")
    refused(judge(AnchoredWorld(outcome=caught, chain=chain)), 2, "chain", f"the {name} at")


@pytest.mark.parametrize(("name", "slot", "other"), [("vault", 6, "cases"), ("cases", 6, "registry")])
def test_contracts_that_obey_a_stranger_are_refuted(name: str, slot: int, other: str) -> None:
    verdict = played(lambda world: world.chain.storage[name].update({slot: 77}))
    refused(verdict, 2, "chain", f"for the {other}, which is at")


def without_slot(contract: str, index: int) -> MemoryFiles:
    files, _ = anchored_world()

    def edit(facts: ChainFacts) -> ChainFacts:
        at = facts.contracts[contract]
        slots = dict(facts.accounts[at].slots)
        del slots[sorted(slots)[index]]
        return replace(facts, accounts={**facts.accounts, at: replace(facts.accounts[at], slots=slots)})

    return with_facts(files, edit)


@pytest.mark.parametrize("contract", ["ledger", "vault", "registry", "cases", "settlement"])
@pytest.mark.parametrize("index", range(3))
def test_a_slot_that_is_not_proved_leaves_it_undecided(contract: str, index: int) -> None:
    _, policy = anchored_world()
    verdict = verify(without_slot(contract, index), policy)
    assert verdict.outcome is Outcome.UNDECIDED
    assert any(check.missing and f"of the {contract}" in check.detail for check in verdict.checks)


def test_an_account_that_is_not_proved_leaves_it_undecided() -> None:
    files, policy = anchored_world()

    def edit(facts: ChainFacts) -> ChainFacts:
        return replace(facts, accounts={at: held for at, held in facts.accounts.items() if at != min(facts.accounts)})

    assert verify(with_facts(files, edit), policy).outcome is Outcome.UNDECIDED


def test_an_account_of_no_contract_is_refuted() -> None:
    files, policy = anchored_world()

    def edit(facts: ChainFacts) -> ChainFacts:
        stray = Address("0x" + "77" * 20)
        return replace(facts, accounts={**facts.accounts, stray: facts.accounts[facts.contracts["vault"]]})

    refused(verify(with_facts(files, edit), policy), 2, "chain", "which is none of the contracts")


@pytest.mark.parametrize("path", [CHAIN, evidence_path(sha256(b"stray"))])
def test_facts_and_evidence_of_a_run_without_a_chain_are_refuted(path: str) -> None:
    files, policy = honest_world()
    anchored, _ = anchored_world()
    verdict = verify(cover(MemoryFiles({**files, path: anchored[CHAIN]})), policy)
    refused(verdict, 2, "anchors", "has no place in the bundle of a run without a chain")


def test_evidence_in_the_bundle_of_a_run_without_evidence_is_refuted() -> None:
    files, policy = anchored_world(evidence=False)
    files[evidence_path(sha256(b"stray"))] = b"{}"
    refused(verify(cover(files), policy), 3, "evidence", "is nobody's evidence")
