"""The examinations of `attestrain doctor`, one function each."""

from __future__ import annotations

import multiprocessing
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from attestrain import __version__
from attestrain.cli.terminal import shown_bytes
from attestrain.errors import AttestrainError
from attestrain.record.canonical import Json

BASE = ("numpy", "coincurve", "cryptography", "pycryptodome", "typer", "rich")
TRAIN = ("torch", "pydantic", "safetensors", "tokenizers", "pyarrow")
NEEDED_DISK = 1_000_000_000
"""Bytes that should be free: the demo's run folder takes a fifth of it, a longer run more."""
FORK_SECONDS = 10.0
"""Longest that a forked process may take to come back: it only says one word."""
TUNING = ("OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "DNNL_", "ONEDNN_", "ATEN_", "TORCH_", "PYTORCH_", "NPY_")
"""Beginnings of environment variables by which numerical libraries choose threads and kernels."""
HARMLESS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
"""Of those, the ones that cannot change a result here: every process computes with one thread whatever they say."""


class State(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Symptom:
    """One finding, and what to do about it."""

    subject: str
    state: State
    detail: str
    fix: str = ""

    def to_json(self) -> Json:
        """For programs."""
        return {"check": self.subject, "state": self.state.value, "found": self.detail, "fix": self.fix}


def examine(folder: Path) -> list[Symptom]:
    """Everything, in the order in which it matters. ``folder`` is where runs shall lie."""
    symptoms = [_python(), _packages("verify needs", BASE, "pip install attestrain")]
    training = _packages("train needs", TRAIN, 'pip install "attestrain[train]"', State.WARNING)
    symptoms += [training, _machine(), *_variables(), _disk(folder), _writable(folder), _fork()]
    return symptoms + ([_determinism(), _gpu()] if training.state is State.OK else [])


def _python() -> Symptom:
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}, attestrain {__version__}"
    return Symptom("python", State.OK, detail)


def _packages(subject: str, names: tuple[str, ...], fix: str, serious: State = State.PROBLEM) -> Symptom:
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Symptom(subject, serious, f"missing: {', '.join(missing)}", fix)
    return Symptom(subject, State.OK, ", ".join(found))


def _machine() -> Symptom:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    detail = f"{cores} core{'s' if cores > 1 else ''} for this process, {shown_bytes(memory)} of memory"
    if cores >= 2:
        return Symptom("machine", State.OK, detail)
    return Symptom("machine", State.WARNING, detail, "several workers on one core take turns: expect twice the time")


def _variables() -> Iterator[Symptom]:
    """Variables that change which kernels run, and so the environment class that results are exact within."""
    names = [name for name in sorted(os.environ) if name.startswith(TUNING) and name not in HARMLESS]
    if names:
        listed = ", ".join(f"{name}={os.environ[name]}" for name in names)
        yield Symptom("variables", State.WARNING, listed, "unset them, or set them alike wherever runs are replayed")
    else:
        yield Symptom("variables", State.OK, "none that choose kernels")


def _disk(folder: Path) -> Symptom:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Symptom("disk", State.PROBLEM, f"{folder}: {error.strerror}", "choose another with --folder")
    if free >= NEEDED_DISK:
        return Symptom("disk", State.OK, f"{shown_bytes(free)} free")
    return Symptom("disk", State.WARNING, f"only {shown_bytes(free)} free", f"free {shown_bytes(NEEDED_DISK)}")


def _writable(folder: Path) -> Symptom:
    """Write, sync, read back: through the very code that keeps blobs."""
    from attestrain.store.blobs import BlobStore

    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as name:
            store = BlobStore(Path(name))
            store.get(store.put(b"attestrain doctor"))
    except (OSError, AttestrainError) as error:
        return Symptom("store", State.PROBLEM, f"{folder}: {error}", "choose a folder you can write to with --folder")
    return Symptom("store", State.OK, f"{folder.resolve()} keeps what is put into it")


def _fork() -> Symptom:
    fix = "train on Linux or macOS; verifying works here"
    if "fork" not in multiprocessing.get_all_start_methods():
        return Symptom("processes", State.PROBLEM, "this system cannot fork", fix)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=theirs.send, args=("here",), daemon=True)
    child.start()
    answered = ours.poll(FORK_SECONDS) and ours.recv() == "here"
    child.join(FORK_SECONDS)
    if answered and child.exitcode == 0:
        return Symptom("processes", State.OK, "forked processes answer")
    return Symptom("processes", State.PROBLEM, "a forked process does not answer", fix)


def _gpu() -> Symptom:
    """Whether there is a GPU that repeats its bits too."""
    if find_spec("torch") is None:
        return Symptom("gpu", State.WARNING, "not examined without torch")
    from attestrain.train.device import Device, gpus

    if not gpus():
        return Symptom("gpu", State.OK, "none that torch can use: training runs on the processor")
    return _determinism("gpu", Device.CUDA.value)


def _determinism(name: str = "determinism", device: str = "cpu") -> Symptom:
    """Two engines, the same steps: anything but equal digests makes replay impossible here."""
    if find_spec("torch") is None:
        return Symptom(name, State.WARNING, "not examined without torch")
    from attestrain.run.demo import demo_config
    from attestrain.run.folder import RunFolder
    from attestrain.run.preparation import prepare
    from attestrain.train.device import choose_device
    from attestrain.train.engine import Engine
    from attestrain.train.environment import probe

    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(demo_config(quick=True), RunFolder(Path(folder)))
        first, second = (probe(Engine(prepared.spec, prepared.task, choose_device(device))) for _ in range(2))
    if first == second:
        return Symptom(name, State.OK, f"equal steps give equal bits (probe {first.hex()[:16]})")
    fix = "replay cannot be exact here: another torch build, or report this with the output of --json"
    return Symptom(name, State.PROBLEM, "equal steps gave different bits", fix)
