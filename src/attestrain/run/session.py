"""A run on this machine, from configuration to bundle: what `attestrain train` and `attestrain demo` call."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from attestrain.errors import UsageError
from attestrain.record.canonical import canonical
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.digest import Digest
from attestrain.record.names import Round, Text
from attestrain.record.statements import LogOpen, RunClose
from attestrain.rules.admission import TRUNK
from attestrain.rules.faults import Fault, faults
from attestrain.run.baseline import allreduce_bytes
from attestrain.run.bundling import export_model, write_bundle
from attestrain.run.config import RunConfig, load_config
from attestrain.run.config_text import config_toml
from attestrain.run.evaluation import Evaluator
from attestrain.run.events import EventLog, Watcher
from attestrain.run.folder import RunFolder
from attestrain.run.follower import History
from attestrain.run.keyring import Keyring
from attestrain.run.local import LocalNetwork, raise_interrupted
from attestrain.run.narrator import Narrator
from attestrain.run.preparation import Prepared, prepare, reopen
from attestrain.run.roles import Cast
from attestrain.run.round import Conductor
from attestrain.run.sequencer import Sequencer
from attestrain.store.atomic import write_atomic
from attestrain.store.blobs import BlobStore
from attestrain.store.log import DurableLog
from attestrain.train.engine import Engine
from attestrain.train.environment import environment, environment_digest
from attestrain.update.checkpoint import Checkpoint
from attestrain.verify.policy import Pins, Policy

ORIGIN = "attestrain.dev/local"
"""Origin of a local run's log; the run's id follows it."""
JOIN_SECONDS = 120.0
"""Seconds the processes of a run have to come up: they load nothing, so only a very busy machine needs many."""
SIMULATED = ("assigned", "replayed")
"""Guarantees that rest on the beacon, which is recorded until there is a chain to take it from."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run.

    Attributes:
        folder: the run folder.
        bundle: what anyone can check.
        policy: the pins to check it with.
        run_id: name of the run.
        loss: final validation loss, in nats per token; None without a validation split.
        solo_loss: the same of one worker alone, if it was trained.
        uploaded: mean bytes that an honest worker uploaded.
        allreduce: bytes that it would have uploaded for the same steps under fp32 AllReduce.
        caught: the first fault of every worker that was caught.
    """

    folder: Path
    bundle: Path
    policy: Path
    run_id: str
    loss: float | None
    solo_loss: float | None
    uploaded: int
    allreduce: int
    caught: tuple[Fault, ...]


def train(config: RunConfig, folder: Path, *, on_event: Watcher) -> Outcome:
    """Start a run in ``folder`` and bring it to its end.

    Raises:
        UsageError: the configuration cannot be run, or the folder holds a run already.
        Interrupted: stopped by the user; `resume` goes on.
        RunFailed: training diverged.
    """
    run = RunFolder(folder)
    if run.config.exists():
        raise UsageError(f"{folder} holds a run already", hint=f"continue it with: attestrain train --resume {folder}")
    run.path.mkdir(parents=True, exist_ok=True)
    with _held(run):
        prepared = prepare(config, run)
        write_atomic(run.config, config_toml(config).encode("utf-8"))
        return _Session(config, run, prepared, on_event).play()


def resume(folder: Path, *, on_event: Watcher) -> Outcome:
    """Go on with the run in ``folder``, whatever stopped it.

    Raises:
        UsageError: there is no run, or its code has changed.
        Interrupted: stopped by the user again.
    """
    run = RunFolder(folder)
    if not run.config.is_file():
        raise UsageError(f"{folder} holds no run that can be resumed", hint="give the run folder that train printed")
    with _held(run):
        config = load_config(run.config)
        return _Session(config, run, reopen(config, run), on_event).play()


@contextmanager
def _held(run: RunFolder) -> Iterator[None]:
    """Hold the run folder, so that nobody else conducts this run; turn SIGINT and SIGTERM into a clean stop."""
    handle = os.open(run.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    handlers = {number: signal.signal(number, raise_interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UsageError(
            f"{run.path} is in use by another process", hint="stop it, or wait until it has ended"
        ) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(handle)


class _Session:
    """Everything that a run on this machine consists of."""

    def __init__(self, config: RunConfig, run: RunFolder, prepared: Prepared, on_event: Watcher) -> None:
        self.config = config
        self.run = run
        self.spec = prepared.spec
        self.dataset = prepared.dataset
        self.task = prepared.task
        run.logs.mkdir(exist_ok=True)
        self.begin = time.monotonic()
        self.events = EventLog(run.events, on_event)
        self.keys = Keyring(run.keys)
        self.note_key = self.keys.note(f"{ORIGIN}/{self.spec.run_id.hex()[:16]}")
        self.store = BlobStore(run.store)
        self.environment = self._describe_environment()
        self.log = DurableLog(run.journal)
        self.sequencer = Sequencer(self.spec, self.log, self.keys.signing("sequencer"), self.store)
        self.history = History(self.spec, self.store)
        self.network = LocalNetwork(self.sequencer, self.events, run.logs)
        self.conductor = Conductor(self.sequencer, self.history, self.network, config.local.deadline)
        self.narrator = Narrator(self.events, self.sequencer)
        self.loss: float | None = None

    def _describe_environment(self) -> Digest:
        """Describe the environment once: the processes are forks of this one and share it."""
        document = environment(self.spec, self.task)
        digest = environment_digest(document)
        self.run.environments.mkdir(exist_ok=True)
        write_atomic(self.run.environments / f"{digest.hex()}.json", canonical(document))
        return digest

    def play(self) -> Outcome:
        """The whole run, or what is left of it."""
        self._announce()
        cast = Cast(self.config, self.run, self.spec, self.dataset, self.task, self.keys, self.environment)
        try:
            self._open()
            cast.start(self.network)
            evaluate = Evaluator(Engine(self.spec, self.task), self.dataset, self.config.local.validation_sequences)
            self.network.wait(cast.present(self.sequencer.ledger), JOIN_SECONDS)
            final = self._play_rounds(evaluate)
            self._close(final.record)
            self.network.wait(cast.finished(self.events), self.config.local.deadline)
        finally:
            self.network.stop()
        return self._deliver(final)

    def _announce(self) -> None:
        spec, schedule = self.spec, self.spec.schedule
        self.events.emit(
            "start",
            run=spec.run_id.hex(),
            name=spec.name,
            parameters=spec.layout.parameters,
            rounds=schedule.rounds,
            steps=schedule.steps,
            workers=schedule.workers,
            auditors=self.config.audit.auditors,
            sequences=self.dataset.split("train").sequences,
            dataset=self.dataset.manifest.name,
            dataset_digest=self.dataset.manifest.digest.hex(),
            allreduce=allreduce_bytes(spec),
        )

    def _open(self) -> None:
        """Write the pins, outside the bundle and before there is one, and open the log."""
        if self.sequencer.ledger.log_open is None:
            key = self.keys.signing("sequencer")
            verifier = self.note_key.verifier
            self.sequencer.state(LogOpen(self.spec.run_id, key.address, Text(verifier.name), Digest(verifier.public)))
        auditors = [self.keys.signing(f"auditor-{slot}").address for slot in range(self.config.audit.auditors)]
        pins = Pins(run=self.spec.run_id, transcript_key=self.note_key.verifier, auditors=tuple(auditors))
        policy = Policy(pins=pins, replayed_fraction=self.spec.audit_fraction, allow_simulated=SIMULATED)
        write_atomic(self.run.policy, policy.to_toml().encode("utf-8"))

    def _play_rounds(self, evaluate: Evaluator) -> Checkpoint:
        """Every round in order. A round is evaluated while the workers already train the next one."""
        rounds, ledger = self.spec.schedule.rounds, self.sequencer.ledger
        final: Checkpoint | None = None
        for number in range(rounds):
            round_ = Round(number)
            done = round_ in ledger.rounds and ledger.rounds[round_].aggregated is not None
            if done and number + 1 < rounds:
                continue
            begin = time.monotonic()
            outcome = self.conductor.play(round_)
            final = outcome.checkpoint
            self.narrator.aggregated(round_, outcome, time.monotonic() - begin)
            if number + 1 < rounds:
                self.conductor.assign(Round(number + 1))
                self.network.serve(0.0)
            self._evaluate(round_, final, evaluate)
        if final is None:
            raise AssertionError("a run has at least one round")
        self.network.wait(lambda: self.conductor.audited(Round(rounds)), self.config.local.deadline)
        return final

    def _evaluate(self, round_: Round, checkpoint: Checkpoint, evaluate: Evaluator) -> None:
        self.loss = evaluate(checkpoint.params)
        self.events.emit("evaluated", round=round_, loss=self.loss)

    def _close(self, final: CheckpointRecord) -> None:
        if self.sequencer.ledger.run_close is None:
            rounds = Round(self.spec.schedule.rounds)
            self.sequencer.state(RunClose(self.spec.run_id, TRUNK, rounds, final.digest))

    def _deliver(self, final: Checkpoint) -> Outcome:
        """Bundle, and the figures that go with it."""
        ledger = self.sequencer.ledger
        keep = self.config.local.keep_states_every
        bundle = write_bundle(self.run, ledger, self.log, self.note_key, self.dataset, final, keep)
        export_model(self.run, ledger, self.task, final)
        caught = faults(ledger)
        uploaded = self.narrator.mean_upload(exclude=set(caught))
        self.log.close()
        outcome = Outcome(
            folder=self.run.path,
            bundle=bundle,
            policy=self.run.policy,
            run_id=self.spec.run_id.hex(),
            loss=self.loss,
            solo_loss=Cast.solo_loss(self.run.events),
            uploaded=uploaded,
            allreduce=allreduce_bytes(self.spec),
            caught=tuple(caught[worker] for worker in sorted(caught)),
        )
        seconds = round(time.monotonic() - self.begin, 2)
        figures = {"loss": outcome.loss, "solo_loss": outcome.solo_loss, "uploaded": uploaded}
        places = {"bundle": str(bundle), "policy": str(self.run.policy)}
        self.events.emit("finish", **figures, allreduce=outcome.allreduce, seconds=seconds, **places)
        return outcome
