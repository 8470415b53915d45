"""The tiny honest world on a chain: beacons, enrolments with evidence, stakes, a case, pay, all on an invented chain.

The chain is `tests.contracts`, so whoever controls its state can be played too: nothing that the chain says is too odd
to be written there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

from attestrain.attester.measure import measured_events
from attestrain.attester.pki import DevPki
from attestrain.attester.platform import Platform
from attestrain.attester.simulator import SimulatedMachine
from attestrain.record.bundle import CHAIN, MemoryFiles, evidence_path
from attestrain.record.chain import CaseFact, ChainFacts, EnrolmentFact
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.evidence import Evidence, report_data
from attestrain.record.names import Address, Round, Size, Text, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Beacon, CommitClose, Join, Statement
from attestrain.rules.faults import faults
from attestrain.rules.slots import GUILTY
from attestrain.verify.checks import Status
from attestrain.verify.policy import CHECKED, ON_CHAIN, ChainPin, Pins, Policy
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify
from tests.attacks.world import ENVIRONMENT, EPOCH, TRUNK, World, cover, tiny_spec
from tests.contracts import Contracts, payout_root
from tests.state import START

COIN = 10**18
STAKE, AUDITOR_STAKE, FINE = 10 * COIN, 20 * COIN, 5 * COIN
BUDGET = 100 * COIN


@cache
def pki(network: str = "ours") -> DevPki:
    """A network's development PKI; every name is another network."""
    return DevPki.generate(START)


@cache
def provisioned(network: str) -> Platform:
    """A platform of a network. Every key has a machine of its own on it."""
    return pki(network).provision(START)


