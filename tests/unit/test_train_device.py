"""Devices, as far as a machine without a GPU can tell: choice, settings, documents, and that nothing is left behind."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from attestrain.errors import UsageError
from attestrain.record.canonical import canonical, parse
from attestrain.run.config import LocalSection
from attestrain.run.demo import demo_config
from attestrain.train.determinism import WORKSPACE, WORKSPACE_SIZE, determinism, fix_workspace, settings
from attestrain.train.device import NAMES, Device, choose_device, put, same_device, taken
from attestrain.train.environment import described, environment, environment_digest
from attestrain.train.flat import FlatModel
from attestrain.train.gpu import Gpu, installed_libraries
from attestrain.train.llama import LlamaTask
from attestrain.train.optimizers import make_optimizer
from attestrain.train.state import frozen
from tests.training import TINY, make_spec

HOPPER = Gpu("NVIDIA H100 80GB HBM3", "9.0", 132, "550.54.15", "12.8", 91002, {"nvidia-cublas-cu12": "12.8.4.1"})


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a test sets for a GPU does not outlive it."""
    monkeypatch.setenv(WORKSPACE, "")
    monkeypatch.delenv(WORKSPACE)
    yield
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.deterministic = False
    torch.backends.cuda.enable_cudnn_sdp(True)
    determinism()


@pytest.mark.parametrize(
    ("wanted", "found", "device"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("cuda-tf32", 1, "cuda-tf32")],
)
def test_auto_is_a_gpu_if_there_is_one(wanted: str, found: int, device: str) -> None:
    assert choose_device(wanted, found) == device


@pytest.mark.parametrize("wanted", ["cuda", "cuda-tf32"])
def test_a_gpu_that_is_not_there_is_refused_with_a_way_out(wanted: str) -> None:
    with pytest.raises(UsageError, match="finds no GPU") as error:
        choose_device(wanted, 0)
    assert "device cpu" in str(error.value.hint)


def test_there_are_no_other_devices() -> None:
    with pytest.raises(UsageError, match="no device is called 'cuda:1'"):
        choose_device("cuda:1", 4)
    assert get_args(LocalSection.model_fields["device"].annotation) == NAMES


@pytest.mark.parametrize(
    ("stated", "found", "device"),
    [
        (["cpu", "cuda"], 1, "cpu"),
        (["cuda-tf32", "cpu"], 1, "cuda-tf32"),
        (["cuda", "cpu"], 0, "cpu"),
        (["cuda"], 0, "cpu"),
        ([None, ["cuda"], 7, "auto", "xpu"], 1, "cpu"),
    ],
)
def test_a_replay_is_made_where_the_work_was(stated: list[object], found: int, device: str) -> None:
    assert same_device(stated, found) == device


def test_the_demos_are_the_same_everywhere() -> None:
    assert {demo_config(quick=quick).local.device for quick in (True, False)} == {"cpu"}


def test_copies_between_host_and_device_are_copies() -> None:
    buffer, values = torch.zeros(5), frozen(np.arange(5, dtype=np.float32))
    put(buffer, values)
    copy = taken(buffer)
    buffer.zero_()
    assert copy.tolist() == values.tolist() == [0, 1, 2, 3, 4]
    assert (copy.dtype, copy.flags.c_contiguous) == (np.dtype("<f4"), True)


class Devices(TorchDispatchMode):
    """Notes on which devices results of operators lie."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        results = result if isinstance(result, tuple | list) else [result]
        self.seen |= {item.device.type for item in results if isinstance(item, torch.Tensor)}
        return result


@pytest.mark.parametrize("inner", ["muon", "adamw", "sgd", "gradient"])
@pytest.mark.parametrize("config", [TINY, {**TINY, "kv_heads": 2}])
def test_a_step_never_leaves_its_device(inner: str, config: dict[str, Any]) -> None:
    """On a device of shapes without values: an operator that mixes devices, or makes a tensor elsewhere, is seen."""
    spec, task, meta = make_spec(inner, config=config), LlamaTask(), torch.device("meta")
    model = FlatModel(task.build_model(spec.task.config), spec.layout, meta)
    optimizer = make_optimizer(spec.inner, model)
    tokens = torch.zeros(2, 9, dtype=torch.int64, device=meta)
    with Devices() as devices:
        task.loss(model.module, tokens).backward()
        with pytest.raises(RuntimeError, match="item"):  # its value alone comes to the host
            model.grad_norm()
        optimizer.step(0.1, 1)
    assert devices.seen == {"meta"}
    assert {buffer.device for buffer in (model.values, model.grads, *optimizer.buffers.values())} == {meta}


def test_the_workspace_of_cublas_is_fixed_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="initialised before") as error:
        fix_workspace(initialised=True)
    assert f"{WORKSPACE}={WORKSPACE_SIZE}" in str(error.value.hint)
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with pytest.raises(UsageError):
        fix_workspace(initialised=True)
    fix_workspace(initialised=False)
    assert os.environ[WORKSPACE] == ":4096:8"
    fix_workspace(initialised=True)


def test_what_a_gpu_is_set_to_is_stated() -> None:
    determinism(Device.CUDA)
    stated = settings(Device.CUDA)
    assert stated == settings() | {
        "tf32": False,
        "cudnn_tf32": False,
        "cudnn_deterministic": True,
        "efficient_attention": True,
        "cudnn_attention": False,
        WORKSPACE: WORKSPACE_SIZE,
    }
    determinism(Device.CUDA_TF32)
    assert settings(Device.CUDA_TF32) == stated | {"matmul": "high", "tf32": True, "cudnn_tf32": True}
    determinism(Device.CUDA)
    assert settings(Device.CUDA) == stated


def test_variables_that_choose_kernels_of_a_gpu_are_stated_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert settings(Device.CUDA)["NVIDIA_TF32_OVERRIDE"] == "1"
    assert "NVIDIA_TF32_OVERRIDE" not in settings()


def test_the_document_of_a_processor_does_not_know_of_gpus() -> None:
    document = environment(make_spec(), LlamaTask())
    determinism(Device.CUDA_TF32)
    assert environment(make_spec(), LlamaTask()) == document
    assert document["device"] == "cpu"
    fixed = {"threads", "deterministic", "matmul", "fused_attention", "onednn"}
    assert {key for key in document["settings"] if key.islower()} == fixed
    assert document.keys() == {
        *("format", "torch", "torch_git", "torch_build", "device", "cpu", "cpu_flags", "capability", "machine"),
        *("libc", "settings", "probe"),
    }


def test_every_part_of_a_gpu_is_part_of_its_class() -> None:
    determinism(Device.CUDA)
    documents = [described(Device.CPU, None), described(Device.CUDA, HOPPER)]
    others = {"multiprocessors": 66, "cudnn": 0, "libraries": {}}
    for field in dataclasses.fields(Gpu):
        other = dataclasses.replace(HOPPER, **{field.name: others.get(field.name, "another")})
        documents.append(described(Device.CUDA, other))
    determinism(Device.CUDA_TF32)
    documents.append(described(Device.CUDA_TF32, HOPPER))
    assert len({environment_digest(document) for document in documents}) == len(documents)
    assert all(parse(canonical(document)) == document for document in documents)


def test_libraries_are_installed_packages_by_name() -> None:
    assert all(name.startswith(("nvidia-", "cuda-")) and version for name, version in installed_libraries().items())
