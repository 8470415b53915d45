"""The cast of a local run: which processes there are and what each of them does from its first line to its last."""

from __future__ import annotations

import functools
from collections.abc import Callable

from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SimulatedMachine
from attestrain.corpus.dataset import Dataset
from attestrain.record.digest import Digest
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.ledger import Ledger
from attestrain.run.auditor import AuditorRole
from attestrain.run.baseline import train_solo
from attestrain.run.cheats import CARRIED, DoctoringWorker, make_cheat
from attestrain.run.config import RunConfig
from attestrain.run.enrolment import Enrolment, Place, latest_beacon
from attestrain.run.evaluation import Evaluator
from attestrain.run.events import EventLog
from attestrain.run.folder import RunFolder
from attestrain.run.follower import Follower
from attestrain.run.jury import Jury
from attestrain.run.keyring import Keyring
from attestrain.run.local import LocalNetwork
from attestrain.run.onchain import OnChain
from attestrain.run.service.client import Caller, HttpBlobs, HttpExchange
from attestrain.run.service.members import Member, Members
from attestrain.run.service.server import Door
from attestrain.run.worker import KEY_EPOCH, Seat, WorkerRole
from attestrain.settle.client import ChainClient
from attestrain.train.engine import Engine
from attestrain.train.task import Task

SOLO = "solo"
"""The process that trains alone for comparison, and its events."""
SOLO_POINTS = 6
"""Points of the comparison curve: evaluating costs the others time."""


def invited(config: RunConfig, keys: Keyring) -> dict[tuple[str, Worker], Address]:
    """Who may take which slot of a run on this machine: the accounts whose keys it made."""
    seats = {"worker": config.schedule.workers, "auditor": config.audit.auditors}
    return {
        (role, Worker(slot)): keys.signing(f"{role}-{slot}").address
        for role, count in seats.items()
        for slot in range(count)
    }


def members(config: RunConfig, keys: Keyring) -> Members:
    """Who may write to the service of a run on this machine: everybody invited, and the worker alone with its curve."""
    found = [(address, Member(role, slot)) for (role, slot), address in invited(config, keys).items()]
    return Members([*found, (keys.signing(SOLO).address, Member(SOLO, Worker(0)))])


