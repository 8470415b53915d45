"""Reports of GPUs in confidential-computing mode, by NVIDIA's management library (NVML).

Source: NVML API reference, "Confidential Computing"; the package nvidia-ml-py (extra ``[gpu]``) loads the driver's
library. Written from that reference and never run on a GPU in this mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from attestrain.errors import Unreachable, UsageError

NONCE_SIZE = 32
"""Bytes of the nonce of an SPDM report."""
MAX_GPUS = 16
"""Most GPUs of a guest: the largest machines pass eight."""


@dataclass(frozen=True, slots=True)
class GpuReport:
    """What one GPU gave.

    Attributes:
        report: SPDM request and response, as the driver hands them over.
        chain: certificates of the GPU's attestation key, in PEM.
    """

    report: bytes
    chain: bytes


def collect_gpus(nonce: bytes) -> tuple[GpuReport, ...]:
    """A report of every GPU, all with one nonce. Reading them is `appraise.nvidia`'s work.

    Raises:
        UsageError: the extra or the driver is missing, there is no GPU or there are too many, or they are not in
            confidential-computing mode.
        Unreachable: the driver gives no report.
    """
    if len(nonce) != NONCE_SIZE:
        raise UsageError(f"a nonce of {len(nonce)} bytes is not {NONCE_SIZE}")
    with _library() as nvml:
        _check_mode(nvml)
        count = nvml.nvmlDeviceGetCount()
        if not 1 <= count <= MAX_GPUS:
            raise UsageError(f"this machine has {count} GPUs, not 1 to {MAX_GPUS}")
        return tuple(_report(nvml, nvml.nvmlDeviceGetHandleByIndex(index), nonce) for index in range(count))


@contextmanager
def _library() -> Iterator[Any]:
    try:
        nvml = import_module("pynvml")
    except ImportError as error:
        raise UsageError("GPU evidence needs nvidia-ml-py", hint="pip install 'attestrain[gpu]'") from error
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise UsageError(f"NVIDIA's driver cannot be used: {error}") from error
    try:
        yield nvml
    except nvml.NVMLError as error:
        raise Unreachable(f"NVIDIA's driver gives no report: {error}") from error
    finally:
        nvml.nvmlShutdown()


def _check_mode(nvml: Any) -> None:
    """The mode is on, and not that of development tools, whose reports say nothing of closed memory."""
    state = nvml.nvmlSystemGetConfComputeState()
    if state.ccFeature != nvml.NVML_CC_SYSTEM_FEATURE_ENABLED:
        raise UsageError("the GPUs are not in confidential-computing mode")
    if state.devToolsMode != nvml.NVML_CC_SYSTEM_DEVTOOLS_MODE_OFF:
        raise UsageError("the GPUs are in the mode for development tools")


def _report(nvml: Any, device: Any, nonce: bytes) -> GpuReport:
    found = nvml.nvmlDeviceGetConfComputeGpuAttestationReport(device, nonce)
    certificate = nvml.nvmlDeviceGetConfComputeGpuCertificate(device)
    report = _cut(found.attestationReport, found.attestationReportSize, "report")
    return GpuReport(report, _cut(certificate.attestationCertChain, certificate.attestationCertChainSize, "chain"))


def _cut(buffer: Any, size: int, what: str) -> bytes:
    """The bytes of a C array that are said to be filled."""
    if not 0 < size <= len(buffer):
        raise Unreachable(f"the driver gives a {what} of {size} bytes in {len(buffer)}")
    return bytes(buffer)[:size]
