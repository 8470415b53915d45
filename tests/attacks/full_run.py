"""A run with chain, evidence and stakes, made once, and its bundle open to whoever holds every key of it.

One worker cheats and loses its case. Attacks change one thing, in a copy of the bundle or in the policy; where the
transcript changes it is signed again with the true keys, and what beacons say of the log is made to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from attestrain.attester.pki import FILE, DevPki
from attestrain.record.bundle import (
    CHAIN,
    MANIFEST,
    SPEC,
    TRANSCRIPT,
    FolderFiles,
    Manifest,
    MemoryFiles,
    make_manifest,
)
from attestrain.record.chain import AccountProof, ChainFacts, Nodes
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, RunId, Size
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Beacon, Finding, Join, Leave, Published, Receipt, Signed, Statement, sign
from attestrain.record.tiles import read_entries
from attestrain.record.transcript import CHECKPOINT_PATH, Log
from attestrain.run.keyring import Keyring
from attestrain.run.session import train
from attestrain.store.keystore import read_private
from attestrain.verify.checks import Status
from attestrain.verify.policy import Policy
from attestrain.verify.verdict import Verdict
from attestrain.verify.verifier import verify
from tests.faults.chaos import tiny_config

FULL = tiny_config(
    trust={"preset": "full"},
    audit={"fraction": 0.5, "auditors": 3},
    cheat=[{"worker": 2, "kind": "skip-steps", "from_round": 1}],
)

Edit = Callable[[Statement], Statement | Iterable[Statement]]


@dataclass
class Bundle:
    """A copy of the bundle, its policy, and every key."""

    folder: Path
    files: MemoryFiles
    policy: Policy
    keys: dict[Address, SigningKey] = field(default_factory=dict)

    def copy(self) -> Bundle:
        return Bundle(self.folder, MemoryFiles(self.files), self.policy, dict(self.keys))

    @property
    def spec(self) -> RunSpec:
        return RunSpec.from_bytes(self.files[SPEC])

    @property
    def pki(self) -> DevPki:
        """The network's development PKI."""
        return DevPki.from_bytes(read_private(self.folder / "keys" / FILE))

    @property
    def entries(self) -> list[Signed]:
        size = int(self.files[f"{TRANSCRIPT}/{CHECKPOINT_PATH}"].split(b"\n", 2)[1])
        entries = read_entries(lambda path: self.files[f"{TRANSCRIPT}/{path}"], size)
        return [Signed.from_bytes(entry) for entry in entries]

    @property
    def statements(self) -> list[Statement]:
        return [signed.statement for signed in self.entries]

    def join(self, role: str, slot: int) -> Join:
        """The join of a slot."""
        joins = [item for item in self.statements if isinstance(item, Join)]
        return next(item for item in joins if (item.role, item.worker) == (role, slot))

    def verdict(self, *, pinned: bool = True) -> Verdict:
        """Judge it, with its manifest made again."""
        run = Manifest.from_bytes(self.files[MANIFEST]).run
        self.files[MANIFEST] = make_manifest(RunId(run), self.files).to_bytes()
        return verify(self.files, self.policy if pinned else None)

    # What attacks change

    @property
    def facts(self) -> ChainFacts:
        return ChainFacts.from_bytes(self.files[CHAIN])

    def set_facts(self, **changes: Any) -> None:
        self.files[CHAIN] = replace(self.facts, **changes).to_bytes()

    def set_account(self, contract: str, edit: Callable[[AccountProof], AccountProof]) -> None:
        """Edit what proves a contract."""
        address = self.facts.contracts[contract]
        self.set_facts(accounts={**self.facts.accounts, address: edit(self.facts.accounts[address])})

    def set_slots(self, contract: str, edit: Callable[[Nodes], Nodes | None]) -> None:
        """Edit what proves each slot of a contract; None drops the proof."""

        def edited(account: AccountProof) -> AccountProof:
            slots = {slot: edit(nodes) for slot, nodes in account.slots.items()}
            return replace(account, slots={slot: nodes for slot, nodes in slots.items() if nodes is not None})

        self.set_account(contract, edited)

    def set_pins(self, **changes: Any) -> None:
        self.policy = replace(self.policy, pins=replace(self.policy.pins, **changes))

    def set_chain_pin(self, **changes: Any) -> None:
        assert self.policy.pins.chain is not None
        self.set_pins(chain=replace(self.policy.pins.chain, **changes))

    def rewrite(self, edit: Edit, *, refit: bool = True) -> None:
        """Edit the transcript statement by statement and sign it again with the true keys.

        Args:
            edit: what takes each statement's place: another, several or none.
            refit: beacons name roots of the new log where they named roots of the old one.
        """
        log, lengths, sessions = Log(), [0], dict[tuple[str, int], Address]()
        for statement in self.statements:
            changed = edit(statement)
            for item in [changed] if isinstance(changed, Statement) else changed:
                if refit and isinstance(item, Beacon) and item.size:
                    size = lengths[item.size]
                    item = replace(item, size=Size(size), root=log.root(size))
                if isinstance(item, Join):
                    sessions[item.role, item.worker] = item.session
                log.append(sign(item, self._key(item, sessions)).to_bytes())
            lengths.append(len(log))
        for path in [path for path in self.files if path.startswith(f"{TRANSCRIPT}/")]:
            del self.files[path]
        key = self.policy.pins.transcript_key
        assert key is not None
        for path, data in log.files(log.checkpoint(Keyring(self.folder / "keys").note(key.name))).items():
            self.files[f"{TRANSCRIPT}/{path}"] = data

    def _key(self, statement: Statement, sessions: dict[tuple[str, int], Address]) -> SigningKey:
        match statement:
            case Join() | Leave():
                return self.keys[statement.participant]
            case Receipt() | Published():
                return self.keys[sessions["worker", statement.worker]]
            case Finding():
                return self.keys[sessions["auditor", statement.auditor]]
        return Keyring(self.folder / "keys").signing("sequencer")


def _open(folder: Path) -> Bundle:
    bundle, ring = FolderFiles(folder / "bundle"), Keyring(folder / "keys")
    files = MemoryFiles({path: bundle.read(path) for path in bundle.paths()})
    held = [path.stem for path in (folder / "keys").glob("*-*.json") if path.name != FILE]
    keys = {key.address: key for key in map(ring.signing, ("sequencer", *held))}
    return Bundle(folder, files, Policy.from_toml((folder / "policy.toml").read_text()), keys)


@pytest.fixture(scope="session")
def finished(anvil: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The run, made once; take a copy."""
    folder = tmp_path_factory.mktemp("full") / "run"
    train(FULL, folder, on_event=lambda event: None)
    return _open(folder)


@pytest.fixture
def bundle(finished: Bundle) -> Bundle:
    """A copy to spoil."""
    return finished.copy()


def failures(verdict: Verdict) -> dict[tuple[int, str], str]:
    """Reasons of the checks that failed, by claim and name."""
    return {(item.claim, item.name): item.detail for item in verdict.checks if item.status is Status.FAIL}


def missing(verdict: Verdict) -> dict[tuple[int, str], str]:
    """Reasons of the checks that could not be made, by claim and name."""
    return {(item.claim, item.name): item.detail for item in verdict.checks if item.missing}
