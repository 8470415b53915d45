"""A worker: follows the run, trains its rounds, commits, publishes. It only dials out."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from attestrain.corpus.dataset import Split
from attestrain.record.digest import Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import KeyEpoch, Round, Size, Tokens, Worker
from attestrain.record.statements import Published, Receipt, sign
from attestrain.record.trace import Trace, state_root
from attestrain.rules.admission import TRUNK
from attestrain.rules.draws import drawn_segments
from attestrain.rules.faults import faults
from attestrain.rules.ledger import RoundBook
from attestrain.run.background import Background, Behind
from attestrain.run.effort import CPU, Effort
from attestrain.run.exchange import Refusal, Stopped
from attestrain.run.follower import Follower
from attestrain.run.gate import LATEST
from attestrain.run.journal import Journal, Slot
from attestrain.run.states import ADOPTED, fetch, keep, needed, retained, upload
from attestrain.store.blobs import BlobStore
from attestrain.train.batches import RoundBatches
from attestrain.train.engine import Engine
from attestrain.train.schedule import bits_float
from attestrain.train.state import State, genesis_state
from attestrain.train.trace import OnSegment, RoundInputs, RoundWork, SegmentWork, run_round

KEY_EPOCH = KeyEpoch(0)
"""The first session key, which lives for the whole run unless its owner leaves."""
LOOK = 0.25
"""Seconds between looks at the transcript while a round trains: it is over soon enough, and asking costs."""
OWN_BLOBS = "blobs"
"""Folder of a worker's own blobs within its memory."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A role's place in a run.

    Attributes:
        slot: its slot among those of its role.
        session: key that signs its statements.
        environment: digest of the environment it registered.
        folder: its own memory.
        key_epoch: which life of the session key this is.
    """

    slot: Worker
    session: SigningKey
    environment: Digest
    folder: Path
    key_epoch: KeyEpoch = KEY_EPOCH


class WorkerRole:
    """One worker.

    Args:
        seat: its place in the run.
        follower: its view of the run.
        engine: trains.
        split: the training split.
        keep_states_every: rounds between the states it leaves for later replays.
    """

    def __init__(self, seat: Seat, follower: Follower, engine: Engine, split: Split, keep_states_every: int) -> None:
        self._slot = seat.slot
        self._follower = follower
        self._engine = engine
        self._split = split
        self._session = seat.session
        self._key_epoch = seat.key_epoch
        self._environment = seat.environment
        self._own = BlobStore(seat.folder / OWN_BLOBS)
        self._journal = Journal(seat.folder / "journal")
        self._keep_every = keep_states_every
        self._effort = Effort()
        self._background = Background(self._effort)
        self._showing: Round | None = None
        self._behind = Behind()
        self._next_look = 0.0
        self._work: RoundWork | None = None
        self._given_up: Round | None = None
        self._kept_since = Round(0)

    def run(self) -> None:
        """Take part until the run closes or this worker is excluded."""
        ledger = self._follower.ledger
        with closing(self._journal):
            while ledger.run_close is None and self._slot not in faults(ledger):
                if (last := ledger.last_round()) is not None:
                    self._act(last, ledger.rounds[last])
                if self._showing is None:
                    self._await_background()
                self._follower.sync()
            with suppress(Refusal, Stopped):
                self._await_background()
        self._tell_overlap()
        self._follower.exchange.tell(CPU, **self._effort.report())

    def settled(self) -> bool:
        """Publish what was last committed, if that is due; whether nothing is left to publish."""
        rounds = self._follower.ledger.rounds
        committed = [round_ for round_, book in rounds.items() if self._slot in book.receipts]
        if not committed or self._slot in rounds[committed[-1]].published:
            return True
        if self._drawn(committed[-1]) is None:
            return False
        self._publish(committed[-1])
        self._await_background()
        return True

    def close(self) -> None:
        """Give the journal back, without a run."""
        self._journal.close()

    def _act(self, round_: Round, book: RoundBook) -> None:
        """Do what the round asks of this worker next. Refused or late, it sits the round out and joins in the next."""
        if book.aggregated is not None or self._given_up == round_:
            return
        try:
            self._catch_up(round_)
            self._step(round_, book)
        except Refusal as error:
            print(f"round {round_}: {error}", file=sys.stderr, flush=True)
            self._given_up = round_

    def _catch_up(self, round_: Round) -> None:
        """Publish what is not published yet of rounds before: in time with a delay, else to close the gap."""
        spec, rounds = self._follower.spec, self._follower.ledger.rounds
        for number in range(max(0, round_ - LATEST - spec.overlap.delay), round_):
            before = rounds[Round(number)]
            if self._slot in before.receipts and self._slot not in before.published:
                self._publish(Round(number))

    def _step(self, round_: Round, book: RoundBook) -> None:
        if book.closed is None and self._slot not in book.receipts:
            self._commit(round_)
        elif self._slot in book.receipts and self._slot not in book.published and self._drawn(round_) is not None:
            self._publish(round_)

    def _commit(self, round_: Round) -> None:
        """Train the round unless the journal has it, journal it, sign it, send it."""
        slot = self._journal.get(round_)
        if slot is None:
            self._work = self._train(round_, self.begin(round_), partial(self._look_ahead, round_))
            slot = self._record(self._work)
        receipt = self._receipt(self._trace(slot))
        # Work that was journalled before its owner left and came back is signed by the new key; the old one is void.
        lives = (replace(receipt, key_epoch=KeyEpoch(number)) for number in range(self._key_epoch + 1))
        if slot.digest not in {sha256(life.signing_digest()) for life in lives}:
            raise AssertionError(f"round {round_} was journalled with another receipt")
        if self._showing is not None:
            self._await_background()
        self._follower.exchange.submit(sign(receipt, self._session).to_bytes())
        self._tell_overlap()

    def _train(self, round_: Round, begin: State, between: Callable[[], None] = lambda: None) -> RoundWork:
        """Train a round; ``between`` is called after every segment."""
        spec, ledger = self._follower.spec, self._follower.ledger
        started = time.monotonic()
        checkpoint = self._follower.history.at(ledger, round_)
        self._behind.add((started, time.monotonic()))
        beacon = ledger.rounds[round_].opened.statement.beacon
        batches = RoundBatches(spec, self._split, beacon, self._slot)
        base, rank = checkpoint.record.digest, checkpoint.record.rank_of(round_)
        inputs = RoundInputs(TRUNK, round_, self._slot, base, checkpoint.params, batches, rank)
        with self._behind.training(round_):
            return run_round(self._engine, inputs, begin, self._reporter(round_, between), meter=self._effort)

    def _reporter(self, round_: Round, between: Callable[[], None]) -> OnSegment:
        """Tells the exchange of every segment as it is done."""
        begin = time.perf_counter()
        schedule = self._follower.spec.schedule
        tokens = schedule.batch * schedule.sequence_tokens

        def report(index: int, work: SegmentWork) -> None:
            nonlocal begin
            now = time.perf_counter()
            steps = work.segment.steps
            loss = bits_float(steps[-1].loss) if steps else None
            seconds, begin = round(now - begin, 4), now
            place = {"worker": self._slot, "round": round_, "segment": index, "phase": work.segment.kind}
            tell = self._follower.exchange.tell
            tell("segment", **place, loss=loss, tokens=tokens * len(steps), seconds=seconds)
            between()

        return report

    def _look_ahead(self, round_: Round) -> None:
        """With a delay, derive the checkpoint that the next round starts from while this one trains, once it is known.

        Raises:
            Refusal: what was published meanwhile may not stand.
        """
        follower, following = self._follower, Round(round_ + 1)
        number, rounds = follower.spec.overlap.base(following), follower.spec.schedule.rounds
        if number == following or following == rounds or follower.history.has(number):
            return
        if self._background.busy or time.monotonic() < self._next_look:
            return
        self._await_background()
        self._next_look = time.monotonic() + LOOK
        follower.read_up(follower.exchange.entries)
        if follower.ledger.checkpoint(number) is not None:
            self._background.start(partial(follower.history.checkpoint, follower.ledger, number))

    def begin(self, round_: Round) -> State:
        """The state this worker enters a round with: where the last round that it committed to ended, or all zeros.

        Rounds that it trained but was too late or not allowed to commit to do not count: nobody could check them.
        """
        spec, rounds = self._follower.spec, self._follower.ledger.rounds
        committed = [earlier for earlier, book in rounds.items() if earlier < round_ and self._slot in book.receipts]
        if not committed:
            return genesis_state(spec)
        before = max(committed)
        if self._work is not None and self._work.trace.round == before:
            return self._work.states[-1]
        return fetch(self._own, spec, self._journalled(before).end, {})

    def _journalled(self, round_: Round) -> Slot:
        slot = self._journal.get(round_)
        if slot is None:
            raise AssertionError(f"round {round_} has a receipt that is not journalled")
        return slot

    def _record(self, work: RoundWork) -> Slot:
        """Keep what a restart needs, then journal the receipt, then forget what nobody can ask for any more."""
        trace = work.trace
        for place in (0, -1):
            keep(self._own, work.states[place], trace.states[place])
        slot = Slot(
            round=trace.round,
            digest=sha256(self._receipt(trace).signing_digest()),
            trace=self._own.put(trace.to_bytes()),
            update=self._own.put(work.update),
            begin=trace.states[0],
            end=trace.states[-1],
        )
        self._journal.put(slot)
        self._forget(trace.round)
        return slot

    def _forget(self, now: Round) -> None:
        """Delete own copies of rounds before the last committed one, up to which a restart may have to go back.

        Their updates, traces and drawn states are in the shared store, and their journal entries stay.
        """
        rounds = self._follower.ledger.rounds
        since = max((r for r, book in rounds.items() if r < now and self._slot in book.receipts), default=Round(0))
        needed_still = {ref for slot in self._journal.between(since, now) for ref in slot.refs()}
        for slot in self._journal.between(self._kept_since, since - 1):
            for ref in slot.refs() - needed_still:
                self._own.delete(ref)
        self._kept_since = since

    def _trace(self, slot: Slot) -> Trace:
        if self._work is not None and self._work.trace.round == slot.round:
            return self._work.trace
        return Trace.from_bytes(self._own.get(slot.trace))

    def _receipt(self, trace: Trace) -> Receipt:
        spec = self._follower.spec
        opened = self._follower.ledger.rounds[trace.round].opened.statement
        return Receipt(
            run=spec.run_id,
            branch=TRUNK,
            round=trace.round,
            worker=self._slot,
            key_epoch=self._key_epoch,
            base=opened.base,
            first_state=state_root(trace.states[0]),
            last_state=state_root(trace.states[-1]),
            trace_root=trace.root,
            update_root=trace.update.root,
            update_size=Size(trace.update.size),
            environment=self._environment,
            tokens=Tokens(spec.schedule.round_tokens),
        )

    def _drawn(self, round_: Round) -> list[int] | None:
        """Segments of this worker's round that were drawn; None until the round is closed and the draw is known."""
        seed = self._follower.ledger.draw_seed(round_)
        return None if seed is None else drawn_segments(self._follower.spec, seed, self._slot)

    def _publish(self, round_: Round) -> None:
        """After the close: trace, update and the states before drawn segments go where everyone can fetch them.

        With a delay they go while the next round trains, which waits for their arrival before it is committed to: so
        no worker is ever two rounds ahead of what it has shown.
        """
        if self._showing == round_:
            return
        self._await_background()
        slot = self._journalled(round_)
        trace = self._trace(slot)
        drawn = set(self._drawn(round_) or ())
        if retained(round_, self._keep_every):
            drawn.add(ADOPTED)
        send = partial(self._send, slot, trace, self._states(round_, slot), drawn)
        if self._follower.spec.overlap.delay:
            self._showing = round_
            self._background.start(send)
        else:
            send()
        if self._effort.due():
            self._follower.exchange.tell(CPU, **self._effort.report())

    def _tell_overlap(self) -> None:
        if self._follower.spec.overlap.delay:
            self._follower.exchange.tell("overlap", worker=self._slot, **self._behind.report())

    def _await_background(self) -> None:
        """Wait for what is done in the background.

        Raises:
            Refusal: it was a publication that may not stand.
        """
        self._showing = None
        if (span := self._background.finish()) is not None:
            self._behind.add(span)

    def _send(self, slot: Slot, trace: Trace, states: list[State], drawn: set[int]) -> None:
        """Send a round's update, trace and some of its states, then say so. Touches nothing that training changes."""
        store = self._follower.store
        store.put_all([self._own.get(slot.update), self._own.get(slot.trace)])
        for segment in drawn:
            upload(store, states[segment], needed(self._follower.spec, trace, segment))
        published = Published(
            run=trace.run,
            branch=TRUNK,
            round=trace.round,
            worker=self._slot,
            key_epoch=self._key_epoch,
            trace_root=trace.root,
            trace_blob=slot.trace.root,
            trace_size=Size(slot.trace.size),
            update_root=trace.update.root,
        )
        self._follower.exchange.submit(sign(published, self._session).to_bytes())

    def _states(self, round_: Round, slot: Slot) -> list[State]:
        """All states of a round; after a restart they are derived again from where the round began."""
        if self._work is None or self._work.trace.round != round_:
            self._work = self._train(round_, fetch(self._own, self._follower.spec, slot.begin, {}))
        return self._work.states
