"""One device judged: who vouches for it, what it signed, which firmware it runs, and whether that is as it should be.

What holds is that a genuine device with that firmware answered this nonce. It does not say which computer it sits in:
whoever relays the nonce to a genuine GPU elsewhere gets an honest answer (docs/evidence-nvidia.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.nvidia.device import GPU, SWITCH, Device, read_device
from attestrain.appraise.nvidia.policy import DEVICE_ROOT, VERSION, NvidiaPolicy
from attestrain.appraise.nvidia.report import FIRMWARE_ID, PEERS, PRODUCT, REQUEST, Report
from attestrain.appraise.nvidia.rim import Rim, check_references, read_rims
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import check_signed

ATTESTED, ATTESTED_RIM = "attested", "attested+rim"
"""What an attestation's `tcb` reads: who signed, or also that every reference value of driver and VBIOS holds."""
FORMATS = {GPU: "nvidia-gpu-report", SWITCH: "nvidia-switch-report"}
RELAY = "that the device sits in this machine: a report can be relayed from elsewhere"
SWITCH_RIM = "measurements of the NVSwitch: reference values of switches are not read"
LINKED = "who sits on its links: it is one of several GPUs, whose machine is judged as a whole"
REVOCATION = "revocation: no OCSP answers are read"


@dataclass(frozen=True, slots=True)
class Judged:
    """A device that passed, with what was read on the way.

    Attributes:
        report: its report.
        device: who vouches for it.
        attestation: the result.
    """

    report: Report
    device: Device
    attestation: Attestation


def is_gpu(data: bytes) -> bool:
    """Whether ``data`` begins as a report of a GPU or an NVSwitch. Says nothing of whether it holds."""
    return data.startswith(REQUEST)


def appraise_gpu(
    report: bytes,
    chain: tuple[bytes, ...],
    policy: NvidiaPolicy,
    at: int,
    nonce: bytes | None,
    rims: Sequence[bytes] = (),
) -> Attestation:
    """Judge the report of one GPU.

    Args:
        report: SPDM request and response, as the driver gives them.
        chain: certificates (DER), attestation key first, root last.
        policy: what is asked of it.
        at: when it was given, in seconds since 1970: the time of the block that took it.
        nonce: the 32 bytes that it must carry; None leaves that to whoever reads what is unchecked.
        rims: signed files of reference values, of its driver and of its VBIOS.

    Raises:
        Refused: naming what was observed and what is required.
    """
    found = judge(report, chain, policy, at, nonce, read_rims(rims, policy, at), GPU)
    if PEERS not in found.report.fields:
        return found.attestation
    return replace(found.attestation, unchecked=(*found.attestation.unchecked, LINKED))


def judge(
    data: bytes,
    chain: tuple[bytes, ...],
    policy: NvidiaPolicy,
    at: int,
    nonce: bytes | None,
    rims: Sequence[Rim],
    kind: str,
) -> Judged:
    """`appraise_gpu`, for devices of either ``kind`` and with reference values that have been read.

    Raises:
        Refused: naming what was observed and what is required.
    """
    report = Report.from_bytes(data)
    device = read_device(chain, policy, DEVICE_ROOT, at)
    require(device.kind == kind, f"the device is a {device.kind} ({device.model}), not a {kind}")
    check_signed(device.key, report.signature, report.signed, "the report")
    unchecked = [*_check_nonce(report, policy, nonce), *_check_firmware(report, device)]
    _check_identity(report, device)
    _check_policy(report, device, policy)
    complete, missing = check_references(report, device, rims, policy) if kind == GPU else (False, [SWITCH_RIM])
    proven, left = _proven(report, device, nonce, complete), (*unchecked, *missing, REVOCATION, RELAY)
    return Judged(report, device, _attestation(report, device, complete, proven, left))


def _attestation(
    report: Report, device: Device, complete: bool, proven: Sequence[str], unchecked: Sequence[str]
) -> Attestation:
    return Attestation(
        format=FORMATS[device.kind],
        assurance=device.assurance,
        root=device.root,
        platform=device.serial,
        signed=report.identity,
        report_data=report.nonce,
        measurements={f"slot{slot:02d}": value for slot, value in report.measurements.items()},
        tcb=ATTESTED_RIM if complete else ATTESTED,
        proven=tuple(proven),
        unchecked=tuple(unchecked),
    )


def _proven(report: Report, device: Device, nonce: bytes | None, complete: bool) -> list[str]:
    firmware = "VBIOS" if device.kind == GPU else "firmware"
    stated = {"driver": report.driver, firmware: report.vbios}
    stated |= {name: report.text(number) for name, number in PRODUCT.items()}
    lines = [f"{device.kind} {device.model}, serial number {device.serial}, signed the report"]
    lines += [", ".join(f"{name} {value}" for name, value in stated.items() if value)]
    lines += [f"the report answers nonce {report.nonce.hex()}"] if nonce is not None else []
    lines += ["every reference value of driver and VBIOS holds"] if complete else []
    return lines


def _check_nonce(report: Report, policy: NvidiaPolicy, nonce: bytes | None) -> list[str]:
    """The report answers this nonce. Returns what was not checked."""
    if nonce is None:
        require(not policy.nonce_required, "no nonce was given to compare with, and the policy requires one")
        return [f"freshness: nobody said which nonce is right; the report carries {report.nonce.hex()}"]
    same = report.nonce == nonce
    require(same, f"the report answers nonce {report.nonce.hex()}, not {nonce.hex()}")
    return []


def _check_firmware(report: Report, device: Device) -> list[str]:
    """The report comes from the firmware for which its key was made. Returns what was not checked."""
    if FIRMWARE_ID in report.fields:
        stated = report.fields[FIRMWARE_ID]
        reason = f"the report names firmware {stated.hex()}, its key's certificate {device.firmware.hex() or 'none'}"
        require(bool(stated) and stated == device.firmware, reason)
        return []
    return ["that the attestation key belongs to the firmware that runs: the report does not name it"]


def _check_identity(report: Report, device: Device) -> None:
    """An NVSwitch, which states its own name, is the one that its certificate names. GPUs do not state theirs."""
    if device.kind == SWITCH:
        stated, required = report.fields.get(PEERS, b""), device.pdi
        require(stated == required, f"the NVSwitch calls itself {stated.hex()}, its certificate {required.hex()}")


def _check_policy(report: Report, device: Device, policy: NvidiaPolicy) -> None:
    taken = not policy.devices or device.serial in policy.devices
    require(taken, f"device {device.serial} is not on the policy's list of {len(policy.devices)}")
    if device.kind == GPU:
        _check_version("driver", report.driver, policy.least_driver, policy.drivers, 10)
        _check_version("VBIOS", report.vbios, policy.least_vbios, policy.vbioses, 16)


def _check_version(what: str, observed: str, least: str, listed: tuple[str, ...], base: int) -> None:
    require(bool(VERSION.match(observed)), f"the {what}'s version {observed[:64]!r} is not numbers between dots")
    require(not listed or observed in listed, f"the {what} has version {observed}, not {' or '.join(listed)}")
    if least:
        new = _numbers(observed, base) >= _numbers(least, base)
        require(new, f"the {what} has version {observed}, older than {least}")


def _numbers(version: str, base: int) -> tuple[int, ...]:
    try:
        return tuple(int(part, base) for part in version.split("."))
    except ValueError as error:
        raise Refused(f"version {version} is not decimal numbers between dots") from error
