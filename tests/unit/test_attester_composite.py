"""GPU evidence from the driver's interface to the event in RTMR3, with simulated GPUs and the real appraisal."""

from __future__ import annotations

import pytest

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.intel.quote import pem
from attestrain.appraise.nvidia.files import read_pem_chain
from attestrain.appraise.nvidia.gpu import appraise_gpu
from attestrain.appraise.refused import Refused
from attestrain.attester.composite import gpu_event, gpu_nonce
from attestrain.attester.nvml import GpuReport
from attestrain.record.digest import sha256
from tests.unit.evidence_world import SESSION, STRANGER
from tests.unit.nvidia_world import simulated, simulated_gpu

BLOCK = sha256(b"block")


def reports(nonce: bytes) -> list[GpuReport]:
    """What the driver would give of two simulated GPUs."""
    made = [gpu.evidence(nonce) for gpu in simulated()[0][:2]]
    return [GpuReport(item.report, "".join(map(pem, item.chain)).encode()) for item in made]


def appraise(nonce: bytes, report: GpuReport) -> Attestation:
    world = simulated_gpu()
    return appraise_gpu(report.report, read_pem_chain(report.chain), world.policy, world.at, nonce)


def test_gpus_that_answer_this_key_and_block_make_an_event() -> None:
    nonce = gpu_nonce(BLOCK, SESSION)
    given = reports(nonce)
    event = gpu_event(given, nonce, lambda report: appraise(nonce, report))
    assert event.name == "gpu"
    assert event != gpu_event(given[:1], nonce, lambda report: appraise(nonce, report))


def test_gpus_that_answered_another_key_make_none() -> None:
    nonce = gpu_nonce(BLOCK, SESSION)
    with pytest.raises(Refused, match="nonce"):
        gpu_event(reports(gpu_nonce(BLOCK, STRANGER)), nonce, lambda report: appraise(nonce, report))
