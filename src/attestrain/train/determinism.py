"""Everything that must be set before the first operator so that equal arguments give equal bits."""

from __future__ import annotations

import os

import torch

from attestrain.errors import UsageError
from attestrain.train.device import Device

THREADS = 1
"""More threads sum in another order; workers are processes."""
VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "MKL_CBWR",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)
"""Environment variables that choose other kernels and so other last bits."""
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
WORKSPACE_SIZE = ":4096:8"
"""Eight buffers of 4 MiB: with a fixed workspace cuBLAS repeats its bits (cuBLAS manual, "Results reproducibility")."""
CUDA_VARIABLES = (
    "CUBLASLT_WORKSPACE_SIZE",
    "CUDNN_DETERMINISTIC",
    "DISABLE_ADDMM_CUDA_LT",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
)
"""Environment variables that choose other kernels on a GPU."""


def determinism(device: Device = Device.CPU) -> None:
    """Pin threads, kernels and precision for this process. Calling it again changes nothing.

    Raises:
        UsageError: CUDA was initialised before its workspace was fixed, so that its bits need not repeat.
    """
    torch.set_num_threads(THREADS)
    # The same switch as use_deterministic_algorithms, which would import the compiler: two seconds in every process.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)
    # A training step takes about a quarter less processor time with the fused attention kernel than with the composite
    # one (medians, default model). Both repeat their bits, on two threads as on one.
    torch.backends.cuda.enable_flash_sdp(True)
    torch.backends.cuda.enable_math_sdp(True)
    if device.is_cuda:
        _cuda(device)


def _cuda(device: Device) -> None:
    fix_workspace(initialised=torch.cuda.is_initialized())
    tf32 = device is Device.CUDA_TF32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # In float32 torch chooses the memory-efficient kernel where shapes allow it, and the composite one elsewhere. With
    # deterministic algorithms the former adds up gradients in one order (num_splits_key = 1 in torch's
    # attention_backward.cu), as does the flash kernel, to which a task in bfloat16 comes. cuDNN's has no such mode.
    torch.backends.cuda.enable_mem_efficient_sdp(True)
    torch.backends.cuda.enable_cudnn_sdp(False)


def fix_workspace(*, initialised: bool) -> None:
    """Fix the workspace of cuBLAS, which reads it from the environment when it starts.

    Raises:
        UsageError: it has started with another one.
    """
    if initialised and os.environ.get(WORKSPACE) != WORKSPACE_SIZE:
        raise UsageError(
            f"CUDA was initialised before {WORKSPACE} was set, so matrix products need not repeat their bits",
            hint=f"start with {WORKSPACE}={WORKSPACE_SIZE} in the environment, or do not touch CUDA before the engine",
        )
    os.environ[WORKSPACE] = WORKSPACE_SIZE


def settings(device: Device = Device.CPU) -> dict[str, str | int | bool]:
    """What `determinism` has set, as the environment document states it."""
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "fused_attention": bool(torch.backends.cuda.flash_sdp_enabled()),
        "onednn": bool(torch.backends.mkldnn.enabled),
        **{name: os.environ[name] for name in VARIABLES if name in os.environ},
        **(_cuda_settings() if device.is_cuda else {}),
    }


def _cuda_settings() -> dict[str, str | int | bool]:
    return {
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
        "cudnn_tf32": bool(torch.backends.cudnn.allow_tf32),
        "cudnn_deterministic": bool(torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark),
        "efficient_attention": bool(torch.backends.cuda.mem_efficient_sdp_enabled()),
        "cudnn_attention": bool(torch.backends.cuda.cudnn_sdp_enabled()),
        **{name: os.environ[name] for name in (WORKSPACE, *CUDA_VARIABLES) if name in os.environ},
    }
