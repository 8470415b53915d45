"""Putting a sequencer's service together."""

from __future__ import annotations

from attestrain.corpus.dataset import Dataset
from attestrain.record.note import VerifierKey
from attestrain.run.events import EventLog
from attestrain.run.folder import RunFolder
from attestrain.run.follower import History
from attestrain.run.sequencer import Sequencer
from attestrain.run.service.auth import Doorman, service_id
from attestrain.run.service.clerk import Claim, Clerk
from attestrain.run.service.desk import Desk, Places
from attestrain.run.service.members import Members
from attestrain.run.service.server import LOOPBACK, Service
from attestrain.store.blobs import BlobStore


def open_service(
    run: RunFolder,
    sequencer: Sequencer,
    history: History,
    events: EventLog,
    dataset: Dataset,
    log_key: VerifierKey,
    members: Members,
    *,
    claim: Claim | None = None,
    host: str = LOOPBACK,
    port: int = 0,
) -> Service:
    """The service of a run, listening; it answers once it is started.

    Args:
        run: where it keeps what it is sent.
        sequencer: orders statements.
        history: knows checkpoints.
        events: told what happens.
        dataset: handed out if its salt is public.
        log_key: checks the transcript's checkpoints.
        members: who may write.
        claim: gives slots to those who were invited.
        host: address to listen on.
        port: 0 for any that is free.

    Raises:
        UsageError: the address cannot be listened on.
    """
    run.environments.mkdir(exist_ok=True)
    run.evidence.mkdir(exist_ok=True)
    store = BlobStore(run.store)
    store.sweep()
    name = service_id(sequencer.ledger.spec.run_id, sequencer.address, str(log_key))
    public = dataset.manifest.salt == "public"
    files = frozenset(path.name for path in dataset.folder.iterdir() if path.is_file()) if public else frozenset[str]()
    clerk = Clerk(sequencer, history, events, claim)
    places = Places(store, run.environments, run.evidence, dataset.folder, run.events)
    return Service(Desk(sequencer.ledger.spec, name, clerk, Doorman(name, members), places, files), host, port)
