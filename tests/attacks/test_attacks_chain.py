"""Attacks on the contracts, played on a real chain: who tries it, and what the contracts say."""

from __future__ import annotations

import dataclasses

import pytest

from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Round, Worker
from attestrain.rules.payouts import Payouts
from attestrain.rules.slots import INNOCENT
from attestrain.settle.cases import CaseId
from attestrain.settle.rpc import Reverted
from attestrain.settle.transactions import Call
from tests.unit.chain_world import (
    BOND,
    CASE_WINDOW,
    CLAIMED,
    COIN,
    FINE,
    OBSERVED,
    SALT,
    STAKE,
    VOTE,
    WITHDRAWAL,
    Court,
    Player,
    World,
    court,
    join,
)

REFUSES = bytes.fromhex("600a600c600039600a6000f360006000fd00000000")
"""Creation code of a contract that takes no coins: its code is PUSH 0, PUSH 0, REVERT."""


def refused(name: str):
    """The contracts must refuse with this error."""
    return pytest.raises(Reverted, match=name)


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


def convict(hearing: Court) -> None:
    hearing.open()
    hearing.vote(*[OBSERVED] * len(hearing.auditors))
    hearing.auditors[0].client.resolve(hearing.case)


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


# Cases.


def test_one_auditor_alone_cannot_slash(world: World):
    for auditors in (1, 2):
        with refused("CommitteeTooSmall"):
            court(world, auditors).open()
    hearing = court(world)
    hearing.open()
    hearing.vote(OBSERVED)
    with refused("Undecided"):
        hearing.auditors[0].client.resolve(hearing.case)
    world.wait(VOTE + 1)
    hearing.auditors[0].client.resolve(hearing.case)
    assert outcome(hearing) == "void"
    assert hearing.worker.client.account(hearing.worker.key.address).slashed == 0


def outcome(hearing: Court) -> str:
    state = hearing.auditors[0].client.case(hearing.case)
    assert state is not None
    return state.outcome


def test_half_of_a_committee_is_no_majority(world: World):
    hearing = court(world, auditors=4)
    hearing.open()
    hearing.vote(OBSERVED, OBSERVED, CLAIMED, CLAIMED)
    with refused("Undecided"):
        hearing.auditors[0].client.resolve(hearing.case)
    world.wait(2 * VOTE + 1)
    hearing.auditors[0].client.resolve(hearing.case)
    assert outcome(hearing) == "void"


def test_only_auditors_of_the_run_accuse_and_vote(world: World):
    hearing, other = court(world), court(world)
    for outsider in (hearing.worker, other.auditors[0], world.player()):
        with refused("NotAuditor"):
            outsider.client.open_case(hearing.case, 0, hearing.worker.key.address, CLAIMED)
    hearing.open()
    for outsider in (hearing.worker, other.auditors[0]):
        with refused("NotAuditor"):
            outsider.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)


def test_nobody_sits_in_judgement_on_oneself(world: World):
    hearing = court(world, auditors=4)
    accused = hearing.auditors[3]
    accused.client.deposit(STAKE)
    accused.client.enrol(join(hearing.run, "worker", 1, accused), accused.client.block().number)
    case = CaseId(hearing.run, Round(0), Worker(1), 2, accused.key.address)
    hearing.auditors[0].client.open_case(case, 0, accused.key.address, CLAIMED)
    state = accused.client.case(case)
    assert state is not None
    assert state.committee == 3
    with refused("NotAuditor"):
        accused.client.commit_vote(case, CLAIMED, CLAIMED, SALT)


def test_somebody_else_than_the_worker_cannot_be_accused(world: World):
    hearing = court(world)
    bystander = world.enrol(hearing.run, "worker", 1)
    with refused("NotEnrolled"):
        hearing.auditors[0].client.open_case(hearing.case, 0, bystander.key.address, CLAIMED)
    with refused("NotEnrolled"):
        hearing.auditors[0].client.open_case(hearing.case, 5, hearing.worker.key.address, CLAIMED)


def test_a_case_slashes_once(world: World):
    hearing = court(world)
    convict(hearing)
    with refused("NotOpen"):
        hearing.auditors[1].send("cases", "resolve", hearing.case.digest)
    with refused("CaseExists"):
        hearing.auditors[1].client.open_case(hearing.case, 0, hearing.worker.key.address, CLAIMED)
    assert hearing.worker.client.account(hearing.worker.key.address).slashed == FINE


def test_an_innocent_cannot_be_tried_again(world: World):
    hearing = court(world)
    hearing.open()
    hearing.vote(CLAIMED, CLAIMED, CLAIMED)
    hearing.auditors[0].client.resolve(hearing.case)
    with refused("CaseExists"):
        hearing.auditors[1].client.open_case(hearing.case, 0, hearing.worker.key.address, CLAIMED)


def test_an_accomplice_cannot_use_up_the_case_that_a_cheat_has_coming(world: World):
    hearing = court(world)
    hearing.open(by=2)
    world.wait(2 * VOTE + 1)
    hearing.auditors[2].client.resolve(hearing.case)
    assert outcome(hearing) == "void"
    hearing.auditors[0].client.open_case(hearing.case, 0, hearing.worker.key.address, CLAIMED)
    hearing.vote(OBSERVED, OBSERVED, OBSERVED)
    hearing.auditors[1].client.resolve(hearing.case)
    assert outcome(hearing) == "guilty"


