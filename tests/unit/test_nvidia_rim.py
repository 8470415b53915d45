"""Reference values of simulated devices, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attestrain.appraise.nvidia.report import NVDEC
from attestrain.appraise.nvidia.rim import NVDEC_DISABLED, NVDEC_SLOT, SWID, read_rim
from attestrain.appraise.refused import Refused
from attestrain.attester.nvidia import DRIVER_VERSION, measurements
from attestrain.attester.nvidia_rim import sign_document, sign_references
from tests.unit.nvidia_world import NONCE, GpuWorld, pki, simulated, simulated_gpu

HASH_ATTRIBUTES = f'h:Hash0="{"00" * 48}" size="48"'
ROW = f'<Resource type="Measurement" index="0" active="True" alternatives="1" {HASH_ATTRIBUTES}/>'
META = '<Meta colloquialVersion="0.0.1" product="GH100"/>'


def row(**changes: str) -> str:
    """The row with other attributes."""
    values = {"index": "0", "alternatives": "1", "size": "48"}
    text = ROW
    for name, value in changes.items():
        text = text.replace(f'{name}="{values[name]}"', f'{name}="{value}"')
    return text


def signed(body: str) -> bytes:
    """Any content under a good signature."""
    head = f'<SoftwareIdentity xmlns="{SWID}" xmlns:h="http://www.w3.org/2001/04/xmlenc#sha384">{body}'
    return sign_document(pki(), head, "</SoftwareIdentity>")


def with_rim(rim: bytes) -> GpuWorld:
    return replace(simulated_gpu(), rims=(rim,))


def test_any_of_a_slots_values_will_do() -> None:
    value = measurements()[30]
    attestation = with_rim(sign_references(pki(), DRIVER_VERSION, {30: [bytes(48), value]})).judge()
    assert attestation.tcb == "attested"
    assert "measurements of the VBIOS: no reference values" in attestation.unchecked


def test_a_video_decoder_that_is_switched_off_is_not_compared() -> None:
    world = with_rim(sign_references(pki(), DRIVER_VERSION, {NVDEC_SLOT: [bytes(48)]}))
    with pytest.raises(Refused, match="measurement 36 is"):
        world.judge()
    off = simulated()[0][0].saying({NVDEC: NVDEC_DISABLED}).evidence(NONCE)
    attestation = replace(world, report=off.report).judge()
    assert "measurement 36: the video decoder is switched off" in attestation.unchecked


def test_reference_values_of_another_chip_are_refused() -> None:
    other = signed(f"{META.replace('GH100', 'GB100')}<Payload>{ROW}</Payload>")
    with pytest.raises(Refused, match="are of a 'GB100', not a GH100"):
        with_rim(other).judge()


MALFORMED = {
    "no meta": (f"<Payload>{ROW}</Payload>", "0 elements Meta, not 1"),
    "two payloads": (f"{META}<Payload/><Payload/>", "2 elements Payload, not 1"),
    "no version": (f'<Meta product="GH100"/><Payload>{ROW}</Payload>', "no attribute colloquialVersion"),
    "no such version": (f"{META.replace('0.0.1', 'new')}<Payload/>", "of version 'new'"),
    "another row": (f'{META}<Payload><Other type="Measurement"/></Payload>', "hold a row Other"),
    "a row twice": (f"{META}<Payload>{ROW}{ROW}</Payload>", "name slot 1 twice"),
    "too many rows": (f"{META}<Payload>{ROW * 65}</Payload>", "more than 64 rows"),
    "a row beyond the report": (f"{META}<Payload>{row(index='64')}</Payload>", "index '64'"),
    "a number that is none": (f"{META}<Payload>{row(index='0x')}</Payload>", "index '0x'"),
    "neither active nor not": (f"{META}<Payload>{ROW.replace('True', 'true')}</Payload>", "slot 1 are 'true'"),
    "another hash": (f"{META}<Payload>{row(size='32')}</Payload>", "size '32'"),
    "no digest": (f"{META}<Payload>{ROW.replace('00' * 48, '00')}</Payload>", "'00' .* is not a SHA-384 digest"),
    "a value missing": (
        f"{META}<Payload>{row(alternatives='2')}</Payload>",
        "no attribute Hash1",
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_reference_values_are_refused_however_well_signed(name: str) -> None:
    body, reason = MALFORMED[name]
    with pytest.raises(Refused, match=reason):
        read_rim(signed(body), simulated_gpu().policy, simulated_gpu().at)