class Cast:
    """The processes of a run: workers (some may cheat), auditors, and on request one worker alone for comparison."""

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder,
        spec: RunSpec,
        dataset: Dataset,
        task: Task,
        keys: Keyring,
        environment: Digest,
        chain: OnChain | None = None,
        pki: DevPki | None = None,
    ) -> None:
        self._config = config
        self._run = run
        self._spec = spec
        self._dataset = dataset
        self._task = task
        self._environment = environment
        self._chain = chain
        self._door: Door | None = None
        self._workers = [Worker(slot) for slot in range(config.schedule.workers)]
        self._auditors = [Worker(slot) for slot in range(config.audit.auditors)]
        # Keys are opened before the fork: a key that a process does not need, it forgets by dropping this object.
        names = [f"worker-{slot}" for slot in self._workers] + [f"auditor-{slot}" for slot in self._auditors]
        self._keys = {name: (keys.signing(name), keys.signing(f"{name}-session")) for name in names}
        # Each participant gets a simulated machine of its own; the keys of the root stay with the conductor.
        self._machines = {} if pki is None else {name: SimulatedMachine(pki.provision()) for name in names}
        self._solo_key = keys.signing(SOLO)

    def start(self, network: LocalNetwork) -> None:
        """Start every process."""
        self._door = network.service.door
        for slot in self._workers:
            network.add("worker", slot, functools.partial(self._work, slot))
        for slot in self._auditors:
            network.add("auditor", slot, functools.partial(self._audit, slot))
        if not self.finished(network)():
            network.add(SOLO, Worker(0), self._solo)

    def present(self, ledger: Ledger) -> Callable[[], bool]:
        """Whether all have joined."""
        return lambda: ledger.slots("worker") == self._workers and ledger.slots("auditor") == self._auditors

    def finished(self, network: LocalNetwork) -> Callable[[], bool]:
        """Whether what runs beside the rounds is done too, or will never be."""
        return lambda: not self._config.local.solo or bool(network.lost(SOLO)) or _solo_done(network.events)

    def _dial(self, key: SigningKey) -> Caller:
        """Reach the sequencer, in the process that is going to."""
        if self._door is None:
            raise AssertionError("a process runs before the cast was started")
        return Caller(self._door, key)

    def _work(self, slot: Worker) -> None:
        caller = self._dial(self._keys[f"worker-{slot}"][0])
        exchange = HttpExchange(caller)
        seat = self._join("worker", slot, exchange, self._client("worker", slot))
        follower, split = Follower(self._spec, exchange, HttpBlobs(caller)), self._dataset.split("train")
        keep = self._config.local.keep_states_every
        cheat = next((cheat for cheat in self._config.cheat if cheat.worker == slot), None)
        if cheat is None:
            WorkerRole(seat, follower, Engine(self._spec, self._task), split, keep).run()
            return
        engine = make_cheat(cheat.kind, self._spec, self._task, Round(cheat.from_round))
        if cheat.kind in CARRIED:
            DoctoringWorker(seat, follower, engine, split, keep, kind=cheat.kind, from_round=cheat.from_round).run()
        else:
            WorkerRole(seat, follower, engine, split, keep).run()

    def _audit(self, slot: Worker) -> None:
        caller = self._dial(self._keys[f"auditor-{slot}"][0])
        exchange = HttpExchange(caller)
        client = self._client("auditor", slot)
        seat = self._join("auditor", slot, exchange, client)
        follower, engine = Follower(self._spec, exchange, HttpBlobs(caller)), Engine(self._spec, self._task)
        jury = None if client is None else Jury(client, self._spec.run_id, seat.folder / "votes")
        AuditorRole(seat, follower, engine, self._dataset.split("train"), jury).run()

    def _client(self, role: str, slot: Worker) -> ChainClient | None:
        """A participant's own access to the chain, if there is one."""
        if self._chain is None:
            return None
        return self._chain.connect(self._keys[f"{role}-{slot}"][0], self._run.role(role, slot) / "sent")

    def _join(self, role: str, slot: Worker, exchange: HttpExchange, client: ChainClient | None) -> Seat:
        """Take the slot; a process that was started again sends the same bytes and finds itself joined."""
        name, folder = f"{role}-{slot}", self._run.role(role, slot)
        stake = 0 if self._chain is None else self._chain.stake(role)
        embedded = self._chain is not None and self._chain.embedded is not None
        beacon = latest_beacon(exchange) if embedded else None
        enrolment = Enrolment(self._spec, folder, client, stake, self._machines.get(name), beacon)
        participant, session = self._keys[name]
        signed, evidence = enrolment.take(Place(role, slot, participant, session, KEY_EPOCH, self._environment))
        if evidence is not None:
            exchange.describe("evidence", evidence)
        exchange.submit(signed.to_bytes())
        return Seat(slot, session, self._environment, folder)

    def _solo(self) -> None:
        exchange = HttpExchange(self._dial(self._solo_key))
        engine = Engine(self._spec, self._task)
        evaluate = Evaluator(Engine(self._spec, self._task), self._dataset, self._config.local.validation_sequences)
        rounds = self._spec.schedule.rounds
        every = max(1, rounds // SOLO_POINTS)
        for round_, params in train_solo(engine, self._dataset):
            if (rounds - 1 - round_) % every == 0:
                exchange.tell(SOLO, round=round_, loss=evaluate(params), last=round_ == rounds - 1)


def solo_loss(events: EventLog) -> float | None:
    """Final loss of the worker alone; None until it has come to its end, and without a validation split."""
    point = events.latest(SOLO) or {}
    return point["loss"] if point.get("last") else None


def _solo_done(events: EventLog) -> bool:
    return bool((events.latest(SOLO) or {}).get("last"))
