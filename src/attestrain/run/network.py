"""A network: a run whose participants come from other machines, each with an invitation.

`prepare_network` makes the run and the invitations; `play_network` runs the sequencer's service and conducts; joining
is the participants' side. A slot belongs to the first account that its invitation's key claims it for, from then on:
the claim is on disk before it is answered.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from attestrain.attester.pki import development_pki
from attestrain.errors import UsageError
from attestrain.record.canonical import canonical, parse
from attestrain.record.fields import Fields
from attestrain.record.keys import parse_address
from attestrain.record.names import Address, RunId, Worker
from attestrain.run.config import RunConfig, load_config
from attestrain.run.config_text import config_toml
from attestrain.run.events import Watcher
from attestrain.run.exchange import Refusal
from attestrain.run.folder import RunFolder
from attestrain.run.holding import held, make_folder
from attestrain.run.invite import Invite, fingerprint
from attestrain.run.keyring import Keyring
from attestrain.run.machines import SIMULATED
from attestrain.run.outcome import Outcome
from attestrain.run.preparation import Prepared, prepare, reopen
from attestrain.run.service.app import CLAIM
from attestrain.run.service.auth import Door, service_id
from attestrain.run.service.members import INVITED, Member, Members
from attestrain.run.session import conduct, origin_of
from attestrain.run.stage import ROLES, SOLO, Stage, slots_of
from attestrain.store.atomic import write_atomic

FORMAT = "attestrain.dev/network@v1"
MAX_PORT = 65_535
MAX_HOST = 253
"""Longest host name (RFC 1035)."""
PATIENCE = 300.0
"""Seconds that a network waits for its free slots before it begins with whom it has."""


@dataclass(frozen=True, slots=True)
class Network:
    """A prepared network.

    Attributes:
        folder: its run folder.
        door: where its service listens, and its name.
        run: the run's name.
        invites: the files of invitations.
    """

    folder: Path
    door: Door
    run: RunId
    invites: tuple[Path, ...]

    @property
    def fingerprint(self) -> str:
        """What participants compare."""
        return fingerprint(self.door.service)


def prepare_network(config: RunConfig, folder: Path, host: str, port: int) -> Network:
    """Make a network in ``folder``: dataset, spec, keys, invitations.

    Args:
        config: the run.
        folder: must not hold a run.
        host: address that the service listens on and participants dial.
        port: 0 for any that is free now.

    Raises:
        UsageError: the configuration cannot be run on a network, or the folder holds a run already.
    """
    if config.cheat:
        raise UsageError("a network has no cheats of its own", hint="remove the [[cheat]] sections")
    run = RunFolder(folder)
    created = make_folder(folder)
    with held(run):
        if run.config.exists():
            raise UsageError(f"{folder} holds a run already", hint="choose another with --folder")
        try:
            network = _make(config, run, prepare(config, run), host, port or _free_port(host))
        except BaseException:
            if created:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        write_atomic(run.config, config_toml(config).encode("utf-8"))
    return network


def _make(config: RunConfig, run: RunFolder, prepared: Prepared, host: str, port: int) -> Network:
    keys, run_id = Keyring(run.keys), prepared.spec.run_id
    log_key = keys.note(origin_of(run_id)).verifier
    name = f"[{host}]" if ":" in host else host
    door = Door(f"http://{name}:{port}", service_id(run_id, keys.signing("sequencer").address, str(log_key)))
    write_atomic(run.network, canonical({"format": FORMAT, "host": host, "port": port}))
    pki = development_pki(run.keys) if config.evidence_mode == SIMULATED else None
    run.invites.mkdir(mode=0o700, exist_ok=True)
    paths = []
    for role, slot in slots_of(config):
        platform = None if pki is None else pki.provision()
        path = run.invites / f"{role}-{slot}.json"
        Invite(door, run_id, role, slot, keys.signing(key_name(role, slot)), platform).save(path)
        paths.append(path)
    return Network(run.path, door, run_id, tuple(paths))


def key_name(role: str, slot: Worker) -> str:
    """Name of the key in an invitation: an auditor's is the participant's own."""
    return f"auditor-{slot}" if role == "auditor" else f"invite-{role}-{slot}"


def _free_port(host: str) -> int:
    try:
        family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as found:
            found.bind((host, 0))
            return int(found.getsockname()[1])
    except OSError as error:
        raise UsageError(f"cannot listen on {host}: {error.strerror or error}") from error


def play_network(folder: Path, roles: Collection[str], patience: float, *, on_event: Watcher) -> Outcome:
    """Run the sequencer of the network in ``folder`` and conduct its run to the end, or go on with it.

    Args:
        folder: what `prepare_network` made.
        roles: what runs here besides the sequencer: auditor, or nothing.
        patience: seconds to wait for free slots before the first round; after that one worker is enough.
        on_event: told what happens.

    Raises:
        UsageError: there is no network.
        Interrupted: stopped by the user; the same call goes on.
        RunFailed: training could not go on.
    """
    run = RunFolder(folder)
    if not run.network.is_file() or not run.config.is_file():
        raise UsageError(f"{folder} holds no network", hint="make one with: attestrain network init RUN.toml")
    with held(run, f"attestrain node --folder {folder}"):
        config = load_config(run.config)

        def stage(config: RunConfig, keys: Keyring) -> Stage:
            return _network_stage(run, config, keys, frozenset(roles), patience)

        return conduct(config, run, reopen(run), on_event, stage)


def _network_stage(run: RunFolder, config: RunConfig, keys: Keyring, roles: frozenset[str], patience: float) -> Stage:
    fields = Fields(parse(run.network.read_bytes()), ("format", "host", "port"), "network")
    fields.constant("format", FORMAT)
    members = Members([(keys.signing(SOLO).address, Member(SOLO, Worker(0)))])
    stage = Stage(
        seats={},
        members=members,
        local=roles & set(ROLES),
        host=fields.text("host", max_length=MAX_HOST),
        port=fields.integer("port", 1, MAX_PORT),
        patience=patience,
        elsewhere=True,
    )
    run.claims.mkdir(exist_ok=True)
    for role, slot in slots_of(config):
        _seat(run, keys, stage, role, slot)
    stage.claim = Claims(run, stage).claim
    return stage


def _seat(run: RunFolder, keys: Keyring, stage: Stage, role: str, slot: Worker) -> None:
    """Let in whoever holds a slot, or the invitation to it."""
    address = keys.signing(key_name(role, slot)).address
    if role == "auditor":
        stage.seats[role, slot] = address
        stage.members.add(address, Member(role, slot))
        return
    stage.members.add(address, Member(INVITED, slot, role))
    path = run.claims / f"{role}-{slot}.json"
    if path.is_file():
        fields = Fields(parse(path.read_bytes()), ("format", "participant"), "claim")
        fields.constant("format", CLAIM)
        _give(stage, role, slot, parse_address(fields.text("participant")))


def _give(stage: Stage, role: str, slot: Worker, participant: Address) -> None:
    stage.seats[role, slot] = participant
    stage.members.add(participant, Member(role, slot))


class Claims:
    """Gives slots to the accounts that invitations' keys claim them for.

    Args:
        run: keeps the claims.
        stage: whose seats fill.
    """

    def __init__(self, run: RunFolder, stage: Stage) -> None:
        self._run = run
        self._stage = stage

    def claim(self, member: Member, participant: Address) -> None:
        """Give ``member``'s slot to ``participant``, durably before this returns; again for the same one is fine.

        Raises:
            Refusal: the slot is another account's, or the account has another role here.
        """
        role, slot = member.seat, member.slot
        holder, known = self._stage.seats.get((role, slot)), self._stage.members.of(participant)
        if holder not in (None, participant):
            raise Refusal(f"{role} {slot} is taken by another participant")
        if known not in (None, Member(role, slot)):
            raise Refusal("this account has another place in this network")
        if holder is None:
            document = canonical({"format": CLAIM, "participant": participant})
            write_atomic(self._run.claims / f"{role}-{slot}.json", document)
            _give(self._stage, role, slot, participant)
        for greet in self._stage.greeted:
            greet(participant)
