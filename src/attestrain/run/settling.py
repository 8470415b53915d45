"""Settling: how a run ends on its chain. Cases are decided, the last anchor closes the run, everyone is paid.

Every step finds what it did before, so settling may be begun again after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from attestrain.record.digest import Digest
from attestrain.record.names import Address, Round, Size, Worker
from attestrain.record.statements import Join
from attestrain.rules.payouts import Payouts
from attestrain.run.events import EventLog
from attestrain.run.keyring import Keyring
from attestrain.run.onchain import OnChain
from attestrain.run.sequencer import Sequencer
from attestrain.settle.cases import CaseId, CaseState


class Settling:
    """The end of a run on chain.

    Args:
        chain: the run's access to it.
        sequencer: whose log is anchored.
        keys: keys of the participants on this machine, who claim their pay here.
        events: told what happens.
    """

    def __init__(self, chain: OnChain, sequencer: Sequencer, keys: Keyring, events: EventLog) -> None:
        self._chain = chain
        self._sequencer = sequencer
        self._keys = keys
        self._events = events
        self._open: set[CaseId] = set()
        self._decided: set[CaseId] = set()
        self._paid: set[Worker] = set()

    def follow_cases(self) -> bool:
        """Tell what became of cases since the last look; whether every proven fault has its verdict."""
        states = self._chain.final_cases(self._sequencer.ledger)
        for case, state in states.items():
            if state is None or case in self._decided:
                continue
            if case not in self._open:
                self._open.add(case)
                self._tell_open(case, state)
            if state.decided:
                self._decided.add(case)
                self._tell_verdict(case, state)
        return states.keys() <= self._decided

    def _tell_open(self, case: CaseId, state: CaseState) -> None:
        place = {"round": case.round, "worker": case.worker, "segment": case.segment}
        self._events.emit("case-open", **place, accuser=self._auditor(state), case=case.digest.hex())

    def _tell_verdict(self, case: CaseId, state: CaseState) -> None:
        place = {"round": case.round, "worker": case.worker, "segment": case.segment}
        votes = {"guilty": state.guilty, "innocent": state.innocent, "committee": state.committee}
        fine = self._chain.client.slashed(case)
        self._events.emit(
            "case-closed", case=case.digest.hex(), **place, outcome=state.outcome, **votes, fine=str(fine)
        )
        if fine:
            shares = {"reporter_share": str(fine // 2), "burned": str(fine - fine // 2)}
            self._events.emit("slashed", worker=case.worker, amount=str(fine), **shares)

    def _auditor(self, state: CaseState) -> int:
        """Slot of the auditor who opened a case."""
        joins = self._sequencer.ledger.joins
        held = ((slot, items[0].statement) for (role, slot), items in joins.items() if role == "auditor")
        return next((slot for slot, join in held if join.participant == state.accuser), 0)

    def close(self, checkpoint: Digest) -> None:
        """Anchor the whole log, which ends with the close of the run."""
        log, epoch = self._sequencer.log, Round(len(self._sequencer.ledger.beacons))
        self._chain.anchor_last(epoch, Size(len(log)), log.root(), checkpoint)

    def pay(self, members: Mapping[Round, Iterable[Worker]]) -> Payouts:
        """Post what is owed, and claim it for the participants on this machine; others claim for themselves."""
        ledger = self._sequencer.ledger
        owed = self._chain.pay(ledger, members)
        for slot in ledger.slots("worker"):
            join = ledger.joins["worker", slot][0].statement
            amount = owed.amounts.get(join.participant, 0)
            if amount and self._is_ours(join):
                key = self._keys.signing(f"worker-{slot}")
                client = self._chain.connect(key, self._chain.claims / f"{slot}")
                client.claim(ledger.spec.run_id, join.participant, amount, owed.proof(join.participant))
                self._events.emit("claimed", worker=slot, amount=str(amount))
        return owed

    def all_claimed(self, owed: Payouts) -> bool:
        """Tell whose pay was claimed since the last look; whether everybody has theirs who has not left before."""
        ledger = self._sequencer.ledger
        paid = self._chain.steadily(lambda: self._chain.client.claimed(ledger.spec.run_id))
        for slot in ledger.slots("worker"):
            amount = paid.get(ledger.participant(slot))
            if amount is not None and slot not in self._paid:
                self._paid.add(slot)
                self._events.emit("claimed", worker=slot, amount=str(amount))
        present = {ledger.participant(slot) for slot in ledger.present("worker")}
        return owed.amounts.keys() & present <= paid.keys()

    def claim_rest(self, owed: Payouts) -> None:
        """Claim for whoever did not come, on a chain that ends with this node: the contract pays only the account."""
        if self._chain.embedded is not None:
            for account, amount in owed.amounts.items():
                self._chain.steadily(partial(self._claim, owed, account, amount))

    def _claim(self, owed: Payouts, account: Address, amount: int) -> None:
        if account not in self._chain.client.claimed(owed.run):
            self._chain.client.claim(owed.run, account, amount, owed.proof(account))

    def _is_ours(self, join: Join) -> bool:
        if not self._keys.holds(f"worker-{join.worker}"):
            return False
        return self._keys.signing(f"worker-{join.worker}").address == join.participant
