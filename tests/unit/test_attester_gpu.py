"""GPU reports by a stand-in of NVIDIA's management library, whose names and structures are the package's."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.refused import Refused
from attestrain.attester.composite import gpu_event, gpu_nonce
from attestrain.attester.nvml import GpuReport, collect_gpus
from attestrain.errors import Unreachable, UsageError
from attestrain.record.digest import sha256
from attestrain.record.eip712 import address_bytes
from tests.unit.evidence_world import SESSION

NONCE = bytes(range(32))


class NVMLError(Exception):
    pass


@dataclass
class FakeNvml:
    """The calls of nvidia-ml-py that we make."""

    count: int = 2
    feature: int = 1
    tools: int = 0
    size: int = 40
    broken: str = ""
    NVMLError: type[Exception] = NVMLError
    NVML_CC_SYSTEM_FEATURE_ENABLED: int = 1
    NVML_CC_SYSTEM_DEVTOOLS_MODE_OFF: int = 0
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            if name == self.broken:
                raise NVMLError("not supported")
            return getattr(self, f"_{name}", lambda *_: None)(*arguments)

        if not name.startswith("nvml"):
            raise AttributeError(name)
        return call

    def _nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def _nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def _nvmlSystemGetConfComputeState(self) -> Any:  # noqa: N802
        return SimpleNamespace(ccFeature=self.feature, devToolsMode=self.tools)

    def _nvmlDeviceGetConfComputeGpuAttestationReport(self, device: int, nonce: bytes) -> Any:  # noqa: N802
        report = b"report%d " % device + nonce
        return SimpleNamespace(attestationReport=list(report.ljust(0x2000, b"\0")), attestationReportSize=self.size)

    def _nvmlDeviceGetConfComputeGpuCertificate(self, device: int) -> Any:  # noqa: N802
        return SimpleNamespace(attestationCertChain=list(b"chain%d" % device + bytes(10)), attestationCertChainSize=6)


def installed(patch: pytest.MonkeyPatch, **changes: Any) -> FakeNvml:
    nvml = FakeNvml(**changes)
    patch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]
    return nvml


def test_every_gpu_answers_one_nonce(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = installed(monkeypatch)
    assert collect_gpus(NONCE) == (
        GpuReport(b"report0 " + NONCE, b"chain0"),
        GpuReport(b"report1 " + NONCE, b"chain1"),
    )
    assert (nvml.calls[0], nvml.calls[-1]) == ("nvmlInit", "nvmlShutdown")


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"feature": 0}, UsageError, "not in confidential-computing mode"),
        ({"tools": 1}, UsageError, "mode for development tools"),
        ({"count": 0}, UsageError, "has 0 GPUs"),
        ({"count": 17}, UsageError, "has 17 GPUs"),
        ({"size": 0x2001}, Unreachable, "a report of 8193 bytes in 8192"),
        ({"size": 0}, Unreachable, "a report of 0 bytes"),
        ({"broken": "nvmlInit"}, UsageError, "driver cannot be used: not supported"),
        ({"broken": "nvmlDeviceGetConfComputeGpuAttestationReport"}, Unreachable, "gives no report: not supported"),
    ],
)
def test_a_machine_whose_gpus_cannot_answer_says_why(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], error: type[Exception], reason: str
) -> None:
    nvml = installed(monkeypatch, **changes)
    with pytest.raises(error, match=reason):
        collect_gpus(NONCE)
    assert nvml.calls[-1] == ("nvmlInit" if changes == {"broken": "nvmlInit"} else "nvmlShutdown")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UsageError, match="needs nvidia-ml-py") as caught:
        collect_gpus(NONCE)
    assert caught.value.hint == "pip install 'attestrain[gpu]'"


def attestation(report: GpuReport) -> Attestation:
    return Attestation(
        "nvidia-gpu-report", "simulated", sha256(b"root"), report.chain.hex(), sha256(report.report), NONCE
    )


REPORTS = (GpuReport(b"one", b"1"), GpuReport(b"two", b"2"))


def test_the_nonce_is_of_block_and_session_key() -> None:
    expected = hashlib.sha256(sha256(b"block") + address_bytes(SESSION)).digest()
    assert gpu_nonce(sha256(b"block"), SESSION) == expected


def test_the_event_covers_every_gpu_in_order() -> None:
    events = {gpu_event(reports, NONCE, attestation) for reports in (REPORTS, REPORTS[::-1], REPORTS[:1], ())}
    assert len(events) == 4
    assert {event.name for event in events} == {"gpu"}


def test_a_gpu_that_answers_another_nonce_or_twice_is_refused() -> None:
    with pytest.raises(Refused, match=r"answers nonce .*, not ours"):
        gpu_event(REPORTS, bytes(32), attestation)
    with pytest.raises(Refused, match="one GPU answers twice"):
        gpu_event((REPORTS[0], REPORTS[0]), NONCE, attestation)
