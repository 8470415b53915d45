"""Reference values (RIM): which measurements a version of driver or VBIOS has, as NVIDIA signs them.

A file is a SWID tag (ISO/IEC 19770-2:2015) after the TCG Reference Integrity Manifest Information Model 1.01,
with a measurement for each slot of the report. Where a slot's row is active, the report's value must be
one of the row's. Rows count slots from 0, reports from 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attestrain.appraise.nvidia.certificates import read_chain
from attestrain.appraise.nvidia.device import Device
from attestrain.appraise.nvidia.policy import REFERENCE_ROOT, VERSION, NvidiaPolicy
from attestrain.appraise.nvidia.report import HASH_SIZE, MAX_SLOTS, NVDEC, Report
from attestrain.appraise.nvidia.signed_xml import read_signed
from attestrain.appraise.nvidia.xml import Element
from attestrain.appraise.refused import require
from attestrain.appraise.signatures import P384, check_signed, public_key

SWID = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
"""Namespace of SWID tags."""
HASH = "http://www.w3.org/2001/04/xmlenc#sha384"
"""Namespace of the attributes that hold values."""
MAX_RIMS = 2
"""Files that a report is compared with: its driver's and its VBIOS's."""
MAX_ALTERNATIVES = 64
"""Most values of one slot: the genuine files of NVIDIA/nvtrust have 4 at most."""
NVDEC_SLOT, NVDEC_DISABLED = 36, b"\x55"
"""The slot of the first video decoder, and what the report says when that is switched off and measures nothing."""

_VALUE = re.compile(r"[0-9a-fA-F]{96}\Z")
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,3})\Z")


@dataclass(frozen=True, slots=True)
class Rim:
    """Reference values whose signature holds.

    Attributes:
        product: the chip that they are for, such as ``GH100``.
        version: of the driver or VBIOS that has them, in lower case.
        values: what active slots may hold, by slot from 1 on.
        assurance: ``hardware`` under NVIDIA's root, ``simulated`` under a pinned development root.
    """

    product: str
    version: str
    values: Mapping[int, frozenset[bytes]]
    assurance: str


def read_rims(files: Sequence[bytes], policy: NvidiaPolicy, at: int) -> list[Rim]:
    """Read files of reference values.

    Raises:
        Refused: more than two, or one is malformed or not signed under a known root by a signer valid at ``at``.
    """
    require(len(files) <= MAX_RIMS, f"{len(files)} files of reference values are more than {MAX_RIMS}")
    return [read_rim(data, policy, at) for data in files]


def read_rim(data: bytes, policy: NvidiaPolicy, at: int) -> Rim:
    """Read one file of reference values.

    Raises:
        Refused: malformed, or not signed under a known root by a signer valid at ``at``.
    """
    signed = read_signed(data)
    what = "the reference values' certificate chain"
    certificates, assurance, _ = read_chain(signed.chain, policy, REFERENCE_ROOT, at, what)
    check_signed(public_key(certificates[0], what, P384), signed.signature, signed.statement, "the reference values")
    require(signed.root.kind == (SWID, "SoftwareIdentity"), f"{signed.root.name[:64]} is not a SWID tag")
    meta, payload = _one(signed.root, "Meta"), _one(signed.root, "Payload")
    version = meta.attribute("colloquialVersion").lower()
    require(bool(VERSION.match(version)), f"the reference values are of version {version[:64]!r}")
    return Rim(meta.attribute("product"), version, _read_values(payload), assurance)


def _one(root: Element, name: str) -> Element:
    found = [child for child in root.elements if child.kind == (SWID, name)]
    require(len(found) == 1, f"the reference values hold {len(found)} elements {name}, not 1")
    return found[0]


def _read_values(payload: Element) -> dict[int, frozenset[bytes]]:
    require(len(payload.elements) <= MAX_SLOTS, f"the reference values have more than {MAX_SLOTS} rows")
    values: dict[int, frozenset[bytes]] = {}
    seen: set[int] = set()
    for row in payload.elements:
        known = row.kind == (SWID, "Resource") and row.attribute("type") == "Measurement"
        require(known, f"the reference values hold a row {row.name[:64]}")
        slot = _number(row, "index", MAX_SLOTS - 1) + 1
        require(slot not in seen, f"the reference values name slot {slot} twice")
        seen.add(slot)
        _number(row, "size", HASH_SIZE, least=HASH_SIZE)
        active = row.attribute("active")
        require(active in ("True", "False"), f"the reference values of slot {slot} are {active[:16]!r}")
        alternatives = range(_number(row, "alternatives", MAX_ALTERNATIVES, least=1))
        if active == "True":
            values[slot] = frozenset(_value(row, f"Hash{number}") for number in alternatives)
    return values


def _number(row: Element, name: str, most: int, least: int = 0) -> int:
    text = row.attribute(name)
    good = bool(_NUMBER.match(text)) and least <= int(text) <= most
    require(good, f"{name} {text[:16]!r} of the reference values is not in {least}..{most}")
    return int(text)


def _value(row: Element, name: str) -> bytes:
    text = row.attribute(name, HASH)
    require(bool(_VALUE.match(text)), f"{name} {text[:16]!r} of the reference values is not a SHA-384 digest")
    return bytes.fromhex(text)


def check_references(
    report: Report, device: Device, rims: Sequence[Rim], policy: NvidiaPolicy
) -> tuple[bool, list[str]]:
    """Compare a GPU's measurements with reference values, slot by slot.

    Returns:
        Whether both driver and VBIOS were compared, and what was not checked.

    Raises:
        Refused: a value differs, the files are not of this device, or the policy requires them and one is absent.
    """
    found: dict[str, Rim] = {}
    for rim in rims:
        found[_part(rim, report, device)] = rim
    require(len(found) == len(rims), "both files of reference values are of the same version")
    absent = [name for name in ("driver", "VBIOS") if name not in found]
    listed = " and ".join(absent)
    require(
        not policy.rim_required or not absent, f"the policy requires reference values, and none are of the {listed}"
    )
    unchecked = [f"measurements of the {name}: no reference values" for name in absent]
    _check_disjoint(found)
    return not absent, unchecked + [line for name, rim in found.items() for line in _compare(report, rim, name)]


def _part(rim: Rim, report: Report, device: Device) -> str:
    """What of the device the reference values are of."""
    chip = device.model.partition(" ")[0]
    require(rim.product == chip, f"the reference values are of a {rim.product[:32]!r}, not a {chip}")
    same = rim.assurance == device.assurance
    require(same, f"the reference values are {rim.assurance}, the device is {device.assurance}")
    parts = {report.driver: "driver", report.vbios: "VBIOS"}
    versions = f"neither the driver's {report.driver} nor the VBIOS's {report.vbios}"
    require(rim.version in parts, f"the reference values are of version {rim.version}, {versions}")
    return parts[rim.version]


def _check_disjoint(found: Mapping[str, Rim]) -> None:
    slots = [slot for rim in found.values() for slot in rim.values]
    twice = sorted({slot for slot in slots if slots.count(slot) > 1})
    require(not twice, f"the reference values of driver and VBIOS both claim slots {twice}")


def _compare(report: Report, rim: Rim, name: str) -> list[str]:
    require(bool(rim.values), f"the reference values of the {name} have no active slot")
    unchecked = []
    for slot, allowed in sorted(rim.values.items()):
        if slot == NVDEC_SLOT and report.fields.get(NVDEC) == NVDEC_DISABLED:
            unchecked.append(f"measurement {slot}: the video decoder is switched off")
            continue
        value = report.measurements.get(slot, b"")
        listed = " or ".join(sorted(item.hex() for item in allowed)[:4])
        require(value in allowed, f"measurement {slot} is {value.hex() or 'absent'}, not {listed} as the {name}'s")
    return unchecked
