"""Keys of a local run: one keystore per key, readable by their owner only.

The passphrase lies beside them, equally protected, because a run on one machine must survive a reboot unattended. Keys
that guard money get their passphrase elsewhere.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from attestrain.record.keys import SigningKey
from attestrain.record.note import LogKey
from attestrain.store.atomic import write_atomic
from attestrain.store.keystore import load_key, load_log_key, save_key, save_log_key


class Keyring:
    """Keys in a folder, made when first asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        path = folder / "passphrase"
        if not path.exists():
            write_atomic(path, secrets.token_hex(32).encode("ascii"), mode=0o600)
        self._passphrase = path.read_text("ascii")
        self._open: dict[str, SigningKey] = {}

    def signing(self, name: str) -> SigningKey:
        """The secp256k1 key called ``name``."""
        if name not in self._open:
            path = self._folder / f"{name}.json"
            if not path.exists():
                self._open[name] = SigningKey.generate()
                save_key(path, self._open[name], self._passphrase, light=True)
            else:
                self._open[name] = load_key(path, self._passphrase)
        return self._open[name]

    def holds(self, name: str) -> bool:
        """Whether the secp256k1 key called ``name`` was made already."""
        return name in self._open or (self._folder / f"{name}.json").exists()

    def note(self, origin: str) -> LogKey:
        """The Ed25519 key that signs the transcript's checkpoints under ``origin``."""
        path = self._folder / "note.json"
        if not path.exists():
            save_log_key(path, LogKey.generate(origin), self._passphrase, light=True)
        return load_log_key(path, self._passphrase)
