"""Where things lie in a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attestrain.record.names import Worker


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run folder.

    ``run.toml`` is the resolved configuration, ``policy.toml`` the pins (outside the bundle on purpose), ``journal/``
    the sequencer's log, ``store/`` the blobs everyone on this machine shares, ``roles/`` each process's own memory.
    """

    path: Path

    @property
    def config(self) -> Path:
        """Resolved RUN.toml."""
        return self.path / "run.toml"

    @property
    def spec(self) -> Path:
        """The run spec."""
        return self.path / "spec.json"

    @property
    def policy(self) -> Path:
        """Pins and required guarantees for `attestrain verify`."""
        return self.path / "policy.toml"

    @property
    def events(self) -> Path:
        """What happened, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def dataset(self) -> Path:
        """The dataset."""
        return self.path / "dataset"

    @property
    def journal(self) -> Path:
        """The transcript as the sequencer keeps it."""
        return self.path / "journal"

    @property
    def store(self) -> Path:
        """Shared blobs."""
        return self.path / "store"

    @property
    def environments(self) -> Path:
        """Descriptions of what participants computed on."""
        return self.path / "environments"

    @property
    def evidence(self) -> Path:
        """Evidence documents of participants, by digest."""
        return self.path / "evidence"

    @property
    def network(self) -> Path:
        """Where a network's service listens; only networks have it."""
        return self.path / "network.json"

    @property
    def invites(self) -> Path:
        """A network's invitations."""
        return self.path / "invites"

    @property
    def claims(self) -> Path:
        """Who took which slot of a network."""
        return self.path / "claims"

    @property
    def keys(self) -> Path:
        """Keystores."""
        return self.path / "keys"

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.path / "bundle"

    @property
    def model(self) -> Path:
        """The delivered model, with what other libraries need to load it."""
        return self.path / "model"

    @property
    def logs(self) -> Path:
        """Output of the processes."""
        return self.path / "logs"

    @property
    def roles(self) -> Path:
        """What each process keeps for itself."""
        return self.path / "roles"

    def role(self, role: str, slot: Worker) -> Path:
        """A process's own folder."""
        return self.roles / f"{role}-{slot}"
