"""The client against a real chain: a run's life in the contracts, its accumulator, and what is proved of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from attestrain.errors import Unreachable, UsageError
from attestrain.record.chain import CaseFact
from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Round, RunId, Worker
from attestrain.rules import accumulator
from attestrain.rules.payouts import Payouts
from attestrain.rules.slots import GUILTY, OPEN, AccountWords, enrolment_entry
from attestrain.settle.client import ChainClient
from attestrain.settle.contracts import other_code
from attestrain.settle.deployment import Deployment
from attestrain.settle.rpc import Reverted
from tests.unit.chain_world import (
    BOND,
    CASE_WINDOW,
    CLAIMED,
    COIN,
    FINE,
    OBSERVED,
    STAKE,
    WITHDRAWAL,
    Player,
    World,
    court,
    join,
    proved,
)


def test_the_code_on_chain_is_what_ships(world: World):
    assert other_code(world.rpc, world.deployment) == []
    moved = dict(world.deployment.contracts, vault=world.deployment.contracts["cases"])
    assert other_code(world.rpc, Deployment(world.deployment.chain_id, moved)) == ["vault"]


def test_a_client_refuses_another_chain(world: World, tmp_path):
    elsewhere = Deployment(1, world.deployment.contracts)
    with pytest.raises(UsageError, match="is chain 31337, the deployment is on 1"):
        ChainClient(world.chain.url, elsewhere, SigningKey.generate(), tmp_path, embedded=True)


def test_the_accumulator_is_the_mirrors(world: World):
    run, sequencer = world.open()
    client, word = sequencer.client, accumulator.opened(run, sequencer.key.address)
    for epoch in range(1, 4):
        beacon = client.capture(run)
        word = accumulator.captured(word, beacon.number, beacon.hash)
        root, checkpoint = sha256(bytes([epoch])), sha256(bytes([epoch, epoch]))
        client.anchor(run, Round(epoch), root, 10 * epoch, checkpoint, last=epoch == 3)
        word = accumulator.anchored(word, epoch, root, 10 * epoch, checkpoint)
    words = proved(client, run).run(run)
    assert words.accumulator == word
    assert (words.epochs, words.closed, words.missed, words.sequencer) == (3, True, 0, sequencer.key.address)
    assert words.worker_stake == words.auditor_stake == STAKE


def test_a_beacon_is_the_block_that_the_anchor_fixed_and_asking_again_gives_the_same(world: World):
    run, sequencer = world.open()
    beacon = sequencer.client.capture(run)
    world.chain.mine(3)
    assert sequencer.client.capture(run) == beacon == sequencer.client.block(beacon.number)


def test_an_enrolment_is_proved_with_the_block_that_it_names(world: World):
    run, sequencer = world.open()
    player = world.enrol(run, "worker", 0)
    said = join(run, "worker", 0, player)
    fact = player.client.enrolment(said)
    assert fact is not None
    assert player.client.block(fact.block_number).hash == fact.block_hash
    entry, _ = proved(sequencer.client, run, [said]).enrolment(said)
    accounts = (said.participant, said.session)
    assert entry == enrolment_entry(
        *accounts, said.until, said.evidence, fact.block_number, fact.block_hash, fact.timestamp
    )


def test_nobody_is_enrolled_who_is_not(world: World):
    run, sequencer = world.open()
    player = world.player()
    assert player.client.enrolment(join(run, "worker", 0, player)) is None
    with pytest.raises(Unreachable, match="worker 0 is not enrolled"):
        sequencer.client.proof(run, [join(run, "worker", 0, player)], [])


def test_stakes_leave_by_request_after_a_delay_and_when_no_run_holds_them(world: World):
    run, sequencer = world.open()
    player = world.enrol(run, "worker", 0)
    address, client = player.key.address, player.client
    client.request_withdrawal(4 * COIN)
    account = client.account(address)
    assert (account.stake, account.pending, account.holds) == (6 * COIN, 4 * COIN, 1)
    world.wait(WITHDRAWAL + 1)
    with pytest.raises(Reverted, match="StillHeld"):
        client.withdraw()
    world.close(run, sequencer)
    with pytest.raises(Reverted, match="NotOver"):
        client.release(address, run)
    world.wait(CASE_WINDOW + 1)
    client.release(address, run)
    before = client.balance(address)
    client.withdraw()
    assert client.account(address) == AccountWords(6 * COIN, 0, 0, account.ready_at, 0)
    assert 4 * COIN - COIN // 100 < client.balance(address) - before < 4 * COIN


def test_a_withdrawal_waits_for_its_delay(world: World):
    player = world.player()
    player.client.deposit(STAKE)
    player.client.request_withdrawal(STAKE)
    with pytest.raises(Reverted, match="NotReady"):
        player.client.withdraw()


def test_a_guilty_worker_pays_half_to_the_accuser_and_half_to_nobody(world: World):
    hearing = court(world)
    hearing.open()
    hearing.vote(OBSERVED, OBSERVED, OBSERVED)
    accuser, accused = hearing.auditors[0], hearing.worker.key.address
    accuser.client.resolve(hearing.case)
    state = accuser.client.case(hearing.case)
    assert state is not None
    assert (state.outcome, state.guilty, state.innocent, state.committee) == ("guilty", 3, 0, 3)
    assert accuser.client.slashed(hearing.case) == FINE
    assert accuser.client.account(accused).stake == STAKE - FINE
    before = accuser.client.balance(accuser.key.address)
    accuser.client.collect()
    won = accuser.client.balance(accuser.key.address) - before
    assert BOND + FINE // 2 - COIN // 100 < won < BOND + FINE // 2
    place = CaseFact(hearing.case.round, hearing.case.worker, hearing.case.segment)
    seen = proved(hearing.sequencer.client, hearing.run, [join(hearing.run, "worker", 0, hearing.worker)], [place])
    case = seen.case(hearing.run, place.round, place.worker, place.segment, hearing.worker.key.address)
    assert (case.accused, case.status, case.committee) == (accused, GUILTY, 3)


def test_an_innocent_worker_gets_the_bond(world: World):
    hearing = court(world)
    hearing.open()
    hearing.vote(CLAIMED, CLAIMED, OBSERVED)
    hearing.worker.client.resolve(hearing.case)
    state = hearing.worker.client.case(hearing.case)
    assert state is not None
    assert (state.outcome, state.guilty, state.innocent) == ("innocent", 1, 2)
    assert world.call("cases", "credit", hearing.worker.key.address) == (BOND,)
    assert world.call("cases", "credit", hearing.auditors[0].key.address) == (0,)


def test_the_stages_of_a_case_are_visible(world: World):
    hearing = court(world)
    client = hearing.auditors[0].client
    assert client.case(hearing.case) is None
    hearing.open()
    state = client.case(hearing.case)
    assert state is not None
    assert (state.status, state.decided, state.revealing, state.decidable) == (OPEN, False, False, False)
    for auditor in hearing.auditors:
        auditor.client.commit_vote(hearing.case, CLAIMED, OBSERVED, sha256(b"salt"))
    state = client.case(hearing.case)
    assert state is not None
    assert state.revealing
    assert client.ballot(hearing.case).committed
    assert not client.ballot(hearing.case).revealed
    assert client.committee(hearing.run) == tuple(auditor.key.address for auditor in hearing.auditors)


def paid_run(world: World, amounts: Sequence[int]) -> tuple[RunId, Player, list[Player], Payouts]:
    """A closed run that owes somebody something."""
    run, sequencer = world.open()
    players = [world.player() for _ in amounts]
    owed = {player.key.address: amount for player, amount in zip(players, amounts, strict=True)}
    payouts = Payouts(world.deployment.chain_id, run, owed)
    sequencer.client.fund(run, 100 * COIN)
    world.close(run, sequencer)
    sequencer.client.post_payouts(run, payouts.root, payouts.total)
    return run, sequencer, players, payouts


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_everybody_claims_what_the_mirrors_tree_owes_them(world: World, count: int):
    run, sequencer, players, payouts = paid_run(world, [COIN * (index + 1) for index in range(count)])
    for player in players:
        account = player.key.address
        before = sequencer.client.balance(account)
        sequencer.client.claim(run, account, payouts.amounts[account], payouts.proof(account))
        assert sequencer.client.balance(account) - before == payouts.amounts[account]
    words = proved(sequencer.client, run).payout(run)
    assert (words.root, words.total, words.claimed) == (payouts.root, payouts.total, payouts.total)
    assert words.funded == 100 * COIN


def test_who_owes_nothing_posts_nothing(world: World):
    run, sequencer = world.open()
    world.close(run, sequencer)
    sequencer.client.post_payouts(run, ZERO_DIGEST, 0)
    assert proved(sequencer.client, run).payout(run).root == ZERO_DIGEST


def test_said_again_nothing_changes(world: World):
    run, sequencer = world.open()
    client = sequencer.client
    client.anchor(run, Round(1), sha256(b"a"), 5, sha256(b"b"), last=False)
    client.capture(run)
    words = proved(client, run).run(run)
    place = (run, 1, sha256(b"a"), 5, sha256(b"b"), False)
    sequencer.send("ledger", "anchor", *place)
    sequencer.send("ledger", "capture", run)
    assert proved(client, run).run(run) == words
    player = world.enrol(run, "worker", 0)
    held = client.account(player.key.address)
    said = join(run, "worker", 0, player)
    number = player.client.enrolment(said).block_number  # type: ignore[union-attr]
    again = (run, 0, 0, 0, said.session, said.until, said.evidence, number)
    player.send("registry", "enrol", *again)
    assert client.account(player.key.address) == held


def test_a_slot_is_held_on_with_the_next_key_epoch(world: World):
    run, _ = world.open()
    player = world.enrol(run, "worker", 0)
    later = join(run, "worker", 0, player, epoch=1)
    player.client.enrol(later, player.client.block().number)
    assert player.client.enrolment(later) is not None
    assert player.client.account(player.key.address).holds == 1
    assert Worker(0) == later.worker