def test_a_vote_of_an_earlier_attempt_does_not_count_in_the_next(world: World):
    hearing = court(world)
    hearing.open()
    hearing.vote(OBSERVED)
    world.wait(VOTE + 1)
    hearing.auditors[0].client.resolve(hearing.case)
    hearing.auditors[1].client.open_case(hearing.case, 0, hearing.worker.key.address, CLAIMED)
    state, ballot = (hearing.auditors[0].client.case(hearing.case), hearing.auditors[0].client.ballot(hearing.case))
    assert state is not None
    assert (state.attempt, state.commits, state.guilty) == (2, 0, 0)
    assert (ballot.member, ballot.committed, ballot.revealed) == (True, False, False)


def test_what_the_accuser_says_was_claimed_convicts_nobody_and_acquits_nobody(world: World):
    framed = court(world)
    framed.auditors[0].client.open_case(framed.case, 0, framed.worker.key.address, sha256(b"never claimed"))
    framed.vote(CLAIMED, CLAIMED, CLAIMED)  # as in the trace, and as observed
    framed.auditors[1].client.resolve(framed.case)
    assert outcome(framed) == "innocent"
    shielded = court(world)
    shielded.auditors[0].client.open_case(shielded.case, 0, shielded.worker.key.address, OBSERVED)
    shielded.vote(OBSERVED, OBSERVED, OBSERVED)  # but the trace says otherwise
    shielded.auditors[1].client.resolve(shielded.case)
    assert outcome(shielded) == "guilty"


def test_a_copied_vote_cannot_be_revealed(world: World):
    hearing = court(world)
    hearing.open()
    honest, copyist, third = hearing.auditors
    voter = address_bytes(honest.key.address).rjust(32, b"\x00")
    commitment = keccak256(hearing.case.digest + voter + CLAIMED + OBSERVED + SALT)
    honest.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    copyist.send("cases", "commit", hearing.case.digest, commitment)
    third.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    honest.client.reveal_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    with refused("BadReveal"):
        copyist.client.reveal_vote(hearing.case, CLAIMED, OBSERVED, SALT)


def test_votes_stay_hidden_until_all_are_in_and_count_once(world: World):
    hearing = court(world)
    hearing.open()
    first, second, third = hearing.auditors
    first.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    with refused("TooEarly"):
        first.client.reveal_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    with refused("AlreadyVoted"):
        first.send("cases", "commit", hearing.case.digest, sha256(b"another vote"))
    second.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    third.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    with refused("BadReveal"):
        first.send("cases", "reveal", hearing.case.digest, CLAIMED, CLAIMED, SALT)
    first.client.reveal_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    with refused("AlreadyVoted"):
        first.send("cases", "reveal", hearing.case.digest, CLAIMED, OBSERVED, SALT)


def test_votes_come_in_time_or_not_at_all(world: World):
    hearing = court(world)
    hearing.open()
    first, second, _ = hearing.auditors
    first.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    world.wait(VOTE + 1)
    with refused("TooLate"):
        second.client.commit_vote(hearing.case, CLAIMED, OBSERVED, SALT)
    world.wait(VOTE + 1)
    with refused("TooLate"):
        first.client.reveal_vote(hearing.case, CLAIMED, OBSERVED, SALT)


def test_accusing_oneself_costs_money(world: World):
    hearing = court(world)
    pair = (hearing.worker, hearing.auditors[0])  # the cheat and its accuser are one
    before = wealth(world, *pair)
    convict(hearing)
    for player in pair:
        player.client.collect()
    after = wealth(world, *pair)
    assert before - after > FINE // 2 - COIN // 100


def wealth(world: World, *players: Player) -> int:
    accounts = ((player.client.balance(player.key.address), player) for player in players)
    return sum(coins + player.client.account(player.key.address).stake for coins, player in accounts)


def test_a_false_accusation_costs_the_bond_and_nothing_can_be_won_by_repeating_it(world: World):
    hearing = court(world)
    for segment in range(3):
        case = CaseId(hearing.run, Round(0), Worker(0), segment, hearing.worker.key.address)
        place = (case.run, 0, 0, 0, segment, hearing.worker.key.address, CLAIMED)
        with refused("WrongBond"):
            hearing.auditors[0].send("cases", "open", *place, value=BOND - 1)
        hearing.auditors[0].client.open_case(case, 0, hearing.worker.key.address, CLAIMED)
        vote(hearing, case, CLAIMED)
        hearing.auditors[0].client.resolve(case)
        state = hearing.auditors[0].client.case(case)
        assert state is not None
        assert state.status == INNOCENT
    assert world.call("cases", "credit", hearing.worker.key.address) == (3 * BOND,)


def vote(hearing: Court, case: CaseId, observed: Digest) -> None:
    for auditor in hearing.auditors:
        auditor.client.commit_vote(case, CLAIMED, observed, SALT)
    for auditor in hearing.auditors:
        auditor.client.reveal_vote(case, CLAIMED, observed, SALT)


def test_a_slash_takes_no_more_than_there_is(world: World):
    hearing = court(world)
    for segment in range(3):
        case = CaseId(hearing.run, Round(0), Worker(0), segment, hearing.worker.key.address)
        hearing.auditors[0].client.open_case(case, 0, hearing.worker.key.address, CLAIMED)
        vote(hearing, case, OBSERVED)
        hearing.auditors[0].client.resolve(case)
    account = hearing.worker.client.account(hearing.worker.key.address)
    assert (account.stake, account.slashed) == (0, STAKE)
    assert hearing.worker.client.slashed(case) == 0


def test_after_the_last_hour_nobody_is_accused(world: World):
    hearing = court(world)
    world.close(hearing.run, hearing.sequencer)
    world.wait(CASE_WINDOW + 1)
    with refused("RunOver"):
        hearing.open()


# Pay.


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
