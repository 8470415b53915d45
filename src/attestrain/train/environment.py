"""The environment class: where inner steps are expected to give the same bits.

Two machines are of one class when their documents are equal, the probe included: a digest over what a fixed battery
of the run's own operators gives at the run's own shapes. Equal versions with unequal probes are different classes.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from attestrain.corpus.dataset import Batch
from attestrain.record.canonical import Json, canonical
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256, tagged
from attestrain.record.names import Branch, Round, RunId, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.trace import state_root
from attestrain.train.determinism import determinism, settings
from attestrain.train.device import Device
from attestrain.train.engine import Engine
from attestrain.train.gpu import Gpu, this_gpu
from attestrain.train.state import genesis_state, state_refs
from attestrain.train.task import Task, positive_setting
from attestrain.update.header import UpdateHeader
from attestrain.update.initial import initial_params

FORMAT = "attestrain.dev/environment@v1"
PROBE_TAG = "attestrain.dev/probe@v1"
PROBE_STEPS = 2
"""The second step sees what the first left in every optimizer buffer."""

_CPU_FLAG = re.compile(r"(avx|fma|f16c|amx|sse4|asimd|sve|bf16|i8mm)")
_CPU_INFO = Path("/proc/cpuinfo")


def environment(spec: RunSpec, task: Task, device: Device = Device.CPU) -> Json:
    """Describe this process's environment for ``spec`` on ``device``.

    Raises:
        UsageError: the task is not the spec's, or the device cannot be used.
    """
    determinism(device)
    engine = Engine(spec, task, device)
    return {**described(device, this_gpu() if device.is_cuda else None), "probe": probe(engine).hex()}


def described(device: Device, gpu: Gpu | None) -> Json:
    """The document without its probe: what is known of machine, build and settings.

    The processor stands in that of a GPU too: a task may compute tables on it.

    Args:
        device: what the process computes on; `determinism` has been called for it.
        gpu: the GPU, if it is one.
    """
    model, flags = _cpu()
    document: Json = {
        "format": FORMAT,
        "torch": torch.__version__,
        "torch_git": str(torch.version.git_version),
        "torch_build": sha256(torch.__config__.show().encode()).hex(),
        "device": device.value,
        "cpu": model,
        "cpu_flags": flags,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "settings": settings(device),
    }
    return document if gpu is None else {**document, "gpu": gpu.to_json()}


def environment_digest(document: Json) -> Digest:
    """Name of an environment class: SHA-256 of its canonical document."""
    return sha256(canonical(document))


def probe(engine: Engine) -> Digest:
    """Digest of what two inner steps from the initial weights and a compression give here.

    Tokens are a fixed sequence of integers, of the run's batch size, sequence length and vocabulary.
    """
    spec = engine.spec
    # Seed and run do not enter: runs of one model on one machine are of one class.
    base = initial_params(replace(spec, seed=0))
    batch = Batch(_probe_tokens(spec), ZERO_DIGEST)
    rates = [spec.inner.rate_bits(spec.schedule.total_steps // 2)] * PROBE_STEPS
    state, records = engine.inner(engine.adopt(genesis_state(spec), base, Round(0)), [batch] * PROBE_STEPS, rates)
    header = UpdateHeader(RunId(ZERO_DIGEST), Branch(0), Round(0), Worker(0), ZERO_DIGEST)
    update, after = engine.compress(state, base, header)
    return tagged(PROBE_TAG, state_root(state_refs(after)), *(record.to_bytes() for record in records), update)


def _probe_tokens(spec: RunSpec) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    shape = (spec.schedule.batch, spec.schedule.sequence_tokens + 1)
    count = np.arange(shape[0] * shape[1], dtype=np.int64)
    # Knuth's multiplicative hash, its high bits: spread over the vocabulary without a random generator.
    mixed = count * 2654435761 % 2**32 >> 16
    return (mixed % positive_setting(spec.task.config, "vocab")).reshape(shape)


def _cpu() -> tuple[str, list[str]]:
    """Model of the processor and those of its features that kernels choose by."""
    fields: dict[str, str] = {}
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = fields.get("flags") or fields.get("Features") or ""
    model = fields.get("model name") or platform.processor() or os.uname().machine
    return model, sorted(flag for flag in flags.split() if _CPU_FLAG.match(flag))
