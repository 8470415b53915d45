"""Participants and a sequencer who try to say whatever comes to mind; only what is admitted counts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from attestrain.record.names import KeyEpoch, Round, Size, Worker
from attestrain.rules.draws import Draw, draws, missing_findings
from tests.vectors.teller import Teller, session

Attempt = tuple[str, int, int, int, str]
"""What to try, three numbers that say where, and the outcome of a finding."""


def trying(**weights: int) -> st.SearchStrategy[list[Attempt]]:
    """Lists of attempts, of which some are as much more frequent as their ``weights`` say."""
    kinds = [name.replace("_", " ") for name, weight in weights.items() for _ in range(weight)]
    numbers = (st.integers(0, 2), st.integers(0, 2), st.integers(0, 5))
    one = st.tuples(st.sampled_from(kinds), *numbers, st.sampled_from(["exact", "fault"]))
    return st.lists(one, min_size=25, max_size=60)


ANYTHING = {"open": 1, "receipt": 1, "close": 1, "publish": 1, "aggregate": 1, "find": 1, "hear": 1, "again": 1}


class Crowd(Teller):
    """Tells what it is asked to try, as far as the rules let it."""

    def go_on(self, outcome: str) -> None:
        """The next thing that an honest run would say; findings say ``outcome``."""
        ledger, latest = self.ledger, Round(len(self.ledger.rounds) - 1)
        book = ledger.rounds[latest]
        able = [slot for slot in ledger.slots("worker") if ledger.in_force("worker", slot, latest)]
        waiting = [slot for slot in able if slot not in book.receipts]
        unpublished = [slot for slot in able if slot in book.receipts and slot not in book.published]
        unanswered = [draw for draw in missing_findings(ledger, latest) if self.can_answer(draw)]
        if book.closed is None:
            self.receipt(latest, waiting[0]) if waiting else self.close(latest)
        elif ledger.draw_seed(latest) is None:
            self.hear(latest + 1)
        elif unpublished and book.aggregated is None:
            self.publish(latest, unpublished[0])
        elif unanswered:
            self.find(unanswered[0], outcome)
        elif book.aggregated is None:
            self.aggregate(latest)
        else:
            self.round_open(latest + 1)

    def can_answer(self, draw: Draw) -> bool:
        """Whether a draw is about published work and its auditor has a key for it."""
        published = draw.worker in self.ledger.rounds[draw.round].published
        return published and self.ledger.in_force("auditor", draw.auditor, draw.round)

    def attempt(self, attempt: Attempt) -> None:
        """Try one thing.

        Raises:
            Inadmissible: the rules did not let it.
        """
        what, a, b, c, outcome = attempt
        match what:
            case "go on":
                self.go_on(outcome)
            case "join":
                self.join(("worker", "auditor")[c % 2], a, b)
            case "renew":
                role = ("worker", "auditor")[c % 2]
                self.join(role, a, self.epoch(role, a) + 1, until=b)
            case "leave":
                self.leave(("worker", "auditor")[c % 2], a)
            case "hear":
                self.hear_anything(a, b, c)
            case "again" if self.said:
                self.say(*vars(self.said[(9 * a + 3 * b + c) % len(self.said)]).values())
            case _:
                self.attempt_in_round(attempt)

    def hear_anything(self, a: int, b: int, c: int) -> None:
        """Say that the chain said something, about the next epoch or another, from what the log holds or more."""
        beacon = self.make_beacon(len(self.ledger.beacons) + (c == 5) - (c == 4 and len(self.ledger.beacons) > 0))
        size = self.ledger.size + (b == 0) - 2 * (b == 1) * a if beacon.epoch else b // 2
        root = self.log.root(size) if 0 < size <= self.ledger.size else beacon.root
        self.say(replace(beacon, size=Size(size), root=root))

    def attempt_in_round(self, attempt: Attempt) -> None:
        """Try one thing about a round."""
        what, a, b, c, outcome = attempt
        rounds = self.ledger.rounds
        latest = max(len(rounds) - 1, 0)
        match what:
            case "open":
                self.round_open(len(rounds) + (c == 5))
            case "receipt":
                self.receipt(latest - b // 2 * (latest > 0), a)
            case "close":
                self.close(latest)
            case "publish" if receipts := rounds[Round(latest)].receipts:
                self.publish(latest, sorted(receipts)[a % len(receipts)])
            case "aggregate":
                self.aggregate(latest)
            case "find":
                drawn = draws(self.ledger, Round(b % len(rounds)))
                guess = Draw(Round(0), Worker(a), c, Worker(0))
                self.find(drawn[(7 * a + c) % len(drawn)] if drawn else guess, outcome)
            case "end" if rounds[Round(latest)].aggregated and c == 5:
                self.run_close()
            case "twist":
                wrong = replace(self.make_receipt(latest, a), tokens=c)  # type: ignore[arg-type]
                self.say(wrong, self.session("worker", a))
            case "old key":
                self.attempt_with_an_old_key(latest, a, b, c)

    def attempt_with_an_old_key(self, round_: int, slot: int, epoch: int, what: int) -> None:
        """Sign with the session key of some key epoch, and name that epoch or the latest."""
        book, key = self.ledger.rounds[Round(round_)], session("worker", slot, epoch)
        receipt = self.make_receipt(round_, slot)
        named = KeyEpoch(epoch) if what % 2 else receipt.key_epoch
        if what < 3 or Worker(slot) not in book.receipts:
            self.say(replace(receipt, key_epoch=named), key)
        else:
            self.say(replace(self.make_published(round_, slot), key_epoch=named), key)
