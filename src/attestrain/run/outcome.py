"""What a run leaves: where it lies, and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attestrain.rules.faults import Fault


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run.

    Attributes:
        folder: the run folder.
        bundle: what anyone can check.
        policy: the pins to check it with.
        run_id: name of the run.
        loss: final validation loss, in nats per token; None without a validation split.
        solo_loss: the same of one worker alone, if it was trained.
        uploaded: mean bytes that an honest worker uploaded.
        allreduce: bytes that it would have uploaded for the same steps under fp32 AllReduce.
        caught: the first fault of every worker that was caught.
    """

    folder: Path
    bundle: Path
    policy: Path
    run_id: str
    loss: float | None
    solo_loss: float | None
    uploaded: int
    allreduce: int
    caught: tuple[Fault, ...]
