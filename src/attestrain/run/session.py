"""A run on this machine, from configuration to bundle: what `attestrain train` and `attestrain demo` call."""

from __future__ import annotations

import functools
import gc
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from attestrain.attester.pki import development_pki
from attestrain.errors import UsageError
from attestrain.record.canonical import canonical
from attestrain.record.chain import ChainFacts
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.digest import Digest
from attestrain.record.names import Address, Round, RunId, Text
from attestrain.record.statements import LogOpen, RunClose
from attestrain.rules.admission import TRUNK
from attestrain.rules.faults import faults
from attestrain.rules.payouts import Payouts
from attestrain.run.apart import apart
from attestrain.run.baseline import allreduce_bytes
from attestrain.run.bundling import export_model, write_bundle
from attestrain.run.config import RunConfig, load_config
from attestrain.run.config_text import config_toml
from attestrain.run.effort import Effort, Tally, effort_of
from attestrain.run.evaluation import Evaluate, conductors_evaluator
from attestrain.run.events import EventLog, Watcher
from attestrain.run.examination import Examination
from attestrain.run.folder import RunFolder
from attestrain.run.follower import History
from attestrain.run.forgetting import forget_audited, forget_states
from attestrain.run.gate import Gate
from attestrain.run.hiding import Hiding
from attestrain.run.holding import held, make_folder
from attestrain.run.keyring import Keyring
from attestrain.run.local import LocalNetwork
from attestrain.run.machines import NONE, SIMULATED
from attestrain.run.narrator import Narrator
from attestrain.run.onchain import OnChain
from attestrain.run.outcome import Outcome
from attestrain.run.pay import part
from attestrain.run.pins import run_policy
from attestrain.run.preparation import Prepared, prepare, reopen
from attestrain.run.roles import Cast, solo_loss
from attestrain.run.round import Conductor
from attestrain.run.sequencer import Sequencer
from attestrain.run.service.opening import open_service
from attestrain.run.settling import Settling
from attestrain.run.stage import Stage, local_stage
from attestrain.run.terms import Terms
from attestrain.store.atomic import write_atomic
from attestrain.store.blobs import BlobStore
from attestrain.store.log import DurableLog
from attestrain.train.device import choose_device
from attestrain.train.environment import environment, environment_digest
from attestrain.update.checkpoint import Checkpoint
from attestrain.verify.policy import ChainPin

ORIGIN = "attestrain.dev/local"
"""Origin of a local run's log; the run's id follows it."""


def origin_of(run: RunId) -> str:
    """Origin of a run's log."""
    return f"{ORIGIN}/{run.hex()[:16]}"


def train(config: RunConfig, folder: Path, *, on_event: Watcher) -> Outcome:
    """Start a run in ``folder`` and bring it to its end.

    Raises:
        UsageError: the configuration cannot be run, or the folder holds a run already.
        Interrupted: stopped by the user; `resume` goes on.
        RunFailed: training could not go on.
    """
    run = RunFolder(folder)
    created = make_folder(folder)
    with held(run):
        if run.config.exists():
            hint = f"continue it with: attestrain train --resume {folder}"
            raise UsageError(f"{folder} holds a run already", hint=hint)
        try:
            prepared = prepare(config, run)
        except BaseException:
            if created:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        # From here on there is a run, which `resume` goes on with.
        write_atomic(run.config, config_toml(config).encode("utf-8"))
        return conduct(config, run, prepared, on_event, local_stage)


def resume(folder: Path, *, on_event: Watcher) -> Outcome:
    """Go on with the run in ``folder``, whatever stopped it.

    Raises:
        UsageError: there is no run, or its code has changed.
        Interrupted: stopped by the user again.
    """
    run = RunFolder(folder)
    if not run.config.is_file():
        raise UsageError(f"{folder} holds no run that can be resumed", hint="give the run folder that train printed")
    if run.network.is_file():
        raise UsageError(f"{folder} is a network", hint=f"go on with: attestrain node --folder {folder}")
    with held(run):
        return conduct(load_config(run.config), run, reopen(run), on_event, local_stage)


def conduct(
    config: RunConfig,
    run: RunFolder,
    prepared: Prepared,
    on_event: Watcher,
    set_stage: Callable[[RunConfig, Keyring], Stage],
) -> Outcome:
    """Bring a prepared run in a folder that is held to its end, on the stage that ``set_stage`` makes of its keys.

    Raises:
        Interrupted: stopped by the user.
        RunFailed: training could not go on.
    """
    run.logs.mkdir(exist_ok=True)
    keys = Keyring(run.keys)
    tally = Tally(on_event)
    hiding = Hiding(tally)
    with closing(EventLog(run.events, hiding)) as events, DurableLog(run.journal) as log:
        return _Session(config, run, prepared, keys, events, log, tally, hiding, set_stage(config, keys)).play()


