"""What the sequencer's gate keeps out: statements that the rules allow and a verifier would contradict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attestrain.corpus.dataset import Dataset
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.keys import SigningKey
from attestrain.record.names import Text, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Finding, Signed, sign
from attestrain.record.transcript import Log
from attestrain.run.exchange import Refusal
from attestrain.run.folder import RunFolder
from attestrain.run.follower import History
from attestrain.run.gate import Gate
from attestrain.run.keyring import Keyring
from attestrain.run.sequencer import Sequencer
from attestrain.run.session import train
from attestrain.run.stage import local_stage
from attestrain.store.blobs import BlobStore
from tests.faults.chaos import entries, tiny_config

CONFIG = tiny_config(schedule={"rounds": 2}, audit={"fraction": 1})


def before_the_first_finding(folder: RunFolder) -> tuple[Sequencer, Finding]:
    """The sequencer of a finished run as it was when the first finding arrived, and that finding."""
    spec = RunSpec.from_bytes(folder.spec.read_bytes())
    said = entries(folder.path)
    place = next(at for at, entry in enumerate(said) if isinstance(Signed.from_bytes(entry).statement, Finding))
    store, leaves = BlobStore(folder.store), Dataset.open(folder.dataset).split("train").leaves
    keys = Keyring(folder.keys)
    gate = Gate(store, History(spec, store), leaves, local_stage(CONFIG, keys).seats, folder.environments)
    sequencer = Sequencer(spec, Log(said[:place]), keys.signing("sequencer"), gate)
    finding = Signed.from_bytes(said[place]).statement
    assert isinstance(finding, Finding)
    return sequencer, finding


def test_an_auditor_that_misquotes_its_worker_is_refused(tmp_path: Path) -> None:
    """Otherwise one auditor could make a verifier contradict everybody's run."""
    folder = RunFolder(tmp_path / "run")
    train(CONFIG, folder.path, on_event=lambda event: None)
    sequencer, finding = before_the_first_finding(folder)
    session = Keyring(folder.keys).signing(f"auditor-{finding.auditor}-session")
    lie = replace(finding, claimed=ZERO_DIGEST, outcome=Text("fault"), detail=Text("invented"))
    with pytest.raises(Refusal, match="misquotes the trace"):
        sequencer.submit(sign(lie, session).to_bytes())
    assert sequencer.submit(sign(finding, session).to_bytes()) == sequencer.ledger.size - 1


def test_a_stranger_takes_no_slot(tmp_path: Path) -> None:
    """Otherwise a worker could join as an auditor and leave every draw it is given unanswered."""
    folder = RunFolder(tmp_path / "run")
    train(tiny_config(schedule={"rounds": 1}), folder.path, on_event=lambda event: None)
    sequencer, _ = before_the_first_finding(folder)
    participant, session = SigningKey.generate(), SigningKey.generate()
    known = sequencer.ledger.joins["worker", Worker(0)][0].statement
    names = {"participant": participant.address, "session": session.address}
    stranger = replace(known, role=Text("auditor"), worker=Worker(1), **names)
    with pytest.raises(Refusal, match="was not given to this participant"):
        sequencer.submit(sign(stranger, participant).to_bytes())
