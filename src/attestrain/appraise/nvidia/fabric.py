"""A machine of eight GPUs and four NVSwitches in Protected PCIe mode: one answer, and nobody else on the links.

NVLink carries plain text between Hopper GPUs, so every GPU says which NVSwitches it is linked to, and every NVSwitch
which GPUs it connects. They must be exactly those that are attested here, by the identities in their certificates.
NVIDIA/nvtrust (ppcie-verifier-sdk-cpp, validate_topology.py) counts the GPUs that switches name; here they are compared
one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.nvidia.device import GPU, PDI_SIZE, SWITCH
from attestrain.appraise.nvidia.gpu import Judged, judge
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.appraise.nvidia.report import FEATURE, GPUS, PEERS, PROTECTED
from attestrain.appraise.nvidia.rim import read_rims
from attestrain.appraise.refused import require

GPU_COUNT, SWITCH_COUNT = 8, 4
"""Devices of a machine: HGX H100, the only one whose NVSwitches attest."""
PROTECTED_ON = b"\xaa"
"""What a GPU says in Protected PCIe mode."""
PROTECTED_FEATURE = b"\x02\x00"
"""The feature flag of that mode, where a report has one: 0 is a single GPU, 1 several."""
UNLINKED = bytes(PDI_SIZE)
"""What a GPU names at a link that is switched off."""


@dataclass(frozen=True, slots=True)
class DeviceEvidence:
    """What one device gives.

    Attributes:
        report: SPDM request and response.
        chain: certificates (DER), attestation key first, root last.
        kind: what whoever sent it says that it is, `GPU` or `SWITCH`; the certificates decide.
    """

    report: bytes
    chain: tuple[bytes, ...]
    kind: str = GPU


@dataclass(frozen=True, slots=True)
class Fabric:
    """A machine whose devices are all attested and linked to one another alone.

    Attributes:
        assurance: ``hardware`` or ``simulated``, of all of them.
        nonce: what all of them answered.
        gpus, switches: the result of each, in the order given.
    """

    assurance: str
    nonce: bytes
    gpus: tuple[Attestation, ...]
    switches: tuple[Attestation, ...]


def appraise_fabric(
    gpus: Sequence[DeviceEvidence],
    switches: Sequence[DeviceEvidence],
    policy: NvidiaPolicy,
    at: int,
    nonce: bytes | None,
    rims: Sequence[bytes] = (),
) -> Fabric:
    """Judge the devices of a machine, and the links between them.

    Args:
        gpus: what the GPUs gave.
        switches: what the NVSwitches gave.
        policy: what is asked of each; its list of devices, if any, names NVSwitches too.
        at: when they gave it, in seconds since 1970.
        nonce: the 32 bytes that all must carry; None, where the policy allows it, asks only that all carry the same.
        rims: signed files of reference values, of the GPUs' driver and of their VBIOS.

    Raises:
        Refused: naming what was observed and what is required.
    """
    for what, given, required in (("GPUs", gpus, GPU_COUNT), ("NVSwitches", switches, SWITCH_COUNT)):
        require(len(given) == required, f"the machine has evidence of {len(given)} {what}, not {required}")
    references = read_rims(rims, policy, at)
    judged = [judge(item.report, item.chain, policy, at, nonce, references, GPU) for item in gpus]
    linking = [judge(item.report, item.chain, policy, at, nonce, (), SWITCH) for item in switches]
    _check_distinct([*judged, *linking])
    _check_same([*judged, *linking])
    for device in judged:
        _check_mode(device)
        _check_links(device, linking)
    for switch in linking:
        _check_connected(switch, judged)
    attested = [item.attestation for item in (*judged, *linking)]
    first = attested[0]
    return Fabric(first.assurance, first.report_data, tuple(attested[:GPU_COUNT]), tuple(attested[GPU_COUNT:]))


def _check_distinct(devices: Sequence[Judged]) -> None:
    serials = [item.device.serial for item in devices]
    twice = sorted({serial for serial in serials if serials.count(serial) > 1})
    require(not twice, f"devices are named twice in the machine's evidence: {', '.join(twice)}")


def _check_same(devices: Sequence[Judged]) -> None:
    """All answer one nonce, under one root."""
    for what, values in (
        ("nonces", {item.report.nonce for item in devices}),
        ("roots", {item.device.root for item in devices}),
    ):
        listed = ", ".join(sorted(value.hex() for value in values))
        require(len(values) == 1, f"the machine's devices have {len(values)} {what}, not one: {listed}")


def _check_mode(gpu: Judged) -> None:
    who, fields = f"GPU {gpu.device.serial}", gpu.report.fields
    flag = fields.get(PROTECTED, b"")
    on = flag == PROTECTED_ON
    require(on, f"{who} has Protected PCIe flag {flag.hex() or 'none'}, not {PROTECTED_ON.hex()}")
    feature = fields.get(FEATURE, PROTECTED_FEATURE)
    same = feature == PROTECTED_FEATURE
    require(same, f"{who} has feature flag {feature.hex()}, not {PROTECTED_FEATURE.hex()}")


def _check_links(gpu: Judged, switches: Sequence[Judged]) -> None:
    """The GPU's links lead to these NVSwitches, whose names it spells backwards, and to nothing else."""
    field = gpu.report.fields.get(PEERS, b"")
    require(len(field) % PDI_SIZE == 0, f"GPU {gpu.device.serial} names its links in {len(field)} bytes")
    linked = {item[::-1] for item in _split(field) if item != UNLINKED}
    attested = {switch.device.pdi for switch in switches}
    reason = f"GPU {gpu.device.serial} is linked to NVSwitches {_listed(linked)}"
    require(linked == attested, f"{reason}, attested are {_listed(attested)}")


def _check_connected(switch: Judged, gpus: Sequence[Judged]) -> None:
    """The NVSwitch connects these GPUs, by name, and no others. Behind the names stands which port leads to which."""
    field = switch.report.fields.get(GPUS, b"")
    size = GPU_COUNT * PDI_SIZE
    require(len(field) >= size, f"NVSwitch {switch.device.serial} names its GPUs in {len(field)} bytes, not {size}")
    connected = set(_split(field[:size]))
    attested = {gpu.device.pdi for gpu in gpus}
    reason = f"NVSwitch {switch.device.serial} connects GPUs {_listed(connected)}"
    require(connected == attested, f"{reason}, attested are {_listed(attested)}")


def _split(field: bytes) -> list[bytes]:
    return [field[at : at + PDI_SIZE] for at in range(0, len(field), PDI_SIZE)]


def _listed(names: Iterable[bytes]) -> str:
    return ", ".join(sorted(name.hex() for name in names)) or "none"
