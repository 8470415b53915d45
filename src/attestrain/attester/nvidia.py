"""Simulated GPUs and NVSwitches: byte-valid SPDM reports without hardware, under a development root.

They measure nothing, and nothing protects their keys: what they say is worth as much as their owner. Verdicts call it
``simulated``. A machine has eight GPUs and four NVSwitches that know each other, as in Protected PCIe mode.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Mapping, Sequence

from attestrain.appraise.nvidia.device import GPU, SWITCH
from attestrain.appraise.nvidia.fabric import (
    GPU_COUNT,
    PROTECTED_FEATURE,
    PROTECTED_ON,
    SWITCH_COUNT,
    DeviceEvidence,
)
from attestrain.appraise.nvidia.report import (
    DMTF,
    DRIVER,
    FEATURE,
    FIRMWARE_ID,
    GPUS,
    HASH_SIZE,
    MAX_SLOTS,
    NONCE_SIZE,
    NVDEC,
    PEERS,
    PRODUCT,
    PROTECTED,
    REQUEST,
    RESPONSE,
    VBIOS,
)
from attestrain.attester.nvidia_pki import DeviceKey, NvidiaPki, sign_raw
from attestrain.errors import UsageError

GPU_CHIP, SWITCH_CHIP = "GH100", "LS_10"
"""What simulated devices are: Hopper, and its NVSwitch."""
FIRMWARE_DIGEST = hashlib.sha384(b"attestrain development GPU firmware").digest()
DRIVER_VERSION, VBIOS_VERSION = "0.0.1", "00.00.00.00.01"
"""Versions that no genuine driver or VBIOS has."""
NVDEC_ON = b"\xaa"
MUTABLE_FIRMWARE = 1
"""Type of every measurement, as of genuine reports (DSP0274 1.1, "DMTF measurement specification format")."""
PORTS = bytes(64)
"""Which port of a switch leads to which GPU: the simulation has no ports."""


class SimulatedDevice:
    """A GPU or an NVSwitch.

    Args:
        signer: what a network's `NvidiaPki` provisioned.
        kind: `GPU` or `SWITCH`.
        fields: opaque fields by number, besides those that all devices have.
    """

    def __init__(self, signer: DeviceKey, kind: str = GPU, fields: Mapping[int, bytes] | None = None) -> None:
        self.signer = signer
        self.kind = kind
        self.fields = {**(_gpu_fields(signer) if kind == GPU else _switch_fields(signer)), **(fields or {})}

    @property
    def pdi(self) -> bytes:
        """The device's name in the fabric."""
        return self.signer.pdi

    def saying(self, fields: Mapping[int, bytes]) -> SimulatedDevice:
        """The same device, with other opaque fields in its reports."""
        return SimulatedDevice(self.signer, self.kind, {**self.fields, **fields})

    def evidence(self, nonce: bytes) -> DeviceEvidence:
        """A report that answers ``nonce``, with the device's certificates.

        Raises:
            UsageError: the nonce has not 32 bytes.
        """
        if len(nonce) != NONCE_SIZE:
            raise UsageError(f"a nonce of {len(nonce)} bytes is not {NONCE_SIZE}")
        blocks = b"".join(_block(slot, value) for slot, value in measurements().items())
        opaque = b"".join(struct.pack("<HH", number, len(value)) + value for number, value in self.fields.items())
        signed = REQUEST + nonce + b"\0" + RESPONSE + bytes((0, 0, MAX_SLOTS)) + len(blocks).to_bytes(3, "little")
        signed += blocks + secrets.token_bytes(NONCE_SIZE) + struct.pack("<H", len(opaque)) + opaque
        return DeviceEvidence(signed + sign_raw(self.signer.key, signed), self.signer.chain, self.kind)


def measurements() -> dict[int, bytes]:
    """What simulated devices measure: a digest of each slot's name."""
    return {slot: hashlib.sha384(b"development measurement %d" % slot).digest() for slot in range(1, MAX_SLOTS + 1)}


def simulated_machine(pki: NvidiaPki) -> tuple[list[SimulatedDevice], list[SimulatedDevice]]:
    """Eight GPUs and four NVSwitches that name each other."""
    keys = [pki.provision(GPU_CHIP, FIRMWARE_DIGEST) for _ in range(GPU_COUNT)]
    switch_keys = [pki.provision(SWITCH_CHIP, FIRMWARE_DIGEST) for _ in range(SWITCH_COUNT)]
    links = b"".join(key.pdi[::-1] for key in switch_keys)
    protected = {PROTECTED: PROTECTED_ON, PEERS: links, FEATURE: PROTECTED_FEATURE}
    connected = {GPUS: b"".join(key.pdi for key in keys) + PORTS}
    gpus = [SimulatedDevice(key, GPU, protected) for key in keys]
    return gpus, [SimulatedDevice(key, SWITCH, connected) for key in switch_keys]


def answers(devices: Sequence[SimulatedDevice], nonce: bytes) -> list[DeviceEvidence]:
    """What each device gives for ``nonce``."""
    return [device.evidence(nonce) for device in devices]


def _block(slot: int, value: bytes) -> bytes:
    return struct.pack("<BBHBH", slot, DMTF, HASH_SIZE + 3, MUTABLE_FIRMWARE, HASH_SIZE) + value


def _gpu_fields(signer: DeviceKey) -> dict[int, bytes]:
    texts = {DRIVER: DRIVER_VERSION, **dict.fromkeys(PRODUCT.values(), "SIM")}
    fields = {number: text.encode() + b"\0" for number, text in texts.items()}
    *numbers, last = (int(part, 16) for part in VBIOS_VERSION.split("."))
    vbios = bytes(reversed(numbers)) + bytes((last, 0, 0, 0))
    return {VBIOS: vbios, **fields, NVDEC: NVDEC_ON, FIRMWARE_ID: signer.firmware, PROTECTED: b"\x55"}


def _switch_fields(signer: DeviceKey) -> dict[int, bytes]:
    return {VBIOS: VBIOS_VERSION.encode(), PEERS: signer.pdi}
