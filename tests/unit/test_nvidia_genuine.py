"""Reports, reference values and a whole machine that others published."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from attestrain.appraise.nvidia.files import read_devices
from attestrain.appraise.nvidia.gpu import is_gpu
from attestrain.appraise.nvidia.policy import DEVICE_ROOT, NvidiaPolicy
from attestrain.appraise.nvidia.report import NVDEC, PROTECTED, Report
from attestrain.appraise.nvidia.rim import read_rim
from attestrain.appraise.refused import Refused
from attestrain.errors import FormatError
from tests.unit.nvidia_world import (
    MACHINE_NONCE,
    NOW,
    SIGNERS_TIME,
    genuine,
    genuine_gpu,
    genuine_machine,
    hopper,
    machine,
    pki,
)

DRIVER_RIM, VBIOS_RIM = "Driver_RIM_test_no_gpu.swidtag", "1010_0200_882_96005E0001_PROD.swidtag"


def test_a_genuine_gpu_is_hardware_and_its_reference_values_are_said_to_be_missing() -> None:
    attestation = genuine_gpu().judge()
    assert (attestation.assurance, attestation.root, attestation.tcb) == ("hardware", DEVICE_ROOT, "attested")
    assert attestation.platform == "41431d480fe5e87274"
    assert attestation.report_data == hopper()[0][4:36]
    missing = {f"measurements of the {part}: no reference values" for part in ("driver", "VBIOS")}
    assert missing <= set(attestation.unchecked)


def test_a_genuine_report_reads_as_another_verifier_reads_it() -> None:
    report = Report.from_bytes(hopper()[0])
    claims = json.loads(genuine("hopperAttestationReport-claims.txt"))
    assert {str(slot): value.hex() for slot, value in report.measurements.items()} == claims["measurements"]
    config = claims["config"]
    assert (report.driver, report.vbios) == (config["driver_version"], config["vbios_version"])
    for name, number in {"chip_sku": 15, "chip_sku_mod": 16, "project": 17, "project_sku": 18}.items():
        assert report.text(number) == config[name]
    for name, number in {"board_id": 14, "cpr_info": 13, "gpu_info": 4, "fwid": 20, "project_sku_mod": 19}.items():
        assert report.fields[number].hex() == config[name]
    assert (report.fields[NVDEC], report.fields[PROTECTED]) == (b"U", b"U")


def test_a_genuine_machine_is_hardware_and_its_devices_know_each_other() -> None:
    fabric = genuine_machine().judge()
    assert (fabric.assurance, fabric.nonce) == ("hardware", MACHINE_NONCE)
    assert [len(fabric.gpus), len(fabric.switches)] == [8, 4]
    assert len({item.platform for item in (*fabric.gpus, *fabric.switches)}) == 12
    assert {item.format for item in fabric.switches} == {"nvidia-switch-report"}


def test_without_a_nonce_genuine_evidence_passes_only_where_the_policy_lets_it() -> None:
    world = replace(genuine_machine(), nonce=None)
    with pytest.raises(Refused, match="no nonce was given"):
        world.judge()
    fabric = replace(world, policy=NvidiaPolicy(nonce_required=False)).judge()
    assert any("freshness" in line for line in fabric.gpus[0].unchecked)


def test_genuine_evidence_is_refused_before_its_time() -> None:
    with pytest.raises(Refused, match="valid from 2022-03-01T00:00:00Z to 9999-12-31T23:59:59Z, not at 2022-01-20"):
        replace(genuine_gpu(), at=1_642_636_800).judge()


def test_pinning_nvidias_root_for_development_does_not_make_it_simulated() -> None:
    world = replace(genuine_gpu(), policy=NvidiaPolicy(roots=(DEVICE_ROOT,)))
    assert world.judge().assurance == "hardware"


def test_a_policy_of_development_roots_alone_refuses_hardware() -> None:
    policy = NvidiaPolicy(roots=(pki().root_digest,), hardware=False)
    with pytest.raises(Refused, match="development roots alone"):
        replace(genuine_gpu(), policy=policy).judge()


@pytest.mark.parametrize(
    ("name", "version", "slots"),
    [
        (DRIVER_RIM, "545.00", {8, *range(22, 42)}),
        (VBIOS_RIM, "96.00.5e.00.01", {*range(1, 8), *range(9, 14)}),
    ],
)
def test_genuine_reference_values_verify_at_their_signers_time(name: str, version: str, slots: set[int]) -> None:
    rim = read_rim(genuine(name), NvidiaPolicy(), SIGNERS_TIME)
    assert (rim.product, rim.version, rim.assurance) == ("GH100", version, "hardware")
    assert set(rim.values) == slots


@pytest.mark.parametrize("name", [DRIVER_RIM, VBIOS_RIM])
def test_genuine_reference_values_are_refused_once_their_signer_has_expired(name: str) -> None:
    with pytest.raises(Refused, match="valid from 2023-"):
        read_rim(genuine(name), NvidiaPolicy(), NOW)


@pytest.mark.parametrize(("name", "version"), [(DRIVER_RIM, "545.00"), (VBIOS_RIM, "96.00.5e.00.01")])
def test_genuine_reference_values_of_another_version_are_refused(name: str, version: str) -> None:
    reason = f"of version {version}, neither the driver's 550.90.07 nor the VBIOS's 96.00.9f.00.01"
    with pytest.raises(Refused, match=re.escape(reason)):
        replace(genuine_gpu(), at=SIGNERS_TIME, rims=(genuine(name),)).judge()


def test_genuine_reference_values_do_not_serve_for_what_they_do_not_describe() -> None:
    text = genuine(VBIOS_RIM)
    first, last = 0, len(text) - 1
    for at in (*range(first, last, 997), text.index(b"c3f65ef79a19")):
        changed = bytearray(text)
        changed[at] ^= 1
        with pytest.raises(Refused):
            read_rim(bytes(changed), NvidiaPolicy(), SIGNERS_TIME)


def test_claims_that_another_verifier_made_are_no_evidence() -> None:
    with pytest.raises(FormatError, match="what another verifier claims"):
        read_devices(genuine("gpu_attestation_h100.json"))


def test_reports_are_told_from_other_evidence() -> None:
    gpus, switches = machine()
    assert all(is_gpu(item.report) for item in (*gpus, *switches))
    assert not any(is_gpu(data) for data in (b"", b"\x11\xe0", b"\x04\x00\x02\x00\x81\x00\x00\x00"))
