"""NVIDIA's evidence as it comes in files: the JSON of one GPU."""

from __future__ import annotations

from dataclasses import replace

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.nvidia.files import read_devices
from attestrain.appraise.nvidia.gpu import appraise_gpu
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.errors import FormatError, Undecided

_NEEDS = "a policy that says `nonce_required = false` under [nvidia] does without"


def is_devices(data: bytes) -> bool:
    """Whether ``data`` looks like a file of NVIDIA's collectors. Being one is `read_devices`' business."""
    return data.lstrip()[:1] in (b"[", b"{") and b'"evidence"' in data and b'"certificate"' in data


def judge_device(data: bytes, policy: NvidiaPolicy, at: int) -> Attestation:
    """Judge the GPU of a file. Nobody says here which nonce is right, so that a policy has to do without.

    Raises:
        Refused: naming what was observed and what is required.
        Undecided: the policy requires a nonce, and nothing else is wrong.
        FormatError: the file is malformed, or of several devices.
    """
    devices = read_devices(data)
    if len(devices) != 1:
        raise FormatError(f"the file holds evidence of {len(devices)} devices; one at a time is judged from files")
    found = appraise_gpu(devices[0].report, devices[0].chain, replace(policy, nonce_required=False), at, None)
    if policy.nonce_required:
        raise Undecided("nothing speaks against the GPU, but nobody says which nonce it had to carry", hint=_NEEDS)
    return found
