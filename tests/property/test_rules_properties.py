from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.names import Index, Round, Worker
from attestrain.record.spec import Schedule
from attestrain.record.statements import Finding, Published, Receipt, Signed, Statement
from attestrain.rules.admission import Inadmissible, admit
from attestrain.rules.assignment import Assignment
from attestrain.rules.beacon import commitment_root
from attestrain.rules.bijection import MAX_DOMAIN, Bijection
from attestrain.rules.draws import Draw, drawn_segments, draws, is_drawn, missing_findings
from attestrain.rules.faults import faults, standing
from attestrain.rules.ledger import Ledger
from attestrain.rules.membership import absences, candidates
from attestrain.rules.votes import Fault, Votes
from tests.vectors.teller import Said, Teller, make_spec, play_round, session, story

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
    assigned = Assignment(beacon, Schedule(1, steps, 1, batch, 8, workers), size)
    slots = [(worker, step) for worker in range(workers) for step in range(steps)]
    taken = [index for worker, step in slots for index in assigned.sequences(Worker(worker), step)]
    for begin in range(0, len(taken), size):
        one = taken[begin : begin + size]
        assert len(set(one)) == len(one)
        assert all(0 <= index < size for index in one)


@given(digests, st.integers(1, 60), st.integers(0, 10**6), st.integers(0, 9))
def test_the_share_drawn_is_rounded_up(seed: Digest, steps: int, millionths: int, worker: int):
    fraction = f"{millionths // 10**6}.{millionths % 10**6:06d}"
    schedule = Schedule(1, steps, 1, 1, 8, 10)
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


STORY = story()
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


Attempt = tuple[str, int, int, int, str]
attempts = st.lists(
    st.tuples(
        st.sampled_from(
            ["go on"] * 12
            + ["join", "open", "receipt", "close", "publish", "aggregate", "find", "end", "twist", "again"]
        ),
        st.integers(0, 2),
        st.integers(0, 2),
        st.integers(0, 5),
        st.sampled_from(["exact", "fault"]),
    ),
    min_size=25,
    max_size=60,
)


class Crowd(Teller):
    """Tries to say whatever comes to mind; only what is admitted counts."""

    def go_on(self, outcome: str) -> None:
        """The next thing that an honest run would say; findings say ``outcome``."""
        latest = Round(len(self.ledger.rounds) - 1)
        book = self.ledger.rounds[latest]
        waiting = [slot for slot in self.ledger.slots("worker") if slot not in book.receipts]
        unpublished = sorted(book.receipts.keys() - book.published.keys())
        unanswered = [draw for draw in missing_findings(self.ledger, latest) if draw.worker in book.published]
        if book.closed is None:
            self.receipt(latest, waiting[0]) if waiting else self.close(latest)
        elif unpublished and book.aggregated is None:
            self.publish(latest, unpublished[0])
        elif unanswered:
            self.find(unanswered[0], outcome)
        elif book.aggregated is None:
            self.aggregate(latest)
        else:
            self.round_open(latest + 1)

    def attempt(self, attempt: Attempt) -> None:
        what, a, b, c, outcome = attempt
        rounds = self.ledger.rounds
        latest = max(len(rounds) - 1, 0)
        match what:
            case "go on":
                self.go_on(outcome)
            case "join":
                role = ("worker", "auditor")[c % 2]
                self.join(role, a, b)
            case "open":
                self.round_open(len(rounds) + (c == 5))
            case "receipt" if rounds:
                self.receipt(latest - b // 2 * (latest > 0), a)
            case "close" if rounds:
                self.close(latest)
            case "publish" if rounds and (receipts := rounds[Round(latest)].receipts):
                self.publish(latest, sorted(receipts)[a % len(receipts)])
            case "aggregate" if rounds:
                self.aggregate(latest)
            case "find" if rounds:
                drawn = draws(self.ledger, Round(b % len(rounds)))
                self.find(
                    drawn[(7 * a + c) % len(drawn)] if drawn else Draw(Round(0), Worker(a), c, Worker(0)), outcome
                )
            case "end" if rounds and rounds[Round(latest)].aggregated:
                if c == 5:
                    self.run_close()
            case "twist" if rounds:
                wrong = replace(self.make_receipt(latest, a), tokens=c)  # type: ignore[arg-type]
                self.say(wrong, session("worker", a, self.epoch("worker", a)))
            case "again" if self.said:
                self.say(*vars(self.said[(9 * a + 3 * b + c) % len(self.said)]).values())


def history(ledger: Ledger) -> dict[Round, object]:
    """What may never change about a round once it is closed, and once it is aggregated."""
    fixed: dict[Round, object] = {}
    for round_, book in ledger.rounds.items():
        if book.closed:
            members = candidates(ledger, round_) if book.aggregated else None
            fixed[round_] = (standing(ledger, round_), draws(ledger, round_), members)
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


@settings(max_examples=25)
@given(attempts)
def test_no_admitted_sequence_fills_a_slot_twice_or_changes_the_past(tries: list[Attempt]):
    crowd = Crowd(make_spec())
    crowd.open()
    for role, slot in (("worker", 0), ("worker", 1), ("auditor", 0), ("auditor", 1)):
        crowd.join(role, slot)
    crowd.round_open(0)
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
            assert (standing_, drawn) == (old_standing, old_draws)
            assert members == old_members or old_members is None
        assert excluded.items() <= faults(crowd.ledger).items()
        before, excluded = now, faults(crowd.ledger)
    assert len(set(slots(crowd.said))) == len(slots(crowd.said))
    for round_ in before:
        assert all(is_drawn(crowd.ledger, draw) for draw in draws(crowd.ledger, round_))


@settings(max_examples=40)
@given(st.integers(0, 39), st.binary(min_size=65, max_size=65))
def test_a_made_up_signature_is_refused(index: int, signature: bytes):
    ledger = Ledger(STORY.spec)
    for item in STORY.said[:index]:
        ledger.file(Signed(item.statement, b""))
    try:
        admit(ledger, Signed(STORY.said[index].statement, signature))
    except (Inadmissible, FormatError):
        return
    raise AssertionError("a made-up signature was accepted")
