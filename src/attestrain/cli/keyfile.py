"""Keys that a command signs with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from attestrain.record.keys import SigningKey


def open_key(path: Path, passphrase: Path | None) -> SigningKey:
    """The key, its passphrase from a file or from the terminal, never from the command line."""
    from attestrain.store.keystore import load_key, read_private

    if passphrase is not None:
        return load_key(path, read_private(passphrase).decode("utf-8", "replace").rstrip("\r\n"))
    return load_key(path, str(typer.prompt("passphrase", hide_input=True, err=True)))
