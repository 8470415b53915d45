"""Adversaries of GPU evidence: one change each to an honest world."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from attestrain.appraise.nvidia.device import GPU, SWITCH, read_device
from attestrain.appraise.nvidia.policy import DEVICE_ROOT, NvidiaPolicy
from attestrain.appraise.nvidia.report import FIRMWARE_ID, PEERS, Report
from attestrain.appraise.refused import Refused
from attestrain.appraise.signatures import check_signed
from attestrain.attester.nvidia import (
    DRIVER_VERSION,
    FIRMWARE_DIGEST,
    GPU_CHIP,
    SWITCH_CHIP,
    SimulatedDevice,
    measurements,
)
from attestrain.attester.nvidia_pki import NvidiaPki
from attestrain.attester.nvidia_rim import sign_document, sign_references
from tests.unit.nvidia_world import (
    MACHINE_NONCE,
    NONCE,
    NOW,
    FabricWorld,
    GpuWorld,
    genuine_gpu,
    genuine_machine,
    machine,
    pki,
    references,
    simulated,
    simulated_gpu,
    simulated_world,
)

STRANGER = NvidiaPki(NOW)
"""Somebody else's development PKI."""


def of(device: SimulatedDevice) -> GpuWorld:
    """The simulated world with another device's evidence."""
    given = device.evidence(NONCE)
    return replace(simulated_gpu(), report=given.report, chain=given.chain)


def with_rims(*rims: bytes) -> GpuWorld:
    return replace(simulated_gpu(), rims=rims)


def under(**changes: object) -> GpuWorld:
    """The simulated world under another policy."""
    return replace(simulated_gpu(), policy=NvidiaPolicy(**{"roots": (pki().root_digest,), **changes}))  # type: ignore[arg-type]


def tampered() -> bytes:
    """Reference values with one digit changed."""
    value = measurements()[30].hex().encode()
    return references()[0].replace(value, value[:-1] + (b"0" if value[-1:] != b"0" else b"1"))


def wrapped() -> bytes:
    """A document whose root is forged and which holds the signed one, signature and all, inside."""
    genuine = references()[0].decode()
    return (genuine[: genuine.index(">") + 1] + genuine + "</SoftwareIdentity>").encode()


def moved() -> bytes:
    """A forged document that holds the signature of the genuine one."""
    genuine = references()[0].decode()
    signature = genuine[genuine.index("<ds:Signature ") : genuine.index("</ds:Signature>") + len("</ds:Signature>")]
    return (
        re.sub(r"<Payload>.*</Payload>", "<Payload></Payload>", genuine.replace(signature, ""))
        .replace("</SoftwareIdentity>", signature + "</SoftwareIdentity>")
        .encode()
    )


def twice() -> bytes:
    """A document with its signature repeated."""
    genuine = references()[0].decode()
    signature = genuine[genuine.index("<ds:Signature ") : genuine.index("</ds:Signature>") + len("</ds:Signature>")]
    return genuine.replace(signature, signature * 2).encode()


def replaced(old: str, new: str) -> bytes:
    """Reference values with one piece of text replaced."""
    assert old in references()[0].decode()
    return references()[0].decode().replace(old, new).encode()


