"""A participant's access to the contracts. Amounts are in wei, times in seconds since 1970.

Reads are single calls against the latest block; what a verdict rests on is proved (`settle.proofs`). Sends are
idempotent and return once they count: see `settle.sender`; the contracts take the same words twice without effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from attestrain.errors import Unreachable, UsageError
from attestrain.record.chain import CaseFact, ChainFacts, EnrolmentFact
from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.record.eip712 import address_bytes, keccak256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Round, RunId
from attestrain.record.statements import Join
from attestrain.rules.accumulator import word
from attestrain.rules.slots import ROLE_NUMBERS, AccountWords, enrolment_entry, enrolment_key
from attestrain.settle.artefacts import load
from attestrain.settle.cases import Ballot, CaseId, CaseState
from attestrain.settle.contracts import PATIENCE, decode_event, decode_result, encode_call, require_genuine
from attestrain.settle.deployment import Deployment
from attestrain.settle.finality import SEALED, finality
from attestrain.settle.proofs import Block, gather_facts, read_block
from attestrain.settle.rpc import Rpc
from attestrain.settle.sender import QUICK, SLOW, Receipt, Sender
from attestrain.settle.transactions import Call

BLOCK_PATIENCE = 3600.0
"""Seconds to wait for a block to come, or to count: the slowest chains finalize within a quarter of that."""
CAPTURE_GAS = 200_000
"""Gas for a capture, which uses half. Not estimated: nodes estimate in the block before the one that it waits for."""


@dataclass(frozen=True, slots=True)
class RunState:
    """A run in the RunLedger, as far as its sequencer needs it."""

    sequencer: Address
    pending_height: int
    epochs: int
    deadline: int
    missed: int
    closed: bool


class ChainClient:
    """One account's access.

    Args:
        url: JSON-RPC endpoint.
        deployment: where the contracts stand.
        key: the account's.
        journal: folder for what it sends.
        embedded: the chain is our own, and mines at once.
        patience: seconds to go on asking a chain that does not answer.
        nudge: called whenever something was sent, if the chain is in this process.

    Raises (all methods):
        Unreachable: the chain does not answer.
        Reverted: a contract refuses.
    """

    def __init__(
        self,
        url: str,
        deployment: Deployment,
        key: SigningKey,
        journal: Path,
        *,
        embedded: bool,
        patience: float = PATIENCE,
        nudge: Callable[[], None] | None = None,
    ) -> None:
        self._rpc = Rpc(url, patience)
        self._at = deployment.contracts
        self._deployment = deployment
        self._account = key.address
        self._clock = time.time if deployment.finality == SEALED else None
        self._pause = QUICK if embedded else SLOW
        self._finality = finality(self._rpc, deployment.finality)
        self._sender = Sender(
            self._rpc, deployment.chain_id, key, journal, self._finality, instant=embedded, nudge=nudge
        )
        if (found := self._rpc.number("eth_chainId")) != deployment.chain_id:
            hint = "use the deployment that was made on this chain"
            raise UsageError(f"{url} is chain {found}, the deployment is on {deployment.chain_id}", hint=hint)

    def _send(
        self, label: str, contract: str, function: str, *arguments: Any, value: int = 0, gas: int | None = None
    ) -> Receipt:
        call = Call(self._at[contract], encode_call(contract, function, *arguments), value)
        return self._sender.send(label, call, gas)

    def _call(self, contract: str, function: str, *arguments: Any) -> tuple[Any, ...]:
        request = {"to": self._at[contract], "data": "0x" + encode_call(contract, function, *arguments).hex()}
        return decode_result(contract, function, self._rpc.bytes("eth_call", request, "latest"))

    @property
    def address(self) -> Address:
        """The account."""
        return self._account

    # Blocks and coins.

    def block(self, which: int | None = None) -> Block:
        """A block by number; by default the latest that counts."""
        return read_block(self._rpc, self._finality.height() if which is None else which)[0]

    def balance(self, address: Address) -> int:
        """Coins of an account that are at stake nowhere."""
        return self._rpc.number("eth_getBalance", address, "latest")

    # The run, by its sequencer.

    def open_run(
        self, run: RunId, worker_stake: int, auditor_stake: int, deadline: int, auditors: Sequence[Address]
    ) -> None:
        """Open a run, whose sequencer this account becomes, and name who may audit it."""
        if self.run_state(run).sequencer != self._account:
            terms = (worker_stake, auditor_stake, deadline, list(auditors))
            self._send(f"open-{run.hex()[:16]}", "ledger", "open", run, *terms)

    def run_state(self, run: RunId) -> RunState:
        """A run as it stands; all zeros before it is opened."""
        _, sequencer, pending, epochs, deadline, _, missed, closed, _, _ = self._call("ledger", "runs", run)
        return RunState(Address(sequencer), pending, epochs, deadline, missed, closed)

    def anchor(self, run: RunId, epoch: Round, root: Digest, size: int, checkpoint: Digest, *, last: bool) -> None:
        """Anchor a prefix of the transcript."""
        self._send(f"anchor-{run.hex()[:16]}-{epoch}", "ledger", "anchor", run, epoch, root, size, checkpoint, last)

    def capture(self, run: RunId) -> Block:
        """The block that the latest anchor fixed, written down on chain; waits for it, and until that counts."""
        while (state := self.run_state(run)).pending_height:
            height = state.pending_height
            self._wait(partial(self._has_come, height), height)
            self._send(f"capture-{run.hex()[:16]}-{height}", "ledger", "capture", run, gas=CAPTURE_GAS)
        captured = self._latest("Captured", run, state.epochs)
        self._wait(partial(self._finality.settled, captured["block"]), captured["block"])
        block = self.block(captured["height"])
        if block.hash != captured["value"]:
            raise Unreachable(f"chain says that block {block.number} has another hash than it captured")
        return block

    def _has_come(self, height: int) -> bool:
        return self._rpc.number("eth_blockNumber") >= height

    def _wait(self, come: Callable[[], bool], height: int) -> None:
        end = time.monotonic() + BLOCK_PATIENCE
        while not come():
            if time.monotonic() > end:
                raise Unreachable(f"block {height} does not come, or does not count")
            time.sleep(self._pause)

    def _latest(self, event: str, run: RunId, epoch: int) -> dict[str, Any]:
        """The latest of a ledger's events about an epoch of a run."""
        found = self._logs("ledger", event, [run, word(epoch)])
        if not found:
            raise Unreachable("chain does not say which block it captured")
        return found[-1]

    def _logs(self, contract: str, event: str, topics: Sequence[bytes]) -> list[dict[str, Any]]:
        """Events of a contract whose indexed members are ``topics``, oldest first."""
        wanted = [load(contract).event(event)[0], *topics]
        request = {
            "address": self._at[contract],
            "fromBlock": "0x0",
            "toBlock": "latest",
            "topics": ["0x" + topic.hex() for topic in wanted],
        }
        return [decode_event(contract, event, entry) for entry in self._rpc.items("eth_getLogs", request)]

    # Participants.

    def account(self, participant: Address) -> AccountWords:
        """What a participant has at stake."""
        return AccountWords(*self._call("vault", "accounts", participant))

    def deposit(self, amount: int) -> None:
        """Add to this account's stake.

        Raises:
            Refuted: the contracts are not those that ship with this package.
        """
        require_genuine(self._rpc, self._deployment)
        before = self.account(self._account)
        self._send(f"deposit-{before.stake}-{before.slashed}-{amount}", "vault", "deposit", value=amount)

    def request_withdrawal(self, amount: int) -> None:
        """Ask some of this account's stake back."""
        before = self.account(self._account)
        label = f"ask-{before.stake}-{before.pending}-{before.slashed}-{amount}"
        self._send(label, "vault", "requestWithdraw", amount)

    def withdraw(self) -> None:
        """Take what was asked back."""
        before = self.account(self._account)
        self._send(f"withdraw-{before.pending}-{before.ready_at}", "vault", "withdraw")

    def release(self, participant: Address, run: RunId) -> None:
        """Let go of a stake whose run is over."""
        self._send(f"release-{run.hex()[:16]}-{participant}", "vault", "release", participant, run)

    def enrol(self, join: Join, block_number: int) -> None:
        """Enrol the session key of a join of this account's, which rests on a recent block."""
        place = (join.run, ROLE_NUMBERS[join.role], join.worker, join.key_epoch)
        said = f"{join.role}-{join.worker}-{join.key_epoch}-{join.session[2:10]}-{join.evidence.hex()[:16]}"
        label = f"enrol-{join.run.hex()[:16]}-{said}-{block_number}"
        self._send(label, "registry", "enrol", *place, join.session, join.until, join.evidence, block_number)

    def enrolment(self, join: Join) -> EnrolmentFact | None:
        """What the chain says of the enrolment of a join's key; None if it is not enrolled so, or not yet for good."""
        role = ROLE_NUMBERS[join.role]
        key = enrolment_key(join.run, join.role, join.worker, join.key_epoch, join.participant)
        (entry,) = self._call("registry", "entries", key)
        topics = [join.run, address_bytes(join.participant).rjust(32, b"\x00")]
        for item in self._logs("registry", "Enrolled", topics):
            if (item["role"], item["slot"], item["keyEpoch"]) == (role, join.worker, join.key_epoch):
                number, block, timestamp = item["blockNumber"], Digest(item["blockHash"]), item["timestamp"]
                stated = (join.participant, join.session, join.until, join.evidence, number, block, timestamp)
                if enrolment_entry(*stated) == entry and self._finality.settled(item["block"]):
                    return EnrolmentFact(join.role, join.worker, join.key_epoch, number, block, timestamp)
        return None

    # Cases.

    def case(self, case: CaseId) -> CaseState | None:
        """A case; None if nobody opened it."""
        values = self._call("cases", "cases", case.digest)
        accused, commit_by, status, committee, accuser, reveal_by, guilty, innocent, _, _, commits, attempt = values
        if not status:
            return None
        return CaseState(
            accused=Address(accused),
            accuser=Address(accuser),
            attempt=attempt,
            status=status,
            committee=committee,
            commits=commits,
            guilty=guilty,
            innocent=innocent,
            commit_by=commit_by,
            reveal_by=reveal_by,
            now=self._now(),
        )

    def _now(self) -> int:
        """The time that the next block will have at least; an embedded chain has none until somebody sends."""
        latest = read_block(self._rpc, "latest")[0].timestamp
        return latest if self._clock is None else max(latest, int(self._clock()))

    def committee(self, run: RunId) -> tuple[Address, ...]:
        """Everybody who audits a run, as enrolled on chain."""
        return tuple(map(Address, self._call("registry", "auditorsOf", run)[0]))

    def ballot(self, case: CaseId) -> Ballot:
        """This account's part in a case."""
        return Ballot(*self._call("cases", "ballotOf", case.digest, self._account))

    def open_case(self, case: CaseId, key_epoch: int, accused: Address, claimed: Digest) -> None:
        """Accuse, with the bond that the contract asks."""
        (bond,) = self._call("cases", "bond")
        place = (case.run, case.round, case.worker, key_epoch, case.segment)
        self._send(self._label("accuse", case, 1), "cases", "open", *place, accused, claimed, value=bond)

    def commit_vote(self, case: CaseId, claimed: Digest, observed: Digest, salt: Digest) -> None:
        """Commit to what the trace claims and what was observed."""
        voter = address_bytes(self._account).rjust(32, b"\x00")
        commitment = keccak256(case.digest + voter + claimed + observed + salt)
        self._send(self._label("commit", case), "cases", "commit", case.digest, commitment)

    def reveal_vote(self, case: CaseId, claimed: Digest, observed: Digest, salt: Digest) -> None:
        """Reveal the vote that was committed to."""
        self._send(self._label("reveal", case), "cases", "reveal", case.digest, claimed, observed, salt)

    def resolve(self, case: CaseId) -> None:
        """Have a case decided."""
        self._send(self._label("resolve", case), "cases", "resolve", case.digest)

    def _label(self, verb: str, case: CaseId, later: int = 0) -> str:
        """Name of what is done in a case: in its present attempt, or ``later`` ones."""
        attempt = self._call("cases", "cases", case.digest)[-1]
        return f"{verb}-{case.digest.hex()}-{attempt + later}"

    def collect(self) -> None:
        """Take bonds that came back or were won, and shares of what was slashed."""
        for contract in ("cases", "vault"):
            (credit,) = self._call(contract, "credit", self._account)
            if credit:
                nonce = self._rpc.number("eth_getTransactionCount", self._account, "latest")
                self._send(f"collect-{contract}-{nonce}", contract, "collect")

    def slashed(self, case: CaseId) -> int:
        """What a case took."""
        return int(self._call("vault", "taken", case.digest)[0])

    # Pay.

    def fund(self, run: RunId, amount: int) -> None:
        """Put money behind a run of this account's, up to ``amount`` in all."""
        root, funded, _, _ = self._call("settlement", "payouts", run)
        if not any(root) and funded < amount:
            self._send(f"fund-{run.hex()[:16]}-{funded}", "settlement", "fund", run, value=amount - funded)

    def post_payouts(self, run: RunId, root: Digest, total: int) -> None:
        """Post what a closed run owes. Who owes nothing posts nothing."""
        if root == ZERO_DIGEST:
            return
        self._send(f"post-{run.hex()[:16]}", "settlement", "post", run, root, total)

    def claim(self, run: RunId, account: Address, amount: int, proof: Sequence[Digest]) -> None:
        """Have an account paid; a second time pays nothing."""
        label = f"claim-{run.hex()[:16]}-{account[2:]}"
        self._send(label, "settlement", "claim", run, account, amount, list(proof))

    def payout_root(self, run: RunId) -> Digest:
        """Root of what a run owes, as posted; zero before."""
        return Digest(self._call("settlement", "payouts", run)[0])

    def claimed(self, run: RunId) -> dict[Address, int]:
        """Accounts that a run has paid, and what each got."""
        return {Address(item["account"]): item["amount"] for item in self._logs("settlement", "Claimed", [run])}

    # For the bundle.

    def proof(self, run: RunId, joins: Iterable[Join], cases: Iterable[CaseFact]) -> tuple[ChainFacts, Block]:
        """Everything that a verdict on a run needs of the chain, proved in its latest final block.

        Raises:
            Unreachable: also if a join is not enrolled.
        """
        known = list(joins)
        enrolments = [self.enrolment(join) for join in known]
        if missing := [join for join, fact in zip(known, enrolments, strict=True) if fact is None]:
            raise Unreachable(f"{missing[0].role} {missing[0].worker} is not enrolled on chain")
        found = tuple(fact for fact in enrolments if fact is not None)
        number = self._finality.height()
        return gather_facts(self._rpc, self._deployment, run, known, found, tuple(cases), number)
