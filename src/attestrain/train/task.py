"""What is trained: a user's model and loss, found by name, pinned by the digest of its source.

A task is a class with a name, a model and a loss. Thirty lines of a user's package are enough (examples/): subclass
`Task`, publish it as an entry point of group ``attestrain.tasks``, or name it ``package.module:Attribute``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch

from attestrain.corpus.sources import Document
from attestrain.errors import UsageError
from attestrain.record.canonical import MAX_INTEGER, Json
from attestrain.record.digest import Digest, tagged
from attestrain.record.layout import Init

GROUP = "attestrain.tasks"
CODE_TAG = "attestrain.dev/code@v1"
PACKAGE = "attestrain"
DECIDING = ("record", "rules", "update", "corpus", "train")
"""Packages of ours whose code decides numbers; the rest moves, shows or checks them."""
MAX_CONFIG_DEPTH = 8
"""Deepest nesting of a task's settings: the run spec that holds them allows sixteen in all."""


@runtime_checkable
class Task(Protocol):
    """What a user supplies. Subclass it to inherit the two optional parts.

    ``config`` is the run spec's ``task.config``. Two of its keys are the run's own and always present: ``vocab``
    (tokens are 0 .. vocab-1) and ``context`` (inputs of one sequence). It holds no floats: write "0.1".
    """

    name: str

    def build_model(self, config: Mapping[str, object]) -> torch.nn.Module:
        """A float32 model; its initial values are replaced by the run's."""
        ...

    def loss(self, model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """Mean loss (scalar, nats) over ``tokens``, int64 of shape (B, T+1): inputs and, shifted by one, targets."""
        ...

    def documents(self, config: Mapping[str, object]) -> Iterable[Document] | None:
        """The task's own text, or ``None`` to train on the configured corpus."""
        return None

    def init(self, name: str, shape: tuple[int, ...]) -> Init | None:
        """How tensor ``name`` begins, or ``None`` for the rule in `train.layout`."""
        return None

    def export_config(self, config: Mapping[str, object]) -> Mapping[str, object] | None:
        """The ``config.json`` that is delivered beside the weights for other libraries to load, or ``None``."""
        return None


def load_task(name: str) -> Task:
    """The task called ``name``: an entry point of group ``attestrain.tasks``, or "package.module:Attribute".

    Raises:
        UsageError: there is none, it cannot be imported, or it lacks a part of `Task`.
    """
    found = _from_module(name) if ":" in name else _from_entry_point(name)
    task = found() if isinstance(found, type) else found
    if not isinstance(task, Task):
        raise UsageError(f"{name!r} is not a task", hint="subclass attestrain.train.task.Task")
    return task


def check_config(config: Mapping[str, object]) -> Json:
    """Settings as they enter the run spec.

    Raises:
        UsageError: a float or anything else that a document cannot hold, or ``vocab`` or ``context`` is missing.
    """
    _check_value("config", dict(config), MAX_CONFIG_DEPTH)
    for key in ("vocab", "context"):
        positive_setting(config, key)
    return dict(config)


def positive_setting(config: Mapping[str, object], key: str) -> int:
    """The setting ``key``, a positive integer.

    Raises:
        UsageError: it is missing or something else.
    """
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"task setting {key} is not a positive integer: {str(value)[:80]!r}")
    return value


def task_code_digest(task: Task) -> Digest:
    """Digest of every source file of the task's package, or of its module if it stands alone.

    A task of our own is covered by the files of ours that decide numbers.

    Raises:
        UsageError: the task has no source file.
    """
    module = type(task).__module__
    top = module.partition(".")[0]
    if top == PACKAGE:
        return package_code_digest()
    source = getattr(sys.modules.get(top), "__file__", None) or getattr(sys.modules.get(module), "__file__", None)
    if source is None:
        raise UsageError(f"task {task.name!r} has no source file", hint="put it in a module that can be imported")
    path = Path(source)
    return _digest_files(path.parent, path.parent.rglob("*.py") if path.name == "__init__.py" else [path])


def package_code_digest() -> Digest:
    """Digest of the files of this package that decide what a run computes."""
    root = Path(__file__).parent.parent
    return _digest_files(root, [path for name in DECIDING for path in (root / name).rglob("*.py")])


def _digest_files(root: Path, paths: Iterable[Path]) -> Digest:
    parts: list[bytes] = []
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in paths):
        parts += [name.encode(), path.read_bytes()]
    return tagged(CODE_TAG, *parts)


def _from_entry_point(name: str) -> object:
    known = entry_points(group=GROUP)
    for entry in known:
        if entry.name == name:
            return _guarded(name, entry.load)
    listed = ", ".join(sorted(entry.name for entry in known)) or "none"
    raise UsageError(f"no task is called {name!r}", hint=f'installed tasks: {listed}; or write "package.module:Task"')


def _from_module(name: str) -> object:
    module, _, attribute = name.partition(":")
    return _guarded(name, lambda: getattr(import_module(module), attribute))


def _guarded(name: str, load: object) -> object:
    try:
        return load() if callable(load) else load
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"task {name!r} cannot be loaded: {error}", hint="is its package installed or on the Python path?"
        ) from error


def _check_value(where: str, value: object, depth: int) -> None:
    if isinstance(value, float):
        raise UsageError(f"task setting {where} is a float: {value}", hint=f'write it as text: "{value}"')
    if depth < 0 or not isinstance(value, dict | list | str | bool | int | None):
        raise UsageError(f"task setting {where} cannot enter a run spec: {str(value)[:80]!r}")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise UsageError(f"task setting {where} is beyond 2^53-1: {value}")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise UsageError(f"task setting {where} has a key that is not ASCII text: {str(key)[:80]!r}")
            _check_value(f"{where}.{key}", item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(where, item, depth - 1)