@dataclass
class AnchoredWorld(World):
    """Plays a run on a chain. Subclasses and hooks say where it deviates from an honest one."""

    spec: RunSpec = field(default_factory=lambda: tiny_spec(beacon_mode="chain", beacon=ZERO_DIGEST))
    chain: Contracts = field(default_factory=Contracts)
    evidence: bool = False
    network: str = "ours"
    in_the_end: Callable[[AnchoredWorld], object] = lambda world: None
    """What the state says instead, written before the bundle is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.enrolments: list[EnrolmentFact] = []
        self.cases: list[CaseFact] = []
        self.members: dict[Round, list[Worker]] = {}
        self.chain.open(self.spec.run_id, self.sequencer, STAKE, AUDITOR_STAKE)
        self.platform = provisioned(self.network) if self.evidence else None

    @property
    def sequencer(self) -> Address:
        """The account that opens the run on chain."""
        return self.party.signing("sequencer").address

    def participant(self, role: str, slot: int) -> Address:
        return self.party.signing(role, slot, "participant").address

    # Keys

    def join(self, role: str, slot: Worker) -> None:
        accounts = (self.party.signing(role, slot, kind).address for kind in ("participant", "session"))
        until = Round(self.spec.schedule.rounds - 1)
        join = Join(self.spec.run_id, Text(role), slot, *accounts, EPOCH, until, sha256(ENVIRONMENT), ZERO_DIGEST)
        block = self.chain.number - 1
        if self.platform is not None:
            document = self.quote(join, block).to_bytes()
            join = replace(join, evidence=sha256(document))
            self.files[evidence_path(join.evidence)] = document
        self.enrol(join, block)
        self.say(join, role, slot, "participant")

    def quote(self, join: Join, block: int) -> Evidence:
        """Evidence of a key."""
        assert self.platform is not None
        data = report_data(
            session=join.session,
            participant=join.participant,
            run=join.run,
            role=join.role,
            worker=join.worker,
            key_epoch=join.key_epoch,
            block_number=block,
            block_hash=self.chain.block_hash(block),
        )
        events = measured_events(self.spec, join.environment)
        return SimulatedMachine(self.platform).evidence(data, events, block, self.chain.block_hash(block))

    def enrol(self, join: Join, block: int) -> None:
        """What the chain is told of a key."""
        self.enrolments.append(self.chain.enrol(join, block))
        self.chain.stake(join.participant, STAKE if join.role == "worker" else AUDITOR_STAKE)

    # Beacons

    def round(self, round_: Round) -> None:
        if round_ == 0:
            self.hear(Round(0), 0, ZERO_DIGEST)
        super().round(round_)

    def say(self, statement: Statement, role: str = "sequencer", slot: int = 0, kind: str = "session") -> None:
        super().say(statement, role, slot, kind)
        if isinstance(statement, CommitClose):
            epoch, size, root = Round(statement.round + 1), len(self.log), self.log.root()
            base = self.ledger.rounds[statement.round].opened.statement.base
            self.chain.anchor(self.spec.run_id, epoch, root, size, base, last=False)
            self.hear(epoch, size, root)

    def hear(self, epoch: Round, size: int, root: Digest) -> None:
        height, value = self.chain.capture(self.spec.run_id)
        self.say(Beacon(self.spec.run_id, TRUNK, epoch, Size(size), root, Size(height), value))

    # Settlement

    def write(self) -> None:
        rounds, digest = self.spec.schedule.rounds, self.checkpoint.record.digest
        self.chain.anchor(self.spec.run_id, rounds + 1, self.log.root(), len(self.log), digest, last=True)
        self.chain.write_run(self.spec.run_id)
        for fault in faults(self.ledger).values():
            self.hold_case((fault.round, fault.worker, fault.segment), GUILTY)
            self.chain.stake(self.participant("worker", fault.worker), STAKE - FINE, slashed=FINE)
        self.settle(self.amounts())
        self.in_the_end(self)
        self.files[CHAIN] = self.facts().to_bytes()
        super().write()

    def hold_case(self, place: tuple[int, int, int], status: int) -> None:
        """A case about a segment, in some state; it takes the place of an earlier one."""
        case = self.chain.case(self.spec.run_id, place, self.participant("worker", place[1]), status)
        self.cases = [item for item in self.cases if item != case] + [case]

    def amounts(self) -> dict[Address, int]:
        """What the run owes: by hand, for worlds in which every published update counts."""
        guilty = set(faults(self.ledger))
        shares = {
            worker: sum(worker in book.published for book in self.ledger.rounds.values())
            for worker in self.ledger.slots("worker")
            if worker not in guilty
        }
        one = BUDGET // sum(shares.values())
        return {self.participant("worker", worker): one * count for worker, count in shares.items()}

    def settle(self, amounts: dict[Address, int], *, claimed: int = 0) -> None:
        """Post pay."""
        root = payout_root(self.chain.chain_id, self.spec.run_id, amounts)
        self.chain.pay(self.spec.run_id, root, BUDGET, sum(amounts.values()), claimed)

    def facts(self) -> ChainFacts:
        return self.chain.facts(tuple(self.enrolments), tuple(self.cases))

    @property
    def pin(self) -> ChainPin:
        """The block that decides, as somebody who watches this chain would pin it."""
        from attestrain.rules.header import read_header

        header = read_header(ChainFacts.from_bytes(self.files[CHAIN]).header)
        return ChainPin(self.chain.chain_id, header.number, header.hash, self.chain.addresses, local=True)

    @property
    def policy(self) -> Policy:
        auditors = tuple(self.participant("auditor", slot) for slot in range(self.auditors))
        roots = (pki(self.network).root_digest,) if self.evidence else ()
        pins = Pins(self.spec.run_id, self.party.note.verifier, auditors, chain=self.pin, evidence_roots=roots)
        attested = ("attested",) if self.evidence else ()
        return Policy(pins, (*CHECKED, *attested, *ON_CHAIN), allow_simulated=attested)


def caught(round_: Round, worker: Worker, segment: int) -> str:
    """Worker 2 cheats in round 1."""
    return "fault" if (round_, worker) == (1, 2) else "exact"


@lru_cache(maxsize=2)
def _honest(evidence: bool) -> AnchoredWorld:
    world = AnchoredWorld(outcome=caught, evidence=evidence)
    world.play()
    return world


def anchored_world(*, evidence: bool = True) -> tuple[MemoryFiles, Policy]:
    """A fresh copy of the bundle of a run on a chain, with a caught cheat, and its policy."""
    world = _honest(evidence)
    return MemoryFiles(world.files), world.policy


def with_facts(files: MemoryFiles, edit: Callable[[ChainFacts], ChainFacts]) -> MemoryFiles:
    """A bundle with other chain facts."""
    return cover(MemoryFiles({**files, CHAIN: edit(ChainFacts.from_bytes(files[CHAIN])).to_bytes()}))


def judge(world: AnchoredWorld) -> Verdict:
    world.play()
    return verify(world.files, world.policy)


def played(in_the_end: Callable[[AnchoredWorld], object], **options: object) -> Verdict:
    return judge(AnchoredWorld(outcome=caught, in_the_end=in_the_end, **options))  # type: ignore[arg-type]


def failure(verdict: Verdict, claim: int, name: str) -> str:
    return next(c.detail for c in verdict.checks if (c.claim, c.name, c.status) == (claim, name, Status.FAIL))


def refused(verdict: Verdict, claim: int, name: str, words: str) -> None:
    """This claim fails, for this reason, and no other does."""
    assert verdict.outcome is Outcome.REFUTED
    assert words in failure(verdict, claim, name)
    assert verdict.failed_claims == (claim,)


def unmet(verdict: Verdict, name: str, words: str) -> None:
    """Nothing is wrong, and exactly this guarantee is not met, for this reason."""
    assert verdict.outcome is Outcome.CONSISTENT, [c for c in verdict.checks if c.status is Status.FAIL]
    assert [item.name for item in verdict.unmet] == [name]
    assert words in verdict.unmet[0].reason