class _Session:
    """Everything that a run on this machine consists of."""

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder,
        prepared: Prepared,
        keys: Keyring,
        events: EventLog,
        log: DurableLog,
        tally: Tally,
        hiding: Hiding,
        stage: Stage,
    ) -> None:
        self.config = config
        self.run = run
        self.spec = prepared.spec
        self.dataset = prepared.dataset
        self.task = prepared.task
        self.device = choose_device(config.local.device)
        self.keys = keys
        self.events = events
        self.log = log
        self.tally = tally
        self.hiding = hiding
        self.stage = stage
        self.effort = Effort()
        self.begin = time.monotonic()
        self.note_key = keys.note(origin_of(self.spec.run_id))
        self.store = BlobStore(run.store)
        self.history = History(self.spec, self.store, serves=True)
        leaves = self.dataset.split("train").leaves
        key = keys.signing("sequencer")
        self.chain = (
            None if config.chain_mode == "none" else OnChain(config, run, self.spec, key, self._auditors(), events)
        )
        self.pki = development_pki(run.keys) if config.evidence_mode == SIMULATED else None
        gate = Gate(self.store, self.history, leaves, stage.seats, run.environments, self._examination())
        self.sequencer = Sequencer(self.spec, log, key, gate)
        self.environment = self._describe_environment()
        if self.chain is not None:
            stage.greeted.append(self.chain.greet)
        kept = (run, self.store, self.sequencer, self.history, events, self.dataset)
        service = open_service(*kept, self.note_key.verifier, self._terms(), stage)
        self.network = LocalNetwork(self.sequencer, events, run.logs, service)
        self.conductor = Conductor(
            self.sequencer, self.history, self.network, config.local.deadline, self.chain, elsewhere=stage.elsewhere
        )
        self.narrator = Narrator(events, self.sequencer)
        self.settling = None if self.chain is None else Settling(self.chain, self.sequencer, keys, events)
        self.loss: float | None = None

    def _terms(self) -> Terms:
        chain = None if self.chain is None else self.chain.terms
        return Terms(self.config.local.keep_states_every, self.config.evidence_mode, chain)

    def _examination(self) -> Examination | None:
        if self.chain is None:
            return None
        return Examination(self.spec, self.chain, self.run.evidence, self._evidence_roots(), self.events)

    def _evidence_roots(self) -> tuple[Digest, ...] | None:
        """Roots to pin besides Intel's; None if the run asks for no evidence."""
        if self.config.evidence_mode == NONE:
            return None
        return () if self.pki is None else (self.pki.root_digest,)

    def _describe_environment(self) -> Digest:
        """Describe the environment once: the processes are forks of this one and share it.

        Raises:
            UsageError: the run was begun in another one, whose receipts this one cannot continue.
        """
        describe = functools.partial(environment, self.spec, self.task, self.device)
        document = apart(describe) if self.device.is_cuda else describe()
        digest = environment_digest(document)
        joined, ours = self.sequencer.ledger.joins, self.stage.local
        joins = [item.statement for (role, _), held in joined.items() if role in ours for item in held]
        if any(join.environment != digest for join in joins):
            hint = "resume it with the torch build, local.device, settings and kind of processor that it began with"
            raise UsageError("this run was begun in another environment, which computes other bits", hint=hint)
        self.run.environments.mkdir(exist_ok=True)
        write_atomic(self.run.environments / f"{digest.hex()}.json", canonical(document))
        return digest

    def play(self) -> Outcome:
        """The whole run, or what is left of it."""
        evaluate = self._evaluator()
        try:
            if self.sequencer.ledger.run_close is not None:
                final = self.conductor.aggregate(Round(self.spec.schedule.rounds - 1)).checkpoint
                self.loss = evaluate(final.params)
                self._part(final)
            else:
                final = self._conduct(evaluate)
            return self._deliver(final)
        finally:
            self.network.close()
            if self.chain is not None:
                self.chain.close()

    def _evaluator(self) -> Evaluate:
        count, pause = self.config.local.validation_sequences, self.network.service.paused
        return conductors_evaluator(self.spec, self.task, self.dataset, count, self.device, pause)

    def _conduct(self, evaluate: Evaluate) -> Checkpoint:
        """From opening to close, with everybody there."""
        self.narrator.announce(self.dataset, self.config.audit.auditors, self.device)
        shared = (self.environment, self.device, self.stage, self.chain, self.pki)
        cast = Cast(self.config, self.run, self.spec, self.dataset, self.task, self.keys, *shared)
        try:
            if self.chain is not None:
                self.network.tended.append(self.chain.tend)
            self._open()
            # What is there now stays: the collector need not look at it again, nor touch it in every process.
            gc.collect()
            gc.freeze()
            cast.start(self.network)
            cast.gather(self.network, self.sequencer.ledger)
            final = self._play_rounds(evaluate)
            self.network.wait(cast.finished(self.network), self.config.local.deadline)
            self._hear_cases()
            self._close(final.record)
            self._part(final)
        finally:
            self.network.stop()
        return final

    def _part(self, final: Checkpoint) -> None:
        """Let participants elsewhere hear the end and take their pay; the others have ended by themselves."""
        if self.stage.elsewhere and not self.run.bundle.exists():
            part(self.network, self.settling, functools.partial(self._settle, final))

    def _hear_cases(self) -> None:
        """Wait for the verdicts on chain, which the auditors who are still here decide."""
        if self.settling is not None:
            self.network.wait(self.settling.follow_cases, self.config.local.deadline)

    def _open(self) -> None:
        """Write the pins, outside the bundle and before there is one; open the log, and the run on its chain."""
        self._write_policy(None)
        if self.sequencer.ledger.log_open is None:
            verifier = self.note_key.verifier
            origin, public = Text(verifier.name), Digest(verifier.public)
            self.sequencer.state(LogOpen(self.spec.run_id, self.sequencer.address, origin, public))
        if self.chain is not None:
            self.conductor.open()
            self.chain.fund(self.stage.seats.values())

    def _auditors(self) -> tuple[Address, ...]:
        """Accounts that stand behind the run's auditors."""
        return tuple(self.keys.signing(f"auditor-{slot}").address for slot in range(self.config.audit.auditors))

    def _write_policy(self, chain: ChainPin | None) -> None:
        known = (self.note_key.verifier, self._auditors(), chain, self._evidence_roots() or ())
        write_atomic(self.run.policy, run_policy(self.config, self.spec, *known).to_toml().encode("utf-8"))

    def _play_rounds(self, evaluate: Evaluate) -> Checkpoint:
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
            self.narrator.aggregated(round_, outcome, time.monotonic() - begin, self.conductor.aggregating)
            forget_audited(ledger, self.store, round_, self.config.local.keep_states_every)
            if number + 1 < rounds:
                self.conductor.assign(Round(number + 1))
                self.network.serve(0.0)
            self._evaluate(round_, final, evaluate)
        if final is None:
            raise AssertionError("a run has at least one round")
        self.conductor.hear_audits(Round(rounds))
        return final

    def _evaluate(self, round_: Round, checkpoint: Checkpoint, evaluate: Evaluate) -> None:
        with self.effort.on("evaluation"):
            self.loss = evaluate(checkpoint.params)
        self.events.emit("evaluated", round=round_, loss=self.loss)

    def _close(self, final: CheckpointRecord) -> None:
        if self.sequencer.ledger.run_close is None:
            rounds = Round(self.spec.schedule.rounds)
            self.sequencer.state(RunClose(self.spec.run_id, TRUNK, rounds, final.digest))

    def _deliver(self, final: Checkpoint) -> Outcome:
        """Bundle, and the figures that go with it. What is there already, from before a crash, stays as it is."""
        ledger, keep = self.sequencer.ledger, self.config.local.keep_states_every
        if not self.run.bundle.exists():
            facts = self._gather(final)
            write_bundle(self.run, ledger, self.log, self.note_key, self.dataset, final, keep, facts)
        export_model(self.run, ledger, self.task, final)
        forget_states(ledger, self.run, keep)
        caught = faults(ledger)
        outcome = Outcome(
            folder=self.run.path,
            bundle=self.run.bundle,
            policy=self.run.policy,
            run_id=self.spec.run_id.hex(),
            loss=self.loss,
            solo_loss=solo_loss(self.events),
            uploaded=self.narrator.mean_upload(exclude=set(caught)),
            allreduce=allreduce_bytes(self.spec),
            caught=tuple(caught[worker] for worker in sorted(caught)),
        )
        if self.events.latest("finish") is None:
            self._finish(outcome)
        return outcome

    def _gather(self, final: Checkpoint) -> ChainFacts | None:
        """Settle, and pin the block in whose state that stands."""
        if self.chain is None:
            return None
        chain = self.chain
        self._settle(final)
        facts, pin = chain.steadily(lambda: chain.facts(self.sequencer.ledger))
        self._write_policy(pin)
        return facts

    def _settle(self, final: Checkpoint) -> Payouts:
        """Close the run on its chain, and pay."""
        if self.chain is None or self.settling is None:
            raise AssertionError("only a run on a chain is settled")
        members, settling = self.history.all_members(self.sequencer.ledger), self.settling

        def settle() -> Payouts:
            settling.close(final.record.digest)
            return settling.pay(members)

        return self.chain.steadily(settle)

    def _finish(self, outcome: Outcome) -> None:
        figures = {"loss": outcome.loss, "solo_loss": outcome.solo_loss, "uploaded": outcome.uploaded}
        places = {"bundle": str(outcome.bundle), "policy": str(outcome.policy)}
        seconds = round(time.monotonic() - self.begin, 2)
        self.tally.add(self.effort.report())
        if self.chain is not None and self.chain.embedded is not None:
            self.tally.add(effort_of(self.chain.embedded.pid) or {})
        self.events.emit("share", **self.tally.share())
        if self.spec.overlap.delay:
            self.events.emit("hidden", **self.hiding.sums())
        self.events.emit("finish", **figures, allreduce=outcome.allreduce, seconds=seconds, **places)
