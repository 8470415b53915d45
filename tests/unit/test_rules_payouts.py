from __future__ import annotations

import pytest
from eth_utils.crypto import keccak

from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.names import Address, Round, Worker
from attestrain.rules.payouts import Payouts, payouts
from tests.attacks.world import World
from tests.contracts import payout_root

WORLD = World().play()
RUN = WORLD.spec.run_id


def amounts(count: int) -> dict[Address, int]:
    return {Address("0x" + keccak(bytes([number]))[12:].hex()): number + 1 for number in range(count)}


def climb(leaf: bytes, path: list[bytes]) -> bytes:
    for sibling in path:
        leaf = keccak(b"".join(sorted((leaf, sibling))))
    return leaf


@pytest.mark.parametrize("count", range(10))
def test_the_tree_is_openzeppelins(count: int) -> None:
    owed = Payouts(31_337, RUN, amounts(count))
    assert owed.root == payout_root(31_337, RUN, amounts(count))
    assert owed.total == count * (count + 1) // 2
    for account, amount in owed.amounts.items():
        leaf = payout_root(31_337, RUN, {account: amount})
        assert climb(leaf, list(owed.proof(account))) == owed.root


def test_nothing_owed_has_no_root() -> None:
    assert Payouts(1, RUN, {}).root == ZERO_DIGEST
    with pytest.raises(KeyError):
        Payouts(1, RUN, {}).proof(Address("0x" + "00" * 20))


def test_another_chain_and_another_run_have_other_roots() -> None:
    roots = {Payouts(chain, run, amounts(3)).root for chain in (1, 2) for run in (RUN, ZERO_DIGEST)}
    assert len(roots) == 4


MEMBERS = {Round(0): [Worker(0), Worker(1), Worker(2)], Round(1): [Worker(0), Worker(1)], Round(2): [Worker(0)]}


def participant(world: World, slot: int) -> Address:
    return world.party.signing("worker", slot, "participant").address


def test_each_moved_checkpoint_is_one_share_rounded_down() -> None:
    owed = payouts(WORLD.ledger, MEMBERS, 100, 1)
    assert owed.amounts == {participant(WORLD, slot): 100 // 6 * (3 - slot) for slot in range(3)}
    assert owed.total <= 100


def test_a_proven_fault_is_paid_nothing_and_its_shares_do_not_count() -> None:
    world = World(outcome=lambda round_, worker, segment: "fault" if worker == 2 else "exact").play()
    assert payouts(world.ledger, MEMBERS, 100, 1).amounts == {
        participant(world, slot): 100 // 5 * (3 - slot) for slot in range(2)
    }


@pytest.mark.parametrize(("members", "budget"), [({}, 100), ({Round(0): []}, 100), (MEMBERS, 0), (MEMBERS, 5)])
def test_a_budget_that_gives_nobody_a_whole_wei_owes_nothing(members: dict[Round, list[Worker]], budget: int) -> None:
    owed = payouts(WORLD.ledger, members, budget, 1)
    assert (owed.amounts, owed.root) == ({}, ZERO_DIGEST)
