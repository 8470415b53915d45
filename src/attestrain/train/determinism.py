"""Everything that must be set before the first operator so that equal arguments give equal bits."""

from __future__ import annotations

import os

import torch

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


def determinism() -> None:
    """Pin threads, kernels and precision for this process. Calling it again changes nothing."""
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


def settings() -> dict[str, str | int | bool]:
    """What `determinism` has set, as the environment document states it."""
    return {
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "fused_attention": bool(torch.backends.cuda.flash_sdp_enabled()),
        "onednn": bool(torch.backends.mkldnn.enabled),
        **{name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
