"""The jury: an auditor's part in cases on chain, from its own re-execution to the verdict.

One auditor's word never takes a stake. Who finds a fault opens a case; every enrolled auditor executes the segment
again, commits to what it observed, reveals it, and the majority decides (spec/contracts.md). A thread of its own does
the talking, because a chain answers in its own time. It looks at the chain and does what is missing, so it may be
killed and started at any moment; the salt of a vote is on disk before the vote is sent.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from attestrain.errors import AttestrainError
from attestrain.record.digest import Digest, parse_digest
from attestrain.record.names import Address, KeyEpoch, Round, RunId, Worker
from attestrain.settle.cases import CaseId, CaseState
from attestrain.settle.client import ChainClient
from attestrain.store.atomic import write_atomic

PAUSE = 0.1
"""Seconds between looks at a case."""
REST = 1.0
"""Seconds between looks when all are decided: an embedded chain that was killed may have forgotten a verdict."""


@dataclass(frozen=True, slots=True)
class Accusation:
    """A segment that an auditor called a fault, and what this auditor observed when it executed it.

    Attributes:
        round, worker, segment: which one.
        key_epoch: the key epoch that signed it.
        accused: the worker's account.
        claimed: result digest in the trace.
        observed: result digest of this auditor's own replay.
        mine: whether this auditor found it first, and so opens the case.
    """

    round: Round
    worker: Worker
    segment: int
    key_epoch: KeyEpoch
    accused: Address
    claimed: Digest
    observed: Digest
    mine: bool


class Jury:
    """Takes part in cases until told to stop.

    Args:
        client: the auditor's own access to the chain.
        run: identifies cases.
        folder: keeps the salts of votes.
    """

    def __init__(self, client: ChainClient, run: RunId, folder: Path) -> None:
        self._client = client
        self._run = run
        self._folder = folder
        self._new: queue.SimpleQueue[Accusation] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="jury", daemon=True)
        self._thread.start()

    def hear(self, accusation: Accusation) -> None:
        """Take part in the case about ``accusation``."""
        self._new.put(accusation)

    def _serve(self) -> None:
        pending: list[Accusation] = []
        while True:
            pending += [self._new.get()] if not pending else []
            while not self._new.empty():
                pending.append(self._new.get())
            decided = [self._settled(accusation) for accusation in pending]
            time.sleep(REST if all(decided) else PAUSE)

    def _settled(self, accusation: Accusation) -> bool:
        """Do the next thing in a case; whether it is decided."""
        case = CaseId(self._run, accusation.round, accusation.worker, accusation.segment, accusation.accused)
        try:
            return self._step(case, accusation)
        except AttestrainError:
            # Somebody else was faster, or the chain does not answer: the next look will tell.
            traceback.print_exc()
            return False

    def _step(self, case: CaseId, accusation: Accusation) -> bool:
        state = self._client.case(case)
        if state is None or (state.void and state.accuser != self._client.address):
            # An accomplice may have opened it at an hour when nobody votes: then it is opened again.
            if accusation.mine:
                self._client.open_case(case, accusation.key_epoch, accusation.accused, accusation.claimed)
            return state is not None and not accusation.mine
        if state.decided:
            return True
        self._vote(case, state, accusation)
        return False

    def _vote(self, case: CaseId, state: CaseState, seen: Accusation) -> None:
        ballot = self._client.ballot(case)
        if not ballot.committed:
            self._client.commit_vote(case, seen.claimed, seen.observed, self._salt(case, state.attempt))
        elif state.revealing and not ballot.revealed:
            self._client.reveal_vote(case, seen.claimed, seen.observed, self._salt(case, state.attempt))
        elif state.decidable:
            self._client.resolve(case)

    def _salt(self, case: CaseId, attempt: int) -> Digest:
        """The salt of this auditor's vote: made once, kept from before the vote is sent."""
        path = self._folder / f"{case.digest.hex()}-{attempt}.salt"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, secrets.token_hex(32).encode("ascii"), mode=0o600)
        return parse_digest(path.read_text("ascii"))
