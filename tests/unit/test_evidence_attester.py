from __future__ import annotations

import stat
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from attestrain.attester.certificates import ORGANISATION
from attestrain.attester.measure import dependencies_digest, installed_dependencies, measured_events
from attestrain.attester.pki import FILE, DevPki, development_pki
from attestrain.attester.platform import Platform
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import FormatError, UsageError
from attestrain.record.canonical import Json, canonical, parse
from attestrain.record.digest import sha256
from attestrain.record.evidence import MEASURED, Event
from tests.attacks.world import tiny_spec
from tests.unit.evidence_world import NOW, honest_binding, pki, platform, world_of


def test_a_pki_is_made_once_and_kept_private(tmp_path: Path) -> None:
    made = development_pki(tmp_path)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert development_pki(tmp_path).root_digest == made.root_digest


def test_a_pki_open_to_others_is_refused(tmp_path: Path) -> None:
    development_pki(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(UsageError, match="open to others"):
        development_pki(tmp_path)


def test_a_pki_that_cannot_be_kept_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        development_pki(tmp_path / "missing")


def test_every_network_has_a_root_of_its_own() -> None:
    assert DevPki.generate(NOW).root_digest != DevPki.generate(NOW).root_digest


def test_a_pki_read_back_provisions_platforms_under_the_same_root() -> None:
    again = DevPki.from_bytes(pki().to_bytes())
    world = world_of(SimulatedMachine(again.provision(NOW)), pki().root_digest)
    assert world.judge().assurance == "simulated"


def test_every_certificate_says_that_it_is_for_development() -> None:
    for item in platform().chain:
        subject = x509.load_der_x509_certificate(item).subject
        assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == ORGANISATION


def test_a_platform_travels_as_bytes_and_quotes_elsewhere() -> None:
    carried = Platform.from_bytes(platform().to_bytes())
    world = world_of(SimulatedMachine(carried), pki().root_digest)
    assert world.judge().platform == world_of(SimulatedMachine(platform()), pki().root_digest).judge().platform


def test_secrets_do_not_show() -> None:
    secret = parse(platform().to_bytes())["key"]
    assert secret not in repr(platform())
    assert secret not in str(vars(SimulatedMachine(platform())))


def _put(*path: Any, value: Any) -> Callable[[Json], None]:
    def change(document: Json) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


BAD_PLATFORMS = [
    _put("format", value="attestrain.dev/development-platform@v0"),
    _put("key", value="00" * 32),
    _put("key", value="ff" * 32),
    _put("key", value=1),
    _put("chain", value=[]),
    _put("chain", 0, value=7),
    _put("chain", 0, value="zz"),
    _put("chain", 0, value="00" * 5000),
    _put("collateral", value={}),
    _put("more", value=1),
]


@pytest.mark.parametrize("change", BAD_PLATFORMS)
def test_a_malformed_platform_is_refused(change: Callable[[Json], None]) -> None:
    document = parse(platform().to_bytes())
    change(document)
    with pytest.raises(FormatError) as caught:
        Platform.from_bytes(canonical(document))
    assert parse(platform().to_bytes())["key"] not in str(caught.value)


BAD_PKIS = [
    _put("format", value="x"),
    _put("root", value=None),
    _put("root", "key", value="00" * 32),
    _put("root", "certificate", value="00"),
    _put("root", "certificate", value="zz"),
    _put("root", "key", value="01" * 32),
]


@pytest.mark.parametrize("change", BAD_PKIS)
def test_a_malformed_pki_is_refused(change: Callable[[Json], None]) -> None:
    document = parse(pki().to_bytes())
    change(document)
    with pytest.raises(FormatError):
        DevPki.from_bytes(canonical(document))


def test_a_machine_quotes_again_what_it_has_measured() -> None:
    machine, events = SimulatedMachine(platform()), [Event("a", "1"), Event("b", "2")]
    first = machine.evidence(bytes(64), events[:1], 0, sha256(b""))
    second = machine.evidence(bytes(64), events, 0, sha256(b""))
    assert (first.events, second.events) == (tuple(events[:1]), tuple(events))


def test_a_machine_cannot_forget() -> None:
    machine = SimulatedMachine(platform())
    machine.extend(Event("a", "1"))
    with pytest.raises(UsageError, match="measured something else"):
        machine.evidence(bytes(64), [Event("a", "2")], 0, sha256(b""))
    with pytest.raises(UsageError, match="measured something else"):
        machine.evidence(bytes(64), [], 0, sha256(b""))


def test_report_data_are_64_bytes() -> None:
    with pytest.raises(UsageError, match="not 64"):
        SimulatedMachine(platform()).evidence(b"short", [], 0, honest_binding().block_hash)


def test_what_a_participant_measures_is_what_its_run_asks_for() -> None:
    spec, environment = tiny_spec(), sha256(b"environment")
    events = measured_events(spec, environment)
    assert tuple(event.name for event in events) == MEASURED
    digests = [spec.code, dependencies_digest(), spec.run_id, spec.dataset, environment]
    assert [event.payload for event in events] == [digest.hex() for digest in digests]


def test_dependencies_are_those_that_are_installed() -> None:
    found = installed_dependencies()
    assert found == sorted(set(found))
    for name in ("numpy", "cryptography", "dcap-qvl", "torch"):
        assert f"{name}=={version(name)}" in found
    assert not [item for item in found if item.startswith(("attestrain==", "pytest==", "mypy=="))]
