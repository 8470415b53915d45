"""What the base install lacks: torch and its company come with the extra `train`, services with `node`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from attestrain.errors import UsageError

NODE = ("fastapi", "httpcore", "uvicorn")
TRAIN = (*NODE, "pydantic", "torch")


def require_node() -> None:
    """Check that the extra for services is there, before an import fails deep inside.

    Raises:
        UsageError: it is not.
    """
    _require(NODE, "node")


def require_train() -> None:
    """The same for the extra for training, which includes services."""
    _require(TRAIN, "train")


def _require(packages: Iterable[str], extra: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this command needs {' and '.join(missing)}, which the base install leaves out",
            hint=f'pip install "attestrain[{extra}]"',
        )
