"""A genuine and a simulated world of GPU evidence, in which tests change one thing."""

from __future__ import annotations

import functools
import lzma
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.nvidia.fabric import DeviceEvidence, Fabric, appraise_fabric
from attestrain.appraise.nvidia.files import read_devices, read_pem_chain
from attestrain.appraise.nvidia.gpu import appraise_gpu
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.attester.nvidia import (
    DRIVER_VERSION,
    VBIOS_VERSION,
    SimulatedDevice,
    answers,
    measurements,
    simulated_machine,
)
from attestrain.attester.nvidia_pki import NvidiaPki
from attestrain.attester.nvidia_rim import sign_references

DATA = Path(__file__).parents[1] / "data/nvidia"
NOW = 1_780_000_000
"""When everything happens: in the middle of 2026."""
SIGNERS_TIME = 1_700_000_000
"""When the signers of the genuine reference values were valid: in November 2023."""
NONCE = bytes(range(32))
DRIVER_SLOTS = range(21, 65)
"""Slots that the simulated driver's reference values claim; the VBIOS's claim the others."""


def genuine(name: str) -> bytes:
    """A published file."""
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


@functools.cache
def hopper() -> tuple[bytes, tuple[bytes, ...]]:
    """Report and certificates of one genuine H100."""
    return bytes.fromhex(genuine("hopperAttestationReport.txt").decode()), read_pem_chain(
        genuine("hopperCertChain.txt")
    )


@functools.cache
def machine() -> tuple[tuple[DeviceEvidence, ...], tuple[DeviceEvidence, ...]]:
    """What the eight GPUs and four NVSwitches of a genuine machine gave."""
    return read_devices(genuine("gpu_evidence.json")), read_devices(genuine("switch_evidence.json"))


MACHINE_NONCE = bytes.fromhex("4760e30534a0621357d458b1a7936551b5dc4cd1e69718adf7ed9fb0252a537e")
"""What the genuine machine answered."""


@functools.cache
def pki() -> NvidiaPki:
    """The network's development PKI."""
    return NvidiaPki(NOW)


@functools.cache
def simulated() -> tuple[list[SimulatedDevice], list[SimulatedDevice]]:
    """A simulated machine."""
    return simulated_machine(pki())


@functools.cache
def references() -> tuple[bytes, bytes]:
    """Reference values of the simulated driver and VBIOS."""
    values = {slot: [value] for slot, value in measurements().items()}
    driver = {slot: allowed for slot, allowed in values.items() if slot in DRIVER_SLOTS}
    vbios = {slot: [bytes(48), *allowed] for slot, allowed in values.items() if slot not in DRIVER_SLOTS}
    return sign_references(pki(), DRIVER_VERSION, driver), sign_references(pki(), VBIOS_VERSION, vbios)


@dataclass(frozen=True)
class GpuWorld:
    """Evidence of one GPU, and everything that it is judged by."""

    report: bytes
    chain: tuple[bytes, ...]
    policy: NvidiaPolicy = field(default_factory=NvidiaPolicy)
    at: int = NOW
    nonce: bytes | None = NONCE
    rims: tuple[bytes, ...] = ()

    def judge(self) -> Attestation:
        """What the evidence shows."""
        return appraise_gpu(self.report, self.chain, self.policy, self.at, self.nonce, self.rims)

    def flipped(self, at: int, bits: int = 1) -> GpuWorld:
        """With other bits at one byte of the report."""
        report = bytearray(self.report)
        report[at] ^= bits
        return replace(self, report=bytes(report))


@functools.cache
def genuine_gpu() -> GpuWorld:
    """The genuine H100, at any time since."""
    report, chain = hopper()
    return GpuWorld(report, chain, nonce=report[4:36])


@functools.cache
def simulated_gpu() -> GpuWorld:
    """A simulated GPU with all its reference values."""
    given = simulated()[0][0].evidence(NONCE)
    return GpuWorld(given.report, given.chain, NvidiaPolicy(roots=(pki().root_digest,)), rims=references())


@dataclass(frozen=True)
class FabricWorld:
    """Evidence of a machine, and everything that it is judged by."""

    gpus: Sequence[DeviceEvidence]
    switches: Sequence[DeviceEvidence]
    policy: NvidiaPolicy
    nonce: bytes | None

    def judge(self) -> Fabric:
        """What the evidence shows."""
        return appraise_fabric(self.gpus, self.switches, self.policy, NOW, self.nonce)


@functools.cache
def genuine_machine() -> FabricWorld:
    """The genuine machine."""
    return FabricWorld(*machine(), NvidiaPolicy(), MACHINE_NONCE)


@functools.cache
def simulated_world() -> FabricWorld:
    """The simulated machine."""
    gpus, switches = (answers(devices, NONCE) for devices in simulated())
    return FabricWorld(gpus, switches, NvidiaPolicy(roots=(pki().root_digest,)), NONCE)
