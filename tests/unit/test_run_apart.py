from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from attestrain.errors import RunFailed, UsageError
from attestrain.run.apart import apart
from attestrain.train.engine import Engine
from attestrain.train.evaluate import mean_loss
from attestrain.train.llama import LlamaTask
from attestrain.update.initial import initial_params
from tests.training import make_batch, make_spec


class Unreadable(Exception):
    """An error that pickles and cannot be read back."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def test_work_is_done_in_another_process_that_ends() -> None:
    child = apart(os.getpid)
    assert child != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_an_evaluation_apart_gives_the_same() -> None:
    spec = make_spec()
    params = initial_params(spec)
    sequences = make_batch(spec, 1).tokens

    def evaluate() -> float:
        return mean_loss(Engine(spec, LlamaTask()), params, sequences)

    assert apart(evaluate) == evaluate()


def test_results_larger_than_a_pipe_arrive() -> None:
    values = apart(lambda: np.arange(1 << 20))
    assert values.sum() == sum(range(1 << 20))


def test_errors_arrive_with_their_hints() -> None:
    def fails() -> None:
        raise UsageError("no such thing", hint="try another")

    with pytest.raises(UsageError, match="no such thing") as error:
        apart(fails)
    assert error.value.hint == "try another"


def test_what_cannot_be_carried_over_is_told_in_words() -> None:
    def fails() -> None:
        raise Unreadable("why", "why not")

    with pytest.raises(RunFailed, match="Unreadable: why"):
        apart(fails)
    with pytest.raises(Exception, match="pickle"):
        apart(lambda: lambda: None)


def test_a_process_that_is_killed_is_a_failure() -> None:
    with pytest.raises(RunFailed, match="ended with -9 and no answer"):
        apart(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_the_fork_is_made_while_others_pause() -> None:
    paused: list[bool] = [False]

    @contextmanager
    def pause() -> Iterator[None]:
        paused[0] = True
        yield
        paused[0] = False

    assert apart(lambda: paused[0], pause) is True
    assert paused == [False]
