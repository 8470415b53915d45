"""Attacks on the ledger, the registry and the stakes, played on a real chain: what the contracts say."""

from __future__ import annotations

import dataclasses

from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Round
from tests.unit.chain_world import (
    CASE_WINDOW,
    FINE,
    STAKE,
    WITHDRAWAL,
    World,
    convict,
    court,
    join,
    refused,
)

# The ledger.


def test_a_stranger_cannot_anchor_and_the_sequencer_cannot_skip_or_rewrite(world: World):
    run, sequencer = world.open()
    anchor = (sha256(b"root"), 10, sha256(b"checkpoint"), False)
    with refused("NotSequencer"):
        world.player().send("ledger", "anchor", run, 1, *anchor)
    with refused("OutOfOrder"):
        sequencer.send("ledger", "anchor", run, 2, *anchor)
    sequencer.send("ledger", "anchor", run, 1, *anchor)
    with refused("OutOfOrder"):
        sequencer.send("ledger", "anchor", run, 1, sha256(b"another root"), *anchor[1:])
    with refused("CapturePending"):
        sequencer.send("ledger", "anchor", run, 2, *anchor)


def test_a_run_cannot_be_opened_again_with_other_terms_nor_by_another(world: World):
    run, sequencer = world.open()
    deadline = sequencer.client.run_state(run).deadline
    sequencer.send("ledger", "open", run, STAKE, STAKE, deadline, [])
    for terms in ((0, STAKE, deadline, []), (STAKE, STAKE, deadline + 1, []), (STAKE, STAKE, deadline, [run_by()])):
        with refused("AlreadyOpen"):
            sequencer.send("ledger", "open", run, *terms)
    with refused("AlreadyOpen"):
        world.player().send("ledger", "open", run, STAKE, STAKE, deadline, [])


def run_by() -> str:
    return SigningKey.generate().address


def test_a_closed_run_stays_closed(world: World):
    run, sequencer = world.open()
    world.close(run, sequencer)
    with refused("NotOpen"):
        sequencer.send("ledger", "anchor", run, 2, sha256(b"more"), 20, sha256(b"checkpoint"), False)
    player = world.player()
    player.client.deposit(STAKE)
    with refused("RunNotOpen"):
        player.client.enrol(join(run, "worker", 0, player), player.client.block().number)


def test_a_deadline_in_the_past_or_beyond_all_measure_is_refused(world: World):
    sequencer = world.player()
    for deadline in (world.now(), 2**64 - 1):
        with refused("BadDeadline"):
            sequencer.send("ledger", "open", world.run_id(), STAKE, STAKE, deadline, [])


def test_the_beacon_cannot_be_captured_before_its_block_nor_rolled_again(world: World):
    run, sequencer = world.open()
    sequencer.send("ledger", "anchor", run, 1, sha256(b"root"), 10, sha256(b"checkpoint"), False)
    beacon = sequencer.client.capture(run)
    for _ in range(3):
        world.player().send("ledger", "capture", run)
    assert sequencer.client.capture(run) == beacon


# The registry.


def test_a_stranger_cannot_make_itself_an_auditor(world: World):
    hearing = court(world)
    stranger = world.player()
    stranger.client.deposit(STAKE)
    with refused("NotNamed"):
        stranger.client.enrol(join(hearing.run, "auditor", 7, stranger), stranger.client.block().number)


def test_without_a_stake_nobody_enrols(world: World):
    run, _ = world.open()
    player = world.player()
    player.client.deposit(STAKE - 1)
    with refused("StakeTooSmall"):
        player.client.enrol(join(run, "worker", 0, player), player.client.block().number)


def test_a_stake_that_is_asked_back_does_not_count(world: World):
    run, _ = world.open()
    player = world.player()
    player.client.deposit(STAKE)
    player.client.request_withdrawal(1)
    with refused("StakeTooSmall"):
        player.client.enrol(join(run, "worker", 0, player), player.client.block().number)


