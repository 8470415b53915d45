from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.names import Address, Index, Round, Worker
from attestrain.record.spec import RunSpec, Schedule
from attestrain.record.statements import (
    Beacon,
    CommitClose,
    Finding,
    Join,
    Leave,
    Published,
    Receipt,
    RoundOpen,
    Signed,
    Statement,
)
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.assignment import Assignment
from attestrain.rules.beacon import commitment_root
from attestrain.rules.bijection import MAX_DOMAIN, Bijection
from attestrain.rules.draws import drawn_segments, draws, is_drawn
from attestrain.rules.faults import faults, standing
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import absences, candidates
from attestrain.rules.votes import Fault, Votes
from tests.property.crowd import ANYTHING, Attempt, Crowd, trying
from tests.vectors.refused import place
from tests.vectors.stories import chain_story, play_round
from tests.vectors.teller import Said, Teller, chain_spec, make_spec

digests = st.binary(min_size=32, max_size=32).map(Digest)


@given(digests, st.integers(1, 300))
def test_a_bijection_permutes(key: Digest, size: int):
    shuffle = Bijection(key, size)
    assert sorted(map(shuffle, range(size))) == list(range(size))


@given(digests, st.integers(1, MAX_DOMAIN), st.data())
def test_a_bijection_is_undone_by_its_inverse(key: Digest, size: int, data: st.DataObject):
    index = data.draw(st.integers(0, size - 1))
    shuffle = Bijection(key, size)
    assert shuffle.inverse(shuffle(index)) == index
    assert shuffle(shuffle.inverse(index)) == index


@settings(max_examples=50)
@given(digests, st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 200))
def test_places_of_one_pass_get_different_sequences(beacon: Digest, workers: int, steps: int, batch: int, size: int):
    assigned = Assignment(beacon, Schedule(1, steps, 1, batch, 1, 8, workers), size)
    slots = [(worker, step) for worker in range(workers) for step in range(steps)]
    taken = [index for worker, step in slots for index in assigned.sequences(Worker(worker), step)]
    for begin in range(0, len(taken), size):
        one = taken[begin : begin + size]
        assert len(set(one)) == len(one)
        assert all(0 <= index < size for index in one)


@given(digests, st.integers(1, 60), st.integers(0, 10**6), st.integers(0, 9))
def test_the_share_drawn_is_rounded_up(seed: Digest, steps: int, millionths: int, worker: int):
    fraction = f"{millionths // 10**6}.{millionths % 10**6:06d}"
    schedule = Schedule(1, steps, 1, 1, 1, 8, 10)
    drawn = drawn_segments(make_spec(schedule=schedule, audit_fraction=fraction), seed, Worker(worker))
    assert len(set(drawn)) == len(drawn) == -(-millionths * schedule.segments // 10**6)
    assert set(drawn) <= set(range(schedule.segments))


def counted_anew(findings: list[tuple[int, Finding]], needed: int) -> dict[Worker, Fault]:
    """What the count should be, from its definition."""
    proven: dict[Worker, Fault] = {}
    for index, last in findings:
        place = (last.round, last.worker, last.segment)
        so_far = [f for at, f in findings if at <= index and f.outcome == "fault"]
        voters = {f.auditor for f in so_far if (f.round, f.worker, f.segment) == place}
        if last.outcome == "fault" and last.worker not in proven and len(voters) >= needed:
            proven[last.worker] = Fault(last.worker, last.round, last.segment, str(last.detail), Index(index))
    return proven


STORY = chain_story()
SPECS = [make_spec(), chain_spec()]
FINDING = next(item.statement for item in STORY.said if isinstance(item.statement, Finding))


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 1), st.integers(0, 3), st.booleans()),
        max_size=20,
    ),
    st.integers(1, 3),
)
def test_votes_are_counted_as_defined(given_: list[tuple[int, int, int, int, bool]], needed: int):
    votes = Votes(needed)
    filed: list[tuple[int, Finding]] = []
    for index, (round_, worker, segment, auditor, fault) in enumerate(given_):
        place = {"round": round_, "worker": worker, "segment": segment, "auditor": auditor}
        finding = replace(FINDING, outcome="fault" if fault else "exact", **place)  # type: ignore[arg-type]
        filed.append((index, finding))
        votes.count(Index(index), finding)
    assert votes.proven == counted_anew(filed, needed)


def told_in(order: list[int], published: list[int], *, send: bool) -> Teller:
    """The story's first round, then a second one in another order, with or without the excluded worker's receipt."""
    told = Teller(make_spec())
    told.open()
    for slot in range(3):
        told.join("worker", slot)
    for slot in range(2):
        told.join("auditor", slot)
    play_round(told, 0, (0, 1, 2), (0, 1, 2), (1,))
    told.round_open(1)
    for slot in order:
        if send or slot != 1:
            told.receipt(1, slot)
    told.close(1)
    for slot in published:
        told.publish(1, slot)
    told.aggregate(1)
    return told


@settings(max_examples=15)
@given(st.permutations([0, 1, 2]), st.permutations([0, 2]), st.booleans())
def test_what_follows_does_not_depend_on_arrival_or_on_what_the_excluded_send(
    order: list[int], published: list[int], send: bool
):
    told, usual = told_in(order, published, send=send), told_in([0, 1, 2], [0, 2], send=True)
    for rule in (candidates, absences, draws):
        assert rule(told.ledger, Round(1)) == rule(usual.ledger, Round(1))  # type: ignore[operator]
    commitments = [commitment_root(standing(one.ledger, Round(1)).values()) for one in (told, usual)]
    assert commitments[0] == commitments[1]


