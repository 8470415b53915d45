"""A sequencer's service over a run that nobody trains: what its tests knock at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path

from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Text, Worker
from attestrain.record.statements import LogOpen
from attestrain.record.transcript import Log
from attestrain.run.events import EventLog
from attestrain.run.follower import History
from attestrain.run.sequencer import Sequencer
from attestrain.run.service.auth import Doorman, service_id
from attestrain.run.service.clerk import Claim, Clerk
from attestrain.run.service.desk import Desk, Places
from attestrain.run.service.members import INVITED, Member, Members
from attestrain.run.service.server import Service
from attestrain.store.blobs import BlobStore
from tests.attacks.world import tiny_spec

LOG_KEY = "tests+00000000+AA=="


class Open:
    """A gate that asks nothing: these tests are about what comes before it."""

    def check(self, ledger: object, statement: object) -> None:
        """Let everything pass."""


@lru_cache(maxsize=64)
def key_of(role: str, slot: int) -> SigningKey:
    return SigningKey(sha256(f"{role}-{slot}".encode()))


@dataclass
class World:
    folder: Path
    sequencer: Sequencer
    events: EventLog
    service: Service

    def key(self, role: str, slot: int) -> SigningKey:
        return key_of(role, slot)

    @property
    def store(self) -> BlobStore:
        return self.service.desk.places.store

    def state(self) -> tuple[int, int, frozenset[str]]:
        """Size of the transcript, bytes of events, and every file that the service keeps for somebody."""
        places = self.service.desk.places
        folders = (self.folder / "store", places.environments, places.evidence)
        files = frozenset(str(path) for folder in folders for path in folder.rglob("*"))
        return len(self.sequencer.log), places.events.stat().st_size, files

    @contextmanager
    def serving(self) -> Iterator[World]:
        """The service answers, and somebody does what it puts into its mailbox."""
        done = threading.Event()

        def conduct() -> None:
            while not done.is_set():
                wait([self.service.mailbox.fileno()], 0.02)
                self.service.mailbox.serve()

        self.service.start()
        conductor = threading.Thread(target=conduct)
        conductor.start()
        try:
            yield self
        finally:
            done.set()
            conductor.join()
            self.service.stop()
            self.events.close()


def open_world(folder: Path, claim: Claim | None = None, opened: bool = False) -> World:
    """A service on a free port, not started; ``opened``: its log has its first entry."""
    spec, sequencer_key = tiny_spec(), key_of("sequencer", 0)
    for name in ("environments", "evidence", "dataset"):
        (folder / name).mkdir(parents=True)
    (folder / "dataset" / "manifest.json").write_bytes(b"{}")
    (folder / "dataset" / "salt").write_bytes(b"secret")
    events = EventLog(folder / "events.jsonl", lambda event: None)
    sequencer = Sequencer(spec, Log(), sequencer_key, Open())  # type: ignore[arg-type]
    store = BlobStore(folder / "store")
    seats = [("worker", 0), ("worker", 1), ("worker", 2), ("auditor", 0), ("solo", 0)]
    members = [(key_of(role, slot).address, Member(role, Worker(slot))) for role, slot in seats]
    members.append((key_of("invite", 2).address, Member(INVITED, Worker(2), "worker")))
    clerk = Clerk(sequencer, History(spec, store), events, claim)
    name = service_id(spec.run_id, sequencer_key.address, LOG_KEY)
    places = Places(store, folder / "environments", folder / "evidence", folder / "dataset", folder / "events.jsonl")
    desk = Desk(spec, name, clerk, Doorman(name, Members(members)), places, frozenset({"manifest.json"}), b"{}")
    world = World(folder, sequencer, events, Service(desk))
    if opened:
        sequencer.state(LogOpen(spec.run_id, sequencer_key.address, Text("tests"), sha256(b"note")))
    return world
