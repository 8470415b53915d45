"""A real chain for tests: one anvil for the session, contracts with short terms, accounts with coins.

Tests import the fixtures `anvil`, `chain` and `world` by name. The session's chain is shared, so a test opens runs of
its own; the chain's clock only ever goes forward.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from attestrain.errors import Unreachable, UsageError
from attestrain.record.bundle import CHAIN, MANIFEST, Bundle, MemoryFiles, make_manifest
from attestrain.record.chain import CaseFact, ChainFacts
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import KeyEpoch, Round, RunId, Text, Worker
from attestrain.record.statements import Join
from attestrain.settle.anvil import find_anvil
from attestrain.settle.cases import CaseId
from attestrain.settle.client import ChainClient
from attestrain.settle.contracts import Terms, decode_result, deploy, encode_call
from attestrain.settle.deployment import Deployment
from attestrain.settle.embedded import EmbeddedChain
from attestrain.settle.finality import SEALED, finality
from attestrain.settle.rpc import Reverted, Rpc
from attestrain.settle.sender import Sender
from attestrain.settle.transactions import Call
from attestrain.verify.chain import ChainState, read_chain
from attestrain.verify.policy import ChainPin

COIN = 10**18
STAKE = 10 * COIN
BOND, FINE = COIN, 5 * COIN
CASE_WINDOW, WITHDRAWAL, VOTE = 3_600, 7_200, 120
TERMS = Terms(1, CASE_WINDOW, WITHDRAWAL, VOTE, VOTE, BOND, FINE)
ENVIRONMENT = sha256(b"environment")
CLAIMED, OBSERVED, SALT = sha256(b"claimed"), sha256(b"observed"), sha256(b"salt")


@dataclass
class Player:
    """Somebody with a key, coins, and access to the contracts."""

    key: SigningKey
    client: ChainClient
    sender: Sender
    at: Deployment
    count: Iterator[int] = field(default_factory=itertools.count)

    def send(self, contract: str, function: str, *arguments: object, value: int = 0) -> None:
        """Call a contract as no client of ours would."""
        label = f"raw-{next(self.count)}"
        self.sender.send(label, Call(self.at.contracts[contract], encode_call(contract, function, *arguments), value))


@dataclass
class World:
    """A chain with the contracts on it."""

    chain: EmbeddedChain
    deployment: Deployment
    folder: Path
    names: Iterator[int] = field(default_factory=itertools.count)

    @property
    def rpc(self) -> Rpc:
        """The node, without our client around it."""
        return Rpc(self.chain.url)

    def player(self, coins: int = 1_000) -> Player:
        """A newcomer."""
        key, name = SigningKey.generate(), next(self.names)
        self.chain.fund(key.address, coins * COIN)
        client = ChainClient(self.chain.url, self.deployment, key, self.folder / f"client-{name}", embedded=True)
        counts = finality(self.rpc, SEALED)
        sender = Sender(self.rpc, self.deployment.chain_id, key, self.folder / f"raw-{name}", counts, instant=True)
        return Player(key, client, sender, self.deployment)

    def run_id(self) -> RunId:
        """The id of a run that nobody opened."""
        return RunId(sha256(f"run {next(self.names)}".encode()))

    def now(self) -> int:
        """The chain's time."""
        number = self.rpc.object("eth_getBlockByNumber", "latest", False)
        assert number is not None
        return int(number["timestamp"], 16)

    def wait(self, seconds: int) -> None:
        """Let the chain's time pass."""
        self.rpc.ask("evm_increaseTime", seconds)
        self.chain.mine()

    def call(self, contract: str, function: str, *arguments: object) -> tuple[object, ...]:
        """A contract's answer."""
        request = {
            "to": self.deployment.contracts[contract],
            "data": "0x" + encode_call(contract, function, *arguments).hex(),
        }
        return decode_result(contract, function, self.rpc.bytes("eth_call", request, "latest"))

    def open(self, auditors: Sequence[Player] = (), stake: int = STAKE, seconds: int = 10**6) -> tuple[RunId, Player]:
        """A run and its sequencer, who names who may audit it."""
        run, sequencer = self.run_id(), self.player()
        named = [auditor.key.address for auditor in auditors]
        sequencer.client.open_run(run, stake, stake, self.now() + seconds, named)
        sequencer.client.capture(run)
        return run, sequencer

    def enrol(self, run: RunId, role: str, slot: int, player: Player | None = None, stake: int = STAKE) -> Player:
        """Somebody with a stake, in a slot."""
        player = player or self.player()
        player.client.deposit(stake)
        player.client.enrol(join(run, role, slot, player), player.client.block().number)
        return player

    def close(self, run: RunId, sequencer: Player) -> None:
        """End a run on chain."""
        epoch = Round(sequencer.client.run_state(run).epochs + 1)
        sequencer.client.anchor(run, epoch, sha256(b"all"), 99, sha256(b"final"), last=True)


