"""The run's own side of the chain: the sequencer opens the run there, anchors its log, closes it and pays.

Nothing here is trusted: what the sequencer tells the chain is recomputed from the transcript, and what it tells the
transcript about the chain is held against storage proofs (DESIGN section 6, claims 2, 3 and 10). Every call may be
repeated after a crash: what an anchor covers is on disk before it is sent, and the contracts take the same words again
without effect.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from attestrain.errors import Unreachable, UsageError
from attestrain.record.canonical import MAX_INTEGER, canonical, parse
from attestrain.record.chain import CaseFact, ChainFacts, EnrolmentFact
from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.record.fields import Fields
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Round, Size, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Join
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from attestrain.rules.payouts import Payouts, payouts
from attestrain.run.config import RunConfig
from attestrain.run.events import EventLog
from attestrain.run.folder import RunFolder
from attestrain.run.round import Captured
from attestrain.run.terms import ChainTerms
from attestrain.settle.cases import CaseId, CaseState
from attestrain.settle.client import ChainClient
from attestrain.settle.contracts import PATIENCE, Terms, deploy
from attestrain.settle.deployment import Deployment
from attestrain.settle.embedded import EmbeddedChain
from attestrain.store.atomic import write_atomic
from attestrain.verify.checks import Contradiction
from attestrain.verify.policy import ChainPin

STARTS = 3
"""How often an embedded chain is started that does not come up."""
WEI = 10**18
"""Wei in a coin."""
GAS_COINS = 10
"""Coins that an account of the embedded chain gets besides what it stakes or pays out, for gas."""
RUN_SECONDS = 30 * 86_400
"""How long after its opening a run holds stakes at most, if nobody ever closes it."""
BEACON_DELAY = 1
"""Blocks between an anchor and the one whose hash becomes the beacon, on the embedded chain."""
CASE_WINDOW = 3_600
"""Seconds after the end of a run in which stakes stay held, on the embedded chain: cases may still be opened."""
VOTE_SECONDS = 120
"""Seconds a committee has to commit, and then to reveal, on the embedded chain."""
T = TypeVar("T")
ANCHOR = "attestrain.dev/anchor@v1"


def wei(coins: str) -> int:
    """An amount of a configuration in wei."""
    return int(Fraction(coins) * WEI)


class OnChain:
    """A run's access to its chain, as its sequencer.

    Args:
        config: the run's configuration, whose chain mode is not none.
        run: the run folder; ``chain/`` in it keeps the embedded chain, the deployment and what was sent.
        spec: the run spec.
        key: the sequencer's.
        auditors: who may audit the run, named when it is opened.
        events: told what happens.

    Raises:
        UsageError: the chain that is asked for cannot be used.
        Unreachable: it does not answer.
    """

    def __init__(
        self,
        config: RunConfig,
        run: RunFolder,
        spec: RunSpec,
        key: SigningKey,
        auditors: Sequence[Address],
        events: EventLog,
    ) -> None:
        self._config = config.chain
        self._folder = run.path / "chain"
        self._spec = spec
        self._key = key
        self._auditors = tuple(auditors)
        self._events = events
        self._stack = ExitStack()
        self._tending = threading.Lock()
        self._dead = False
        self.embedded: EmbeddedChain | None = None
        self._folder.mkdir(exist_ok=True)
        if config.chain_mode == "embedded":
            self.embedded = self._embed()
        self.url = self.embedded.url if self.embedded else config.chain.url
        self.deployment = self.steadily(self._deployment)
        # Its own calls fail at once, so that it notices a dead chain and starts it again.
        self.client = self.steadily(lambda: self.connect(key, self._folder / "sent", patience=0.0))
        where = {
            "mode": config.chain_mode,
            "chain_id": self.deployment.chain_id,
            "ledger": self.deployment.contracts["ledger"],
        }
        events.emit("chain", url=self.url, **where)

    def _embed(self) -> EmbeddedChain:
        """Start the embedded chain, again if it is killed while it starts."""
        folder = self._folder / "embedded"
        for _ in range(STARTS - 1):
            with suppress(Unreachable):
                return self._stack.enter_context(EmbeddedChain(folder, supervised=True))
        return self._stack.enter_context(EmbeddedChain(folder, supervised=True))

    def connect(self, key: SigningKey, journal: Path, patience: float = PATIENCE) -> ChainClient:
        """A participant's access; ``journal`` keeps what it sends."""
        own, nudge = self.embedded is not None, self.embedded.nudge if self.embedded else None
        return ChainClient(self.url, self.deployment, key, journal, embedded=own, patience=patience, nudge=nudge)

    def tend(self) -> None:
        """Tell that the embedded chain was killed: it starts again by itself, from its last durable state."""
        dead = self.embedded is not None and not self.embedded.alive()
        with self._tending:
            if dead and not self._dead and self.embedded is not None:
                self._events.emit("restart", role="chain", worker=0, exit=self.embedded.exit)
            self._dead = dead

    def steadily(self, work: Callable[[], T]) -> T:
        """Do ``work``, which may be repeated, again if the embedded chain was killed meanwhile."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return work()
            except Unreachable:
                if self.embedded is None or time.monotonic() > end:
                    raise
            self.tend()
            time.sleep(0.1)

    @property
    def claims(self) -> Path:
        """Where claims of participants on this machine are noted."""
        return self._folder / "claims"

    def close(self) -> None:
        """Stop the embedded chain, durably."""
        self._stack.close()

    def _deployment(self) -> Deployment:
        """The contracts: deployed once on the embedded chain, named by the configuration elsewhere."""
        if self.embedded is None:
            path = Path(self._config.deployment)
            if not path.is_file():
                raise UsageError(f"there is no deployment at {path}", hint="make one with: attestrain chain deploy")
            return Deployment.from_bytes(path.read_bytes())
        path = self._folder / "deployment.json"
        self.embedded.fund(self._key.address, wei(self._config.budget) + GAS_COINS * WEI)
        if not path.is_file():
            terms = Terms(
                beacon_delay=BEACON_DELAY,
                case_window=CASE_WINDOW,
                withdrawal_delay=CASE_WINDOW,
                commit_seconds=VOTE_SECONDS,
                reveal_seconds=VOTE_SECONDS,
                bond=wei(self._config.bond),
                fine=wei(self._config.fine),
            )
            deployment = deploy(self.url, self._key, terms, self._folder / "sent", instant=True)
            self.embedded.finalise()
            write_atomic(path, deployment.to_bytes())
        return Deployment.from_bytes(path.read_bytes())

    def stake(self, role: str) -> int:
        """What a role stakes, in wei."""
        return wei(self._config.worker_stake if role == "worker" else self._config.auditor_stake)

    def fund(self, addresses: Iterable[Address]) -> None:
        """Give participants of the embedded chain what they need; elsewhere they bring it along."""
        most = max(self.stake("worker"), self.stake("auditor")) + wei(self._config.bond)
        for address in addresses:
            self.steadily(functools.partial(self._fund, address, most + GAS_COINS * WEI))

    def _fund(self, address: Address, amount: int) -> None:
        if self.embedded is not None and self.client.balance(address) < GAS_COINS * WEI:
            self.embedded.fund(address, amount)

    def greet(self, address: Address) -> None:
        """A participant has taken a slot: on the embedded chain it gets what it needs."""
        self.fund([address])

    @property
    def terms(self) -> ChainTerms:
        """What participants have to know to take part."""
        stakes = {role: self.stake(role) for role in ("worker", "auditor")}
        return ChainTerms(self.url, self.deployment, self.embedded is not None, stakes)

    def open(self) -> Captured:
        """Open the run and hear the first beacon."""
        deadline = int(time.time()) + RUN_SECONDS

        def say() -> Captured:
            stakes = (self.stake("worker"), self.stake("auditor"))
            self.client.open_run(self._spec.run_id, *stakes, deadline, self._auditors)
            return self._capture(Round(0), Size(0), ZERO_DIGEST)

        return self.steadily(say)

    def anchor(self, epoch: Round, size: Size, root: Digest, checkpoint: Digest) -> Captured:
        """Anchor a prefix of the log and hear the next beacon; after a crash the same prefix as before it."""
        size, root = self._remembered(epoch, size, root)

        def say() -> Captured:
            self.client.anchor(self._spec.run_id, epoch, root, size, checkpoint, last=False)
            return self._capture(epoch, size, root)

        captured = self.steadily(say)
        self._events.emit("anchored", epoch=epoch, size=size, root=root.hex())
        self._events.emit("beacon", epoch=epoch, height=captured.height, value=captured.value.hex())
        return captured

    def anchor_last(self, epoch: Round, size: Size, root: Digest, checkpoint: Digest) -> None:
        """Anchor the whole log, and close the run on chain."""
        self.client.anchor(self._spec.run_id, epoch, root, size, checkpoint, last=True)
        self._final()
        self._events.emit("anchored", epoch=epoch, size=size, root=root.hex())

    def _remembered(self, epoch: Round, size: Size, root: Digest) -> tuple[Size, Digest]:
        path = self._folder / f"anchor-{epoch:06d}.json"
        if not path.is_file():
            write_atomic(path, canonical({"format": ANCHOR, "size": size, "root": root.hex()}))
        fields = Fields(parse(path.read_bytes()), ("format", "size", "root"), "anchor")
        fields.constant("format", ANCHOR)
        return Size(fields.integer("size", 0, MAX_INTEGER)), fields.digest("root")

    def _capture(self, epoch: Round, size: Size, root: Digest) -> Captured:
        block = self.client.capture(self._spec.run_id)
        self._final()
        return Captured(size, root, Size(block.number), block.hash)

    def _final(self) -> None:
        """What stands on the embedded chain counts once it is on disk."""
        if self.embedded is not None:
            self.embedded.finalise()

    def require_enrolled(self, join: Join) -> EnrolmentFact:
        """What the chain says about the enrolment of a join's key, durably.

        Raises:
            Contradiction: it was not enrolled, or with something else.
        """

        def look() -> EnrolmentFact | None:
            self._final()
            return self.client.enrolment(join)

        fact = self.steadily(look)
        if fact is None:
            raise Contradiction(f"{join.role} {join.worker} is not enrolled on chain as its join says")
        return fact

    def final_cases(self, ledger: Ledger) -> dict[CaseId, CaseState | None]:
        """Every case that a proven fault asks for, as it stands durably."""

        def look() -> dict[CaseId, CaseState | None]:
            self._final()
            return self.cases(ledger)

        return self.steadily(look)

    def cases(self, ledger: Ledger) -> dict[CaseId, CaseState | None]:
        """Every case that a proven fault asks for, as it stands."""
        ids = [
            CaseId(self._spec.run_id, fault.round, fault.worker, fault.segment, ledger.participant(fault.worker))
            for fault in faults(ledger).values()
        ]
        return {case: self.client.case(case) for case in ids}

    def pay(self, ledger: Ledger, members: Mapping[Round, Iterable[Worker]]) -> Payouts:
        """Fund the run and post what it owes."""
        owed = payouts(ledger, members, wei(self._config.budget), self.deployment.chain_id)
        self.client.fund(self._spec.run_id, wei(self._config.budget))
        self.client.post_payouts(self._spec.run_id, owed.root, owed.total)
        self._final()
        return owed

    def facts(self, ledger: Ledger) -> tuple[ChainFacts, ChainPin]:
        """What the bundle brings along of the chain, and the pin that goes into the policy instead."""
        self._final()
        joins = [item.statement for held in ledger.joins.values() for item in held]
        cases = [CaseFact(case.round, case.worker, case.segment) for case in self.cases(ledger)]
        facts, block = self.client.proof(self._spec.run_id, joins, cases)
        contracts = self.deployment.contracts
        local = self.embedded is not None
        return facts, ChainPin(self.deployment.chain_id, block.number, block.hash, contracts, local)
