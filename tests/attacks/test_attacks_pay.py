"""Attacks on pay, played on a real chain: who claims and posts what, and what the contracts say."""

from __future__ import annotations

from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.rules.payouts import Payouts
from attestrain.settle.transactions import Call
from tests.unit.chain_world import (
    COIN,
    Player,
    World,
    refused,
)

REFUSES = bytes.fromhex("600a600c600039600a6000f360006000fd00000000")
"""Creation code of a contract that takes no coins: its code is PUSH 0, PUSH 0, REVERT."""


def payday(world: World, *accounts: str, amount: int = COIN) -> tuple[Player, Payouts]:
    run, sequencer = world.open()
    owed = Payouts(world.deployment.chain_id, run, dict.fromkeys(accounts, amount))  # type: ignore[arg-type]
    sequencer.client.fund(run, 10 * COIN)
    world.close(run, sequencer)
    sequencer.client.post_payouts(run, owed.root, owed.total)
    return sequencer, owed


def test_a_second_claim_pays_nothing(world: World):
    player, other = world.player(), world.player()
    sequencer, owed = payday(world, player.key.address, other.key.address)
    account = player.key.address
    proof = owed.proof(account)
    sequencer.client.claim(owed.run, account, COIN, proof)
    before = sequencer.client.balance(account)
    sequencer.send("settlement", "claim", owed.run, account, COIN, proof)
    assert sequencer.client.balance(account) == before


def test_nobody_claims_more_than_is_owed_nor_what_another_is_owed(world: World):
    player, other = world.player(), world.player()
    _, owed = payday(world, player.key.address, other.key.address)
    proof = owed.proof(player.key.address)
    for account, amount, path in (
        (player.key.address, 2 * COIN, proof),
        (other.key.address, COIN, proof),
        (player.key.address, COIN, []),
        (player.key.address, COIN, [*proof, sha256(b"more")]),
    ):
        with refused("BadProof"):
            player.send("settlement", "claim", owed.run, account, amount, path)


def test_pay_of_another_run_or_chain_is_not_claimed_here(world: World):
    player = world.player()
    _, here = payday(world, player.key.address)
    _, there = payday(world, player.key.address, amount=2 * COIN)
    with refused("BadProof"):
        player.send("settlement", "claim", here.run, player.key.address, 2 * COIN, there.proof(player.key.address))


def test_a_receiver_that_refuses_blocks_only_itself(world: World):
    receipt = world.player().sender.send("refuses", Call(None, REFUSES, 0))
    mute = str(receipt["contractAddress"])
    player = world.player()
    sequencer, owed = payday(world, mute, player.key.address)
    with refused("TransferFailed"):
        sequencer.send("settlement", "claim", owed.run, mute, COIN, owed.proof(mute))  # type: ignore[arg-type]
    before = sequencer.client.balance(player.key.address)
    sequencer.client.claim(owed.run, player.key.address, COIN, owed.proof(player.key.address))
    assert sequencer.client.balance(player.key.address) - before == COIN


def test_only_the_sequencer_of_a_closed_run_posts_pay_once_and_within_its_means(world: World):
    run, sequencer = world.open()
    stranger = world.player()
    with refused("NotSequencer"):
        stranger.send("settlement", "fund", run, value=COIN)
    sequencer.client.fund(run, COIN)
    with refused("NotClosed"):
        sequencer.send("settlement", "post", run, sha256(b"root"), COIN)
    world.close(run, sequencer)
    with refused("NotSequencer"):
        stranger.send("settlement", "post", run, sha256(b"root"), COIN)
    for root, total in ((sha256(b"root"), COIN + 1), (ZERO_DIGEST, 0)):
        with refused("NotFunded"):
            sequencer.send("settlement", "post", run, root, total)
    sequencer.send("settlement", "post", run, sha256(b"root"), COIN)
    with refused("AlreadyPosted"):
        sequencer.send("settlement", "post", run, sha256(b"another root"), COIN)
    with refused("AlreadyPosted"):
        sequencer.send("settlement", "fund", run, value=COIN)


def test_what_nobody_claimed_goes_back_late_and_to_nobody_else(world: World):
    player = world.player()
    sequencer, owed = payday(world, player.key.address)
    with refused("TooEarly"):
        sequencer.send("settlement", "sweep", owed.run)
    with refused("NotSequencer"):
        player.send("settlement", "sweep", owed.run)


def test_one_runs_money_does_not_pay_for_another(world: World):
    player = world.player()
    payday(world, player.key.address)
    run, sequencer = world.open()
    world.close(run, sequencer)
    with refused("NotFunded"):
        sequencer.send("settlement", "post", run, sha256(b"root"), 1)
