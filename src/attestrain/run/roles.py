"""The cast of a local run: which processes there are and what each of them does from its first line to its last."""

from __future__ import annotations

import functools
from collections.abc import Callable

from attestrain.attester.measure import dependencies_digest
from attestrain.attester.pki import DevPki
from attestrain.attester.simulator import SimulatedMachine
from attestrain.corpus.dataset import Dataset
from attestrain.errors import UsageError
from attestrain.record.digest import Digest
from attestrain.record.keys import SigningKey
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.rules.ledger import Ledger
from attestrain.run.auditor import AuditorRole
from attestrain.run.baseline import train_solo
from attestrain.run.cheats import CARRIED, DoctoringWorker, make_cheat
from attestrain.run.config import RunConfig
from attestrain.run.effort import CPU, Effort
from attestrain.run.enrolment import Enrolment, Place, latest_beacon
from attestrain.run.evaluation import Evaluator
from attestrain.run.events import EventLog
from attestrain.run.folder import RunFolder
from attestrain.run.follower import Follower
from attestrain.run.jury import Jury
from attestrain.run.keyring import Keyring
from attestrain.run.local import LocalNetwork
from attestrain.run.machines import TDX
from attestrain.run.onchain import OnChain
from attestrain.run.service.auth import Door
from attestrain.run.service.client import Caller, HttpBlobs, HttpExchange
from attestrain.run.stage import SOLO, Stage, slots_of
from attestrain.run.worker import KEY_EPOCH, Seat, WorkerRole
from attestrain.settle.client import ChainClient
from attestrain.train.device import Device
from attestrain.train.engine import Engine
from attestrain.train.task import Task

SOLO_POINTS = 6
"""Points of the comparison curve: evaluating costs the others time."""


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
        device: Device,
        stage: Stage,
        chain: OnChain | None = None,
        pki: DevPki | None = None,
    ) -> None:
        self._config = config
        self._run = run
        self._spec = spec
        self._dataset = dataset
        self._task = task
        self._environment = environment
        self._device = device
        self._chain = chain
        self._door: Door | None = None
        self._stage = stage
        self._all = slots_of(config)
        self._ours = [place for place in self._all if place[0] in stage.local]
        # Keys are opened before the fork: a key that a process does not need, it forgets by dropping this object.
        names = [f"{role}-{slot}" for role, slot in self._ours]
        self._keys = {name: (keys.signing(name), keys.signing(f"{name}-session")) for name in names}
        if config.evidence_mode == TDX and self._ours:
            hint = "attestrain network init, node --roles sequencer, and join in every participant's guest"
            raise UsageError("processes that a run starts itself give no TDX evidence", hint=hint)
        # Each participant gets a simulated machine of its own; the keys of the root stay with the conductor.
        self._machines = {} if pki is None else {name: SimulatedMachine(pki.provision()) for name in names}
        if self._machines:
            # All processes measure the same installation: read it once, before the fork.
            dependencies_digest()
        self._solo_key = keys.signing(SOLO)

    def start(self, network: LocalNetwork) -> None:
        """Start every process."""
        self._door = network.service.door
        for role, slot in self._ours:
            network.add(role, slot, functools.partial(self._work if role == "worker" else self._audit, slot))
        if not self.finished(network)():
            network.add(SOLO, Worker(0), self._solo)

    def gather(self, network: LocalNetwork, ledger: Ledger) -> None:
        """Wait for all to join as long as the stage's patience lasts, and for one worker as long as it takes."""
        network.wait(lambda: set(self._all) <= ledger.joins.keys(), self._stage.patience)
        network.wait(lambda: bool(ledger.present("worker")), self._stage.worker_patience)

    def finished(self, network: LocalNetwork) -> Callable[[], bool]:
        """Whether what runs beside the rounds is done too, or will never be."""
        return lambda: not self._config.local.solo or bool(network.lost(SOLO)) or _solo_done(network.events)

    def _dial(self, key: SigningKey) -> Caller:
        """Reach the sequencer, in the process that is going to."""
        if self._door is None:
            raise AssertionError("a process runs before the cast was started")
        return Caller(self._door, key)

    def _engine(self) -> Engine:
        return Engine(self._spec, self._task, self._device)

    def _work(self, slot: Worker) -> None:
        caller = self._dial(self._keys[f"worker-{slot}"][0])
        exchange = HttpExchange(caller)
        seat = self._join("worker", slot, exchange, self._client("worker", slot))
        follower = Follower(self._spec, exchange, HttpBlobs(caller), by_merged=True)
        split = self._dataset.split("train")
        keep = self._config.local.keep_states_every
        cheat = next((cheat for cheat in self._config.cheat if cheat.worker == slot), None)
        if cheat is None:
            WorkerRole(seat, follower, self._engine(), split, keep).run()
            return
        engine = make_cheat(cheat.kind, self._spec, self._task, Round(cheat.from_round), self._device)
        if cheat.kind in CARRIED:
            DoctoringWorker(seat, follower, engine, split, keep, kind=cheat.kind, from_round=cheat.from_round).run()
        else:
            WorkerRole(seat, follower, engine, split, keep).run()

    def _audit(self, slot: Worker) -> None:
        caller = self._dial(self._keys[f"auditor-{slot}"][0])
        exchange = HttpExchange(caller)
        client = self._client("auditor", slot)
        seat = self._join("auditor", slot, exchange, client)
        follower, engine = Follower(self._spec, exchange, HttpBlobs(caller)), self._engine()
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
        engine = self._engine()
        evaluate = Evaluator(self._engine(), self._dataset, self._config.local.validation_sequences)
        rounds = self._spec.schedule.rounds
        every, effort = max(1, rounds // SOLO_POINTS), Effort()
        for round_, params in train_solo(engine, self._dataset):
            if (rounds - 1 - round_) % every == 0:
                with effort.on("evaluation"):
                    loss = evaluate(params)
                exchange.tell(SOLO, round=round_, loss=loss, last=round_ == rounds - 1)
        exchange.tell(CPU, **effort.report(rest="training"))


def solo_loss(events: EventLog) -> float | None:
    """Final loss of the worker alone; None until it has come to its end, and without a validation split."""
    point = events.latest(SOLO) or {}
    return point["loss"] if point.get("last") else None


def _solo_done(events: EventLog) -> bool:
    return bool((events.latest(SOLO) or {}).get("last"))
