"""Joining a network: what `attestrain join` does from invitation to the end of the run.

A participant has a folder of its own, with its keys and everything it has committed to: started again there, after
whatever killed it, it goes on as the same participant. It believes nothing that it can compute, with one exception,
made only when it comes late: the checkpoint that the latest round starts from may be taken from the service, if its
digest is the one in the transcript. Earlier rounds are then not derived again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from types import FrameType

from attestrain.corpus.dataset import Split
from attestrain.errors import FormatError, Interrupted, Refuted, Unreachable, UsageError
from attestrain.record.canonical import canonical
from attestrain.record.checkpoint import MAX_CHECKPOINT, CheckpointRecord
from attestrain.record.digest import Digest
from attestrain.record.keys import SigningKey
from attestrain.record.names import KeyEpoch, Round, Text
from attestrain.record.note import VerifierKey
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Leave, sign
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from attestrain.run.auditor import AuditorRole
from attestrain.run.downloads import fetch, fetch_dataset, fetch_spec, fetch_terms
from attestrain.run.enrolment import Enrolment, Place, latest_beacon
from attestrain.run.exchange import Refusal, Stopped
from attestrain.run.folder import RunFolder
from attestrain.run.follower import Follower
from attestrain.run.invite import Invite
from attestrain.run.jury import Jury
from attestrain.run.keyring import Keyring
from attestrain.run.machines import NONE, choose_machine
from attestrain.run.onchain import WEI
from attestrain.run.pay import collect
from attestrain.run.preparation import Prepared, reopen
from attestrain.run.process import STOPPING
from attestrain.run.service.app import CLAIM
from attestrain.run.service.auth import service_id
from attestrain.run.service.client import Caller, HttpBlobs, HttpExchange
from attestrain.run.terms import ChainTerms, Terms
from attestrain.run.worker import Seat, WorkerRole
from attestrain.settle.client import ChainClient
from attestrain.settle.contracts import PATIENCE as CHAIN_PATIENCE
from attestrain.settle.contracts import require_genuine
from attestrain.settle.rpc import Rpc
from attestrain.train.device import Device
from attestrain.train.engine import Engine
from attestrain.train.environment import environment
from attestrain.update.checkpoint import load_checkpoint

PATIENCE = 600.0
"""Seconds without an answer after which a network is taken to be gone: time to start a node again."""
LEAVING_SECONDS = 60.0
"""Longest that leaving waits to publish what was committed: a round may take that long to close."""
LEAVING_PATIENCE = 15.0
"""Seconds without an answer after which whoever leaves just goes."""
ATTEMPTS = 3
"""Attempts at the latest checkpoint: a round may end between its document and its values."""

Say = Callable[[str], None]


def join(invite: Invite, run: RunFolder, say: Say, patience: float = PATIENCE, device: Device = Device.CPU) -> None:
    """Take part in a network until its run is over, in a folder that is held.

    Args:
        invite: to which network, as what.
        run: the participant's own folder.
        say: told what happens, for people.
        patience: seconds without an answer after which the network is taken to be gone.
        device: what to compute on.

    Raises:
        Interrupted: stopped by the user, after leaving the network if that was by Ctrl-C.
        Unreachable: the network is gone.
        UsageError: this machine cannot take part.
        Refuted: the network lies.
    """
    participant = _Participant(invite, run, say, patience, device)
    try:
        with _stopping() as stopped:
            try:
                participant.take_part()
            except Interrupted:
                if stopped.by == signal.SIGINT:
                    participant.leave()
                raise
    except Stopped as error:
        raise Unreachable(str(error), hint="join again with the same command when it is back") from error
    except Refusal as error:
        raise UsageError(f"the network refuses: {error}") from error


@dataclass(slots=True)
class _Signal:
    by: int = 0


@contextmanager
def _stopping() -> Iterator[_Signal]:
    """Turn stopping signals into `Interrupted`, and remember which one came."""
    stopped = _Signal()

    def interrupt(number: int, frame: FrameType | None) -> None:
        stopped.by = number
        raise Interrupted("interrupted", hint="join again with the same command")

    before = {number: signal.signal(number, interrupt) for number in STOPPING}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Participant:
    """One participant's way through a run."""

    def __init__(self, invite: Invite, run: RunFolder, say: Say, patience: float, device: Device) -> None:
        self._invite = invite
        self._run = run
        self._say = say
        self._keys = Keyring(run.keys)
        # Verifiers pin the accounts of auditors beforehand, so an auditor's invitation holds its key.
        self._key = invite.key if invite.role == "auditor" else self._keys.signing("participant")
        self._patience = patience
        self._device = device
        self._dial(patience)
        self._seat: Seat | None = None
        self._prepared: Prepared | None = None
        self._terms: Terms | None = None

    def _dial(self, patience: float) -> None:
        self._caller = Caller(self._invite.door, self._key, patience)
        self._exchange = HttpExchange(self._caller, say=self._tell)
        self._blobs = HttpBlobs(self._caller)

    def _tell(self, kind: str, data: dict[str, object]) -> None:
        if kind == "segment" and data.get("phase") == "compress":
            self._say(f"round {data['round']}: trained")
        elif kind == "finding":
            place = f"round {data['round']}, worker {data['worker']}, segment {data['segment']}"
            self._say(f"{place}: {data['outcome']}")

    def take_part(self) -> None:
        """From the first request to the end of the run."""
        invite = self._invite
        if invite.role == "worker":
            self._claim()
        spec = fetch_spec(self._caller, self._run, invite.run)
        self._terms = fetch_terms(self._caller)
        fetch_dataset(self._caller, self._run, spec)
        self._prepared = reopen(self._run)
        document = environment(self._spec, self._prepared.task, self._device)
        described = self._exchange.describe("environments", canonical(document))
        follower = self._follow()
        self._catch_up(follower)
        self._seat = self._take_seat(follower.ledger, described)
        self._say(f"joined run {invite.run.hex()[:12]} as {invite.role} {invite.slot}, computing on {self._device}")
        self._play(follower, self._seat)
        self._say_end(follower.ledger)
        self._take_pay()

    @property
    def _known(self) -> Prepared:
        if self._prepared is None:
            raise AssertionError("the run is not prepared yet")
        return self._prepared

    @property
    def _spec(self) -> RunSpec:
        return self._known.spec

    def _split(self) -> Split:
        return self._known.dataset.split("train")

    def _claim(self) -> None:
        """Have the slot of the invitation given to this participant; it is this participant's from then on."""
        caller = Caller(self._invite.door, self._invite.key, self._patience)
        body = canonical({"format": CLAIM, "participant": self._key.address})
        answer = caller.ask("POST", "/v1/slots", body)
        if answer.status != 204:
            raise Refusal(answer.why)

    def _follow(self) -> Follower:
        """A view of the run up to now, of the very network that the invitation names."""
        follower = Follower(self._spec, self._exchange, self._blobs, by_merged=self._invite.role == "worker")
        follower.read_up(self._exchange.entries)
        opened = follower.ledger.log_open
        if opened is None:
            raise Unreachable("the network has not opened its log yet", hint="join again in a moment")
        verifier = VerifierKey(opened.origin, opened.note_key)
        if service_id(self._spec.run_id, opened.sequencer, str(verifier)) != self._invite.door.service:
            raise Refuted("this service is not the network that the invitation names")
        return follower

    def _catch_up(self, follower: Follower) -> None:
        """Take the latest checkpoint from the service instead of deriving all from the first one, if it can be had."""
        if not follower.ledger.last_round():
            return
        for attempt in range(ATTEMPTS):
            try:
                round_ = self._adopt(follower)
            except (Unreachable, FormatError) as error:
                if attempt == ATTEMPTS - 1:
                    self._say(f"no checkpoint to start from ({error}): deriving every round again")
                continue
            self._say(f"caught up with round {round_} by its checkpoint")
            return

    def _adopt(self, follower: Follower) -> Round:
        record = CheckpointRecord.from_bytes(fetch(self._caller, "/v1/run/checkpoints/latest", MAX_CHECKPOINT))
        params, momentum = self._blobs.get_all([record.params, record.momentum])
        if record.round not in follower.ledger.rounds:
            follower.read_up(self._exchange.entries)
        follower.history.adopt(follower.ledger, load_checkpoint(self._spec, record, params, momentum))
        return record.round

    def _take_seat(self, ledger: Ledger, described: Digest) -> Seat:
        """Join, or find oneself joined; whoever left comes back under the next session key."""
        invite, epoch = self._invite, _key_epoch(ledger, self._invite, self._key)
        session = self._keys.signing(f"session-{epoch}")
        folder = self._run.role(invite.role, invite.slot)
        mode = NONE if self._terms is None else self._terms.evidence
        machine = choose_machine(mode, invite.platform, self._run.path)
        chain = self._chain_terms
        client = self._client()
        stake = 0 if chain is None else chain.stakes[invite.role]
        beacon = latest_beacon(self._exchange) if chain is not None and chain.embedded else None
        enrolment = Enrolment(self._spec, folder / f"key-{epoch}", client, stake, machine, beacon)
        place = Place(invite.role, invite.slot, self._key, session, epoch, described)
        signed, evidence = enrolment.take(place)
        if evidence is not None:
            self._exchange.describe("evidence", evidence)
        self._exchange.submit(signed.to_bytes())
        return Seat(invite.slot, session, described, folder, epoch)

    @property
    def _chain_terms(self) -> ChainTerms | None:
        return None if self._terms is None else self._terms.chain

    def _client(self) -> ChainClient | None:
        """This participant's own access to the chain, whose contracts it has found to be genuine."""
        chain = self._chain_terms
        if chain is None:
            return None
        require_genuine(Rpc(chain.url, CHAIN_PATIENCE), chain.deployment)
        sent = self._run.role(self._invite.role, self._invite.slot) / "sent"
        return ChainClient(chain.url, chain.deployment, self._key, sent, embedded=chain.embedded)

    def _play(self, follower: Follower, seat: Seat) -> None:
        if self._invite.role == "worker":
            self._worker(follower, seat).run()
            return
        engine, client = self._engine(), self._client()
        jury = None if client is None else Jury(client, self._spec.run_id, seat.folder / "votes")
        AuditorRole(seat, follower, engine, self._split(), jury).run()

    def _worker(self, follower: Follower, seat: Seat) -> WorkerRole:
        if self._terms is None:
            raise AssertionError("the terms are not known yet")
        return WorkerRole(seat, follower, self._engine(), self._split(), self._terms.keep_states_every)

    def _engine(self) -> Engine:
        return Engine(self._spec, self._known.task, self._device)

    def _say_end(self, ledger: Ledger) -> None:
        mine = faults(ledger).get(self._invite.slot) if self._invite.role == "worker" else None
        if mine is not None:
            raise Refuted(f"excluded: in round {mine.round}, segment {mine.segment}, {mine.detail}")
        self._say("the run is over")

    def _take_pay(self) -> None:
        """Claim what the run owes this participant, where there is a chain that pays."""
        # A node that was started again may have its own chain elsewhere.
        self._terms = fetch_terms(self._caller)
        client = self._client() if self._invite.role == "worker" else None
        if client is None:
            return
        self._say("waiting for pay to be posted")
        amount = collect(self._caller, client, self._spec.run_id, self._key.address)
        self._say("no pay was posted in time" if amount is None else f"pay: {amount / WEI:g} coins to {client.address}")

    def leave(self) -> None:
        """Publish what was committed, as far as that is soon possible, and give up the slot's key."""
        if self._seat is None:
            return
        self._say("leaving; press Ctrl-C again to go at once")
        # What was interrupted may be half done: look at everything afresh.
        self._dial(min(self._patience, LEAVING_PATIENCE))
        try:
            self._give_up(self._seat)
        except Stopped:
            self._say("the network does not answer: gone without leaving")

    def _give_up(self, seat: Seat) -> None:
        follower = self._follow()
        if self._invite.role == "worker":
            self._wind_up(follower, seat)
        if follower.ledger.run_close is None:
            leave = Leave(self._spec.run_id, Text(self._invite.role), seat.slot, self._key.address, seat.key_epoch)
            self._exchange.submit(sign(leave, self._key).to_bytes())
        self._say(f"left as {self._invite.role} {seat.slot}")

    def _wind_up(self, follower: Follower, seat: Seat) -> None:
        end = time.monotonic() + LEAVING_SECONDS
        with closing(self._worker(follower, seat)) as worker:
            while not worker.settled() and follower.ledger.run_close is None and time.monotonic() < end:
                follower.file(self._exchange.entries(follower.ledger.size, 1))


def _key_epoch(ledger: Ledger, invite: Invite, key: SigningKey) -> KeyEpoch:
    before = ledger.registered(invite.role, invite.slot)
    if before is None:
        return KeyEpoch(0)
    if before.participant != key.address:
        hint = "join in the folder that this participant's keys are in"
        raise UsageError(f"{invite.role} {invite.slot} is taken by another participant", hint=hint)
    left = (invite.role, invite.slot) in ledger.left
    return KeyEpoch(before.key_epoch + left)