def history(ledger: Ledger) -> dict[Round, object]:
    """What may never change about a round once it is closed, its draw once it is known, its members once aggregated."""
    fixed: dict[Round, object] = {}
    for round_, book in ledger.rounds.items():
        if book.closed:
            members = candidates(ledger, round_) if book.aggregated else None
            drawn = draws(ledger, round_) if ledger.draw_seed(round_) else None
            fixed[round_] = (standing(ledger, round_), drawn, members)
    return fixed


def slots(said: list[Said]) -> list[tuple[object, ...]]:
    """Slots that statements of the transcript fill."""
    filled: list[tuple[object, ...]] = []
    for item in said:
        statement: Statement = item.statement
        if isinstance(statement, Receipt | Published):
            filled.append((type(statement), statement.round, statement.worker))
        elif isinstance(statement, Finding):
            filled.append((Finding, statement.round, statement.worker, statement.segment, statement.auditor))
    return filled


def started(spec: RunSpec) -> Crowd:
    crowd = Crowd(spec)
    crowd.open()
    for role, slot in (("worker", 0), ("worker", 1), ("auditor", 0), ("auditor", 1)):
        crowd.join(role, slot)
    crowd.hear(0)
    crowd.round_open(0)
    return crowd


@settings(max_examples=25)
@given(st.sampled_from(SPECS), trying(go_on=14, join=1, leave=1, renew=1, old_key=1, twist=1, end=1, **ANYTHING))
def test_no_admitted_sequence_fills_a_slot_twice_or_changes_the_past(spec: RunSpec, tries: list[Attempt]):
    crowd = started(spec)
    before: dict[Round, object] = {}
    excluded: dict[Worker, Fault] = {}
    for attempt in tries:
        size = crowd.ledger.size
        try:
            crowd.attempt(attempt)
        except Inadmissible:
            assert crowd.ledger.size == size
        now = history(crowd.ledger)
        for round_, (old_standing, old_draws, old_members) in before.items():  # type: ignore[misc]
            standing_, drawn, members = now[round_]  # type: ignore[misc]
            assert standing_ == old_standing
            assert drawn == old_draws or old_draws is None
            assert members == old_members or old_members is None
        assert excluded.items() <= faults(crowd.ledger).items()
        before, excluded = now, faults(crowd.ledger)
    assert len(set(slots(crowd.said))) == len(slots(crowd.said))
    for round_ in before:
        assert all(is_drawn(crowd.ledger, draw) for draw in draws(crowd.ledger, round_))


def in_force(said: list[Said], role: str, slot: int, round_: int) -> tuple[int, Address] | None:
    """Key epoch and session key that a slot may sign a round with after ``said``, from the page's definition."""
    key = None
    for item in said:
        statement = item.statement
        if isinstance(statement, Join) and (statement.role, statement.worker) == (role, slot):
            key = (statement.key_epoch, statement.session, statement.until)
        elif isinstance(statement, Leave) and (statement.role, statement.worker) == (role, slot):
            key = None
    return None if key is None or key[2] < round_ else key[:2]


def heard(said: list[Said], epoch: int) -> bool:
    return any(isinstance(item.statement, Beacon) and item.statement.epoch == epoch for item in said)


@settings(max_examples=80)
@given(st.sampled_from(SPECS), trying(go_on=12, leave=3, renew=3, old_key=6, **ANYTHING))
def test_nobody_who_left_and_no_key_that_ended_signs_anything_in(spec: RunSpec, tries: list[Attempt]):
    crowd = started(spec)
    for attempt in tries:
        with suppress(Inadmissible):
            crowd.attempt(attempt)
    for index, item in enumerate(crowd.said):
        statement, before = item.statement, crowd.said[:index]
        if isinstance(statement, Receipt | Published):
            where = ("worker", statement.worker, statement.round)
            assert in_force(before, *where) == (statement.key_epoch, item.key.address)
        elif isinstance(statement, Finding):
            where = ("auditor", statement.auditor, statement.round)
            assert in_force(before, *where) == (statement.key_epoch, item.key.address)
        elif isinstance(statement, CommitClose):
            present = [slot for slot in range(3) if in_force(before, "auditor", slot, statement.round)]
            assert crowd.ledger.rounds[statement.round].auditors == tuple(present)


@settings(max_examples=60)
@given(trying(go_on=10, **ANYTHING))
def test_nothing_that_rests_on_the_chain_comes_before_it_was_heard(tries: list[Attempt]):
    crowd = started(chain_spec())
    for attempt in tries:
        with suppress(Inadmissible):
            crowd.attempt(attempt)
    for index, item in enumerate(crowd.said):
        statement, before = item.statement, crowd.said[:index]
        if isinstance(statement, RoundOpen):
            assert heard(before, statement.round)
        elif isinstance(statement, Published | Finding):
            assert heard(before, statement.round + 1)
        elif isinstance(statement, Beacon) and statement.epoch:
            close = place(crowd.said, CommitClose, round=statement.epoch - 1)
            assert close < statement.size <= index
            assert statement.root == crowd.log.root(statement.size)


@settings(max_examples=40)
@given(st.integers(0, 62), st.binary(min_size=65, max_size=65))
def test_a_made_up_signature_is_refused(index: int, signature: bytes):
    ledger = Ledger(STORY.spec)
    for item in STORY.said[:index]:
        ledger.file(Signed(item.statement, b""))
    try:
        admit(ledger, Signed(STORY.said[index].statement, signature))
    except (Inadmissible, FormatError):
        return
    raise AssertionError("a made-up signature was accepted")
