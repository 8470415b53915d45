"""Attacks on cases, played on a real chain: who accuses and votes how, and what the contracts say."""

from __future__ import annotations

from attestrain.record.digest import Digest, sha256
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.names import Round, Worker
from attestrain.rules.slots import INNOCENT
from attestrain.settle.cases import CaseId
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
    Court,
    Player,
    World,
    convict,
    court,
    join,
    refused,
)


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