def join(run: RunId, role: str, slot: int, player: Player, epoch: int = 0, session: SigningKey | None = None) -> Join:
    """A join of ``player``'s."""
    return Join(
        run=run,
        role=Text(role),
        worker=Worker(slot),
        participant=player.key.address,
        session=(session or player_session(player, run, slot, epoch)).address,
        key_epoch=KeyEpoch(epoch),
        until=Round(9),
        environment=ENVIRONMENT,
        evidence=ZERO_DIGEST,
    )


def player_session(player: Player, run: RunId, slot: int, epoch: int) -> SigningKey:
    """A session key that is the same whenever it is asked for."""
    return SigningKey(sha256(player.key.to_bytes() + run + bytes([slot, epoch])))


def proved(client: ChainClient, run: RunId, joins: Sequence[Join] = (), cases: Sequence[CaseFact] = ()) -> ChainState:
    """What a verdict would see of a run, from proofs in the pinned block and nothing else."""
    facts, block = client.proof(run, joins, cases)
    files = MemoryFiles({CHAIN: facts.to_bytes()})
    files[MANIFEST] = make_manifest(run, files).to_bytes()
    pin = ChainPin(facts.chain_id, block.number, block.hash, facts.contracts, local=True)
    state, _ = read_chain(Bundle(files), pin)
    assert ChainFacts.from_bytes(facts.to_bytes()) == facts
    return state


@dataclass
class Court:
    """A run with a worker and a committee."""

    world: World
    run: RunId
    sequencer: Player
    worker: Player
    auditors: list[Player]

    @property
    def case(self) -> CaseId:
        """The case about the worker's third segment in its first round."""
        return CaseId(self.run, Round(0), Worker(0), 2, self.worker.key.address)

    def open(self, by: int = 0) -> CaseId:
        """Accuse the worker."""
        self.auditors[by].client.open_case(self.case, 0, self.worker.key.address, CLAIMED)
        return self.case

    def vote(self, *observed: Digest, claimed: Digest = CLAIMED) -> None:
        """The first auditors commit to what they saw, and then reveal it."""
        voters = list(zip(self.auditors, observed, strict=False))
        for auditor, seen in voters:
            auditor.client.commit_vote(self.case, claimed, seen, SALT)
        if len(voters) < len(self.auditors):
            self.world.wait(VOTE + 1)
        for auditor, seen in voters:
            auditor.client.reveal_vote(self.case, claimed, seen, SALT)


def court(world: World, auditors: int = 3) -> Court:
    """A run with one worker and some auditors."""
    jurors = [world.player() for _ in range(auditors)]
    run, sequencer = world.open(jurors)
    worker = world.enrol(run, "worker", 0)
    for slot, juror in enumerate(jurors):
        world.enrol(run, "auditor", slot, juror)
    return Court(world, run, sequencer, worker, jurors)


@pytest.fixture(scope="session")
def anvil() -> Path:
    """The program; without it there is nothing to test against."""
    try:
        return find_anvil()
    except (UsageError, Unreachable) as error:
        pytest.skip(f"no anvil: {error}")


@pytest.fixture(scope="session")
def world(anvil: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The session's chain, with the contracts on it."""
    folder = tmp_path_factory.mktemp("world")
    with EmbeddedChain(folder / "chain") as chain:
        yield deployed(chain, folder)


def deployed(chain: EmbeddedChain, folder: Path) -> World:
    """The contracts on a chain."""
    key = SigningKey.generate()
    chain.fund(key.address, 100 * COIN)
    return World(chain, deploy(chain.url, key, TERMS, folder / "deploy", instant=True), folder)


def refused(name: str) -> pytest.RaisesExc[Reverted]:
    """The contracts must refuse with this error."""
    return pytest.raises(Reverted, match=name)


def convict(hearing: Court) -> None:
    hearing.open()
    hearing.vote(*[OBSERVED] * len(hearing.auditors))
    hearing.auditors[0].client.resolve(hearing.case)
