"""Putting a sequencer's service together."""

from __future__ import annotations

from attestrain.corpus.dataset import Dataset
from attestrain.record.note import VerifierKey
from attestrain.run.events import EventLog
from attestrain.run.folder import RunFolder
from attestrain.run.follower import History
from attestrain.run.sequencer import Sequencer
from attestrain.run.service.auth import Doorman, service_id
from attestrain.run.service.clerk import Clerk
from attestrain.run.service.desk import Desk, Places
from attestrain.run.service.server import Service
from attestrain.run.stage import Stage
from attestrain.run.terms import Terms
from attestrain.store.blobs import BlobStore


def open_service(
    run: RunFolder,
    store: BlobStore,
    sequencer: Sequencer,
    history: History,
    events: EventLog,
    dataset: Dataset,
    log_key: VerifierKey,
    terms: Terms,
    stage: Stage,
) -> Service:
    """The service of a run, listening; it answers once it is started.

    Args:
        run: where it keeps what it is sent.
        store: where it keeps blobs.
        sequencer: orders statements.
        history: knows checkpoints.
        events: told what happens.
        dataset: handed out if its salt is public.
        log_key: checks the transcript's checkpoints.
        terms: what participants have to know besides the spec.
        stage: who may write, and where to listen.

    Raises:
        UsageError: the address cannot be listened on.
    """
    run.environments.mkdir(exist_ok=True)
    run.evidence.mkdir(exist_ok=True)
    store.sweep()
    name = service_id(sequencer.ledger.spec.run_id, sequencer.address, str(log_key))
    public = dataset.manifest.salt == "public"
    files = frozenset(path.name for path in dataset.folder.iterdir() if path.is_file()) if public else frozenset[str]()
    clerk = Clerk(sequencer, history, events, stage.claim)
    places = Places(store, run.environments, run.evidence, dataset.folder, run.events)
    doorman = Doorman(name, stage.members)
    desk = Desk(sequencer.ledger.spec, name, clerk, doorman, places, files, terms.to_bytes())
    return Service(desk, stage.host, stage.port)
