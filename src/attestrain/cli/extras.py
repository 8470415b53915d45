"""What the base install lacks: torch and its company come with the extra `train`."""

from __future__ import annotations

from importlib.util import find_spec

from attestrain.errors import UsageError

NEEDED = ("fastapi", "httpcore", "pydantic", "torch", "uvicorn")


def require_train() -> None:
    """Check that the extra is there, before an import fails deep inside.

    Raises:
        UsageError: it is not.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"this command needs {' and '.join(missing)}, which the base install leaves out",
            hint='pip install "attestrain[train]"',
        )