ATTACKS: dict[str, tuple[Callable[[], GpuWorld], str]] = {
    "an old report": (lambda: replace(simulated_gpu(), nonce=bytes(32)), "answers nonce 0001.*, not 0000"),
    "a relayed report under this device's chain": (
        lambda: replace(simulated_gpu(), report=simulated()[0][1].evidence(NONCE).report),
        "signature of the report does not hold",
    ),
    "another GPU than those listed": (
        lambda: under(devices=("41" + simulated()[0][1].pdi.hex(),)),
        "not on the policy's list of 1",
    ),
    "a switch in place of a GPU": (
        lambda: of(simulated()[1][0]),
        "the device is a NVSwitch .*, not a GPU",
    ),
    "a development root that nobody pinned": (
        lambda: of(SimulatedDevice(STRANGER.provision(GPU_CHIP, FIRMWARE_DIGEST))),
        "neither NVIDIA's .* nor a pinned development root",
    ),
    "a genuine root behind a simulated chain": (
        lambda: replace(simulated_gpu(), chain=(*simulated_gpu().chain[:-1], genuine_gpu().chain[-1])),
        "the next one has not signed",
    ),
    "a chip of another generation": (
        lambda: of(SimulatedDevice(pki().provision("GB100", FIRMWARE_DIGEST))),
        "the device is a 'GB100', whose reports are not known: not GH100 or LS_10",
    ),
    "the device's own key as attestation key": (
        lambda: replace(simulated_gpu(), chain=simulated_gpu().chain[1:]),
        "begins with a key that may not sign",
    ),
    "a device that issues devices": (
        lambda: replace(simulated_gpu(), chain=(simulated_gpu().chain[0], *simulated_gpu().chain)),
        "an issuer that may not issue",
    ),
    "a chain without its device": (
        lambda: replace(simulated_gpu(), chain=simulated_gpu().chain[:1]),
        "has 1 certificates, not 2 to 8",
    ),
    "a chain without end": (
        lambda: replace(simulated_gpu(), chain=simulated_gpu().chain[:1] * 9),
        "has 9 certificates",
    ),
    "a certificate that is none": (
        lambda: replace(simulated_gpu(), chain=(b"\x30\x00", *simulated_gpu().chain[1:])),
        "cannot be read",
    ),
    "a certificate too large": (
        lambda: replace(simulated_gpu(), chain=(bytes(4_097), *simulated_gpu().chain[1:])),
        "holds 4097 bytes, more than 4096",
    ),
    "evidence of before its certificates": (lambda: replace(simulated_gpu(), at=NOW - 1), "valid from"),
    "a time that no certificate knows": (lambda: replace(simulated_gpu(), at=-1), "is not in 0"),
    "other firmware than the key is for": (
        lambda: of(SimulatedDevice(pki().provision(GPU_CHIP, FIRMWARE_DIGEST), GPU, {FIRMWARE_ID: bytes(48)})),
        "names firmware 000000.*, its key's certificate",
    ),
    "an old driver": (lambda: under(least_driver="0.0.2"), "driver has version 0.0.1, older than 0.0.2"),
    "an old VBIOS": (lambda: under(least_vbios="00.00.00.00.0a"), "VBIOS has version .*, older than"),
    "a driver that is not listed": (lambda: under(drivers=("0.0.2", "0.0.3")), "not 0.0.2 or 0.0.3"),
    "no reference values where they are required": (
        lambda: replace(under(rim_required=True), rims=()),
        "none are of the driver and VBIOS",
    ),
    "reference values of the driver alone": (
        lambda: replace(under(rim_required=True), rims=references()[:1]),
        "none are of the VBIOS",
    ),
    "reference values of another driver": (
        lambda: with_rims(sign_references(pki(), "0.0.2", {30: [measurements()[30]]})),
        "of version 0.0.2, neither the driver's 0.0.1 nor",
    ),
    "a measurement that is not the driver's": (
        lambda: with_rims(sign_references(pki(), DRIVER_VERSION, {30: [bytes(48)]})),
        "measurement 30 is .*, not 0000.* as the driver's",
    ),
    "reference values that claim a slot of the others": (
        lambda: with_rims(references()[1], sign_references(pki(), DRIVER_VERSION, {1: [measurements()[1]]})),
        r"both claim slots \[1\]",
    ),
    "reference values of the driver twice": (
        lambda: with_rims(references()[0], references()[0]),
        "of the same version",
    ),
    "reference values without a row": (
        lambda: with_rims(sign_references(pki(), DRIVER_VERSION, {})),
        "have no active slot",
    ),
    "three files of reference values": (lambda: with_rims(*references(), references()[0]), "3 files"),
    "reference values that somebody else signed": (
        lambda: with_rims(sign_references(STRANGER, DRIVER_VERSION, {30: [measurements()[30]]})),
        "the reference values' certificate chain ends in root",
    ),
    "tampered reference values": (lambda: with_rims(tampered()), "have digest .* as signed"),
    "a wrapped signature": (lambda: with_rims(wrapped()), "the reference values' signature is not in their root"),
    "a moved signature": (lambda: with_rims(moved()), "have digest .* as signed"),
    "two signatures": (lambda: with_rims(twice()), "2 signatures, not 1"),
    "a signature of a part": (
        lambda: with_rims(replaced('<ds:Reference URI="">', '<ds:Reference URI="#part">')),
        "not of the whole document",
    ),
    "a weaker digest": (
        lambda: with_rims(replaced("xmldsig-more#sha384", "xmldsig#sha1")),
        "uses .*sha1.*, not .*sha384",
    ),
    "a signature by a shared secret": (
        lambda: with_rims(replaced("xmldsig-more#ecdsa-sha384", "xmldsig-more#hmac-sha384")),
        "uses .*hmac",
    ),
    "a transform that takes more out": (
        lambda: with_rims(replaced("<ds:Transforms>", '<ds:Transforms><ds:Transform Algorithm="xpath"/>')),
        "holds other elements than",
    ),
    "a document type": (
        lambda: with_rims(b'<!DOCTYPE a [<!ENTITY b "c">]>' + references()[0]),
        "document type, a comment or a processing instruction",
    ),
    "a comment that splits a version": (
        lambda: with_rims(replaced("<Payload>", "<Payload><!-- -->")),
        "document type, a comment or a processing instruction",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_one_change_to_an_honest_gpu_is_refused_for_its_own_reason(name: str) -> None:
    attack, reason = ATTACKS[name]
    with pytest.raises(Refused, match=reason):
        attack().judge()


def test_the_honest_gpu_is_taken_as_simulated_with_its_reference_values() -> None:
    attestation = simulated_gpu().judge()
    assert (attestation.assurance, attestation.tcb) == ("simulated", "attested+rim")
    assert attestation.root == pki().root_digest


def exchanged(index: int, given: SimulatedDevice) -> FabricWorld:
    """The simulated machine with one GPU replaced."""
    gpus = list(simulated_world().gpus)
    gpus[index] = given.evidence(NONCE)
    return replace(simulated_world(), gpus=gpus)


def odd_gpu(fields: dict[int, bytes]) -> SimulatedDevice:
    """The first simulated GPU, saying something else."""
    return simulated()[0][0].saying(fields)


def odd_switches(fields: dict[int, bytes]) -> FabricWorld:
    """The simulated machine, its first switch saying something else."""
    first, *others = simulated()[1]
    return replace(simulated_world(), switches=[item.evidence(NONCE) for item in (first.saying(fields), *others)])


def exchanged_nonce() -> FabricWorld:
    """The simulated machine, one GPU having answered something else."""
    gpus = [simulated()[0][0].evidence(bytes(32)), *simulated_world().gpus[1:]]
    return replace(simulated_world(), gpus=gpus)


FABRIC: dict[str, tuple[Callable[[], FabricWorld], str]] = {
    "a missing GPU": (
        lambda: replace(genuine_machine(), gpus=machine()[0][1:]),
        "evidence of 7 GPUs, not 8",
    ),
    "a missing switch": (
        lambda: replace(genuine_machine(), switches=machine()[1][1:]),
        "evidence of 3 NVSwitches, not 4",
    ),
    "a GPU twice": (
        lambda: replace(genuine_machine(), gpus=(machine()[0][0], *machine()[0][:7])),
        "named twice in the machine's evidence: 412921ce551e4eeda3",
    ),
    "a switch twice": (
        lambda: replace(genuine_machine(), switches=(machine()[1][0], *machine()[1][:3])),
        "named twice",
    ),
    "a switch among the GPUs": (
        lambda: replace(genuine_machine(), gpus=(machine()[1][0], *machine()[0][1:])),
        "is a NVSwitch .*, not a GPU",
    ),
    "another nonce": (lambda: replace(genuine_machine(), nonce=NONCE), "answers nonce 4760e305"),
    "switches of another machine": (
        lambda: replace(
            simulated_world(),
            switches=[
                SimulatedDevice(pki().provision(SWITCH_CHIP, FIRMWARE_DIGEST), SWITCH).evidence(NONCE) for _ in range(4)
            ],
        ),
        "is linked to NVSwitches .*, attested are",
    ),
    "a GPU of another machine": (
        lambda: exchanged(
            0,
            SimulatedDevice(pki().provision(GPU_CHIP, FIRMWARE_DIGEST), GPU, {21: b"\xaa", 22: odd_gpu({}).fields[22]}),
        ),
        "connects GPUs .*, attested are",
    ),
    "a GPU without the mode": (lambda: exchanged(0, odd_gpu({21: b"\x55"})), "flag 55, not aa"),
    "a GPU of another mode": (lambda: exchanged(0, odd_gpu({36: b"\x01\x00"})), "feature flag 0100"),
    "a GPU with one link more": (
        lambda: exchanged(0, odd_gpu({PEERS: odd_gpu({}).fields[PEERS] + b"stranger"})),
        "is linked to NVSwitches",
    ),
    "a GPU with half a link": (lambda: exchanged(0, odd_gpu({PEERS: b"half"})), "names its links in 4 bytes"),
    "a switch that connects a stranger": (
        lambda: odd_switches({26: b"stranger" + simulated()[1][0].fields[26][8:]}),
        "connects GPUs .*, attested are",
    ),
    "a switch that names few GPUs": (lambda: odd_switches({26: b"stranger"}), "names its GPUs in 8 bytes, not 64"),
    "a switch under another name": (lambda: odd_switches({22: b"stranger"}), "calls itself .*, its certificate"),
    "two nonces": (
        lambda: replace(
            exchanged_nonce(), nonce=None, policy=NvidiaPolicy(roots=(pki().root_digest,), nonce_required=False)
        ),
        "2 nonces, not one",
    ),
    "a genuine machine with a simulated GPU": (
        lambda: replace(
            genuine_machine(),
            gpus=(simulated()[0][0].evidence(MACHINE_NONCE), *machine()[0][1:]),
            policy=NvidiaPolicy(roots=(pki().root_digest,)),
        ),
        "2 roots, not one",
    ),
}


@pytest.mark.parametrize("name", FABRIC)
def test_one_change_to_an_honest_machine_is_refused_for_its_own_reason(name: str) -> None:
    attack, reason = FABRIC[name]
    with pytest.raises(Refused, match=reason):
        attack().judge()


def test_the_honest_machine_is_taken_as_simulated() -> None:
    assert simulated_world().judge().assurance == "simulated"


def test_a_simulated_gpu_never_reads_hardware_whatever_is_pinned() -> None:
    world = replace(simulated_gpu(), policy=NvidiaPolicy(roots=(DEVICE_ROOT, pki().root_digest)))
    assert world.judge().assurance == "simulated"
    with pytest.raises(Refused, match="neither NVIDIA's"):
        replace(simulated_gpu(), policy=NvidiaPolicy()).judge()


def test_simulated_reference_values_do_not_serve_for_genuine_gpus() -> None:
    policy = NvidiaPolicy(roots=(pki().root_digest,))
    rim = sign_references(pki(), "550.90.07", {2: [b"any" * 16]})
    with pytest.raises(Refused, match="reference values are simulated, the device is hardware"):
        replace(genuine_gpu(), policy=policy, rims=(rim,)).judge()


def test_reference_values_are_no_other_signed_document() -> None:
    with pytest.raises(Refused, match="is not a SWID tag"):
        with_rims(sign_document(pki(), '<Other xmlns="urn:other">', "</Other>")).judge()


def taken(places: range, bit_of: Callable[[int], int]) -> list[int]:
    """Bytes of a genuine report at which a flipped bit leaves something that its key signed."""
    world, accepted = genuine_gpu(), []
    key = read_device(world.chain, NvidiaPolicy(), DEVICE_ROOT, NOW).key
    for at in places:
        try:
            report = Report.from_bytes(world.flipped(at, 1 << bit_of(at)).report)
            check_signed(key, report.signature, report.signed, "the report")
        except Refused:
            continue
        accepted.append(at)
    return accepted


def test_no_byte_of_a_genuine_report_can_be_changed() -> None:
    assert taken(range(len(genuine_gpu().report)), lambda at: at % 8) == []


@pytest.mark.slow
@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_a_genuine_report_can_be_flipped(bit: int) -> None:
    assert taken(range(len(genuine_gpu().report)), lambda _: bit) == []