def test_a_slot_cannot_be_squatted_nor_its_later_epochs(world: World):
    run, _ = world.open()
    squatter = world.enrol(run, "worker", 0)
    worker = world.enrol(run, "worker", 0)  # the transcript says whose it is
    for player in (squatter, worker):
        fact = player.client.enrolment(join(run, "worker", 0, player))
        assert fact is not None
    latecomer = world.player()
    latecomer.client.deposit(STAKE)
    with refused("EpochOutOfOrder"):
        latecomer.client.enrol(join(run, "worker", 0, latecomer, epoch=1), latecomer.client.block().number)


def test_an_enrolment_cannot_be_replayed_with_other_words(world: World):
    run, _ = world.open()
    player = world.enrol(run, "worker", 0)
    said = join(run, "worker", 0, player)
    number = player.client.block().number
    for changed in (
        dataclasses.replace(said, evidence=sha256(b"better evidence")),
        dataclasses.replace(said, until=Round(10**6)),
        dataclasses.replace(said, session=SigningKey.generate().address),
    ):
        with refused("EpochTaken"):
            player.client.enrol(changed, number)


def test_a_session_key_serves_its_participant_once_and_cannot_be_blocked_by_another(world: World):
    run, _ = world.open()
    session = SigningKey.generate()
    thief, owner = world.player(), world.player()
    for player in (thief, owner):
        player.client.deposit(STAKE)
        player.client.enrol(join(run, "worker", 0, player, session=session), player.client.block().number)
    with refused("SessionUsed"):
        owner.client.enrol(join(run, "worker", 0, owner, epoch=1, session=session), owner.client.block().number)


def test_a_key_cannot_be_dated_back_or_ahead(world: World):
    run, _ = world.open()
    player = world.player()
    player.client.deposit(STAKE)
    old = player.client.block().number
    world.chain.mine(130)  # two blocks each
    for number in (old, world.chain.height() + 10, 2**64 - 1):
        with refused("BlockNotRecent"):
            player.client.enrol(join(run, "worker", 0, player), number)


# Stakes.


def test_who_asks_its_stake_back_and_cheats_then_still_loses_it(world: World):
    hearing = court(world)
    worker = hearing.worker
    worker.client.request_withdrawal(STAKE)
    world.wait(WITHDRAWAL + 1)
    with refused("StillHeld"):
        worker.client.withdraw()
    convict(hearing)
    account = worker.client.account(worker.key.address)
    assert (account.stake, account.pending, account.slashed) == (0, STAKE - FINE, FINE)


def test_a_cheat_cannot_leave_while_its_case_is_open_however_long_the_run_is_over(world: World):
    hearing = court(world)
    worker = hearing.worker
    worker.client.request_withdrawal(STAKE)
    world.close(hearing.run, hearing.sequencer)
    world.wait(CASE_WINDOW - 10)
    hearing.open()
    world.wait(WITHDRAWAL)
    worker.client.release(worker.key.address, hearing.run)
    with refused("StillHeld"):
        worker.client.withdraw()
    hearing.auditors[0].client.resolve(hearing.case)  # nobody voted: void
    worker.client.withdraw()
    assert worker.client.account(worker.key.address).pending == 0


def test_a_run_that_is_closed_late_holds_no_stake_longer_than_its_deadline_allows(world: World):
    run, sequencer = world.open(seconds=100)
    player = world.enrol(run, "worker", 0)
    world.wait(101 + CASE_WINDOW)
    world.close(run, sequencer)
    player.client.release(player.key.address, run)
    assert player.client.account(player.key.address).holds == 0


def test_only_the_contracts_hold_slash_and_let_go(world: World):
    player, victim = world.player(), world.player().key.address
    for function, arguments, error in (
        ("hold", (victim, sha256(b"run")), "NotRegistry"),
        ("slash", (victim, 1, player.key.address, sha256(b"case")), "NotCases"),
        ("holdForCase", (victim,), "NotCases"),
        ("releaseFromCase", (victim,), "NotCases"),
        ("release", (victim, sha256(b"run")), "NotOver"),
    ):
        with refused(error):
            player.send("vault", function, *arguments)


def test_the_contracts_cannot_be_wired_again(world: World):
    player, at = world.player(), world.deployment.contracts
    for contract, count in (("vault", 3), ("registry", 2), ("cases", 3), ("settlement", 1)):
        with refused("NotDeployer"):
            player.send(contract, "wire", *[at["ledger"]] * count)
