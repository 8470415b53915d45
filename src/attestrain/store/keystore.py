"""Secrets on disk: Web3 Secret Storage version 3, the encrypted JSON files that Ethereum tools read and write.

The passphrase is stretched by scrypt; AES-128-CTR hides the 32 secret bytes and a Keccak tag tells a wrong passphrase.
Files are private to their owner, and a file that is not is refused: its secret may already be somebody else's.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import stat
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from attestrain.errors import FormatError, UsageError
from attestrain.record.canonical import Json, parse_any_form
from attestrain.record.eip712 import keccak256
from attestrain.record.keys import SECRET_SIZE, SigningKey
from attestrain.record.note import LogKey
from attestrain.store.atomic import write_atomic

VERSION = 3
PRIVATE = 0o600
"""Permission bits of a key file."""
STANDARD = (262_144, 8, 1)
"""scrypt's n, r, p as geth's StandardScryptN and StandardScryptP: about a second and 256 MiB."""
LIGHT = (1_024, 8, 1)
"""A millisecond, for passphrases that were drawn at random: nobody guesses 256 bits, however fast a guess is."""
MAX_FILE = 16_384
"""Largest key file read, in bytes: they have about 500."""
MAX_MEMORY = 1 << 29
"""Most memory (128 n r bytes) a file may ask of scrypt: twice the standard's."""
MAX_WORK = 1 << 23
"""Most work (n r p) a file may ask of scrypt: four times the standard's, a few seconds."""
DERIVED = 32
"""Bytes derived: 16 for the cipher, 16 for the tag."""
MAC_FROM = 16

_HEX = re.compile(r"([0-9a-fA-F]{2})*\Z")


def save_key(path: Path, key: SigningKey, passphrase: str, *, light: bool = False) -> None:
    """Write a secp256k1 key as a new key file.

    Args:
        path: must not exist: a key overwritten is a key lost.
        key: what to keep.
        passphrase: protects it.
        light: do not stretch the passphrase, because it was drawn at random.

    Raises:
        UsageError: the file exists or cannot be written.
    """
    _save(path, key.to_bytes(), passphrase, {"address": key.address.removeprefix("0x")}, light=light)


def load_key(path: Path, passphrase: str) -> SigningKey:
    """Read a secp256k1 key.

    Raises:
        UsageError: no such file, others can read it, or the passphrase is wrong.
        FormatError: not such a key file, or its parameters are out of bounds.
    """
    secret, document = _load(path, passphrase)
    key = SigningKey(secret)
    address = document.get("address", key.address)
    if not isinstance(address, str) or address.lower().removeprefix("0x") != key.address.removeprefix("0x"):
        raise FormatError(f"key file {path} names another address than its key has")
    return key


def save_log_key(path: Path, key: LogKey, passphrase: str, *, light: bool = False) -> None:
    """Write an Ed25519 log key as a new key file; arguments and errors as `save_key`."""
    _save(path, key.to_bytes(), passphrase, {"vkey": key.vkey}, light=light)


def load_log_key(path: Path, passphrase: str) -> LogKey:
    """Read an Ed25519 log key; errors as `load_key`."""
    secret, document = _load(path, passphrase)
    vkey = str(document.get("vkey", ""))
    key = LogKey(vkey.partition("+")[0], secret)
    if key.vkey != vkey:
        raise FormatError(f"key file {path} names another verifier key than its seed has")
    return key


def _save(path: Path, secret: bytes, passphrase: str, public: dict[str, str], *, light: bool) -> None:
    if path.exists():
        raise UsageError(f"key file {path} exists", hint="choose another name: an overwritten key is lost for good")
    document = {**public, "crypto": _encrypt(secret, passphrase, light=light), "id": str(uuid.uuid4())}
    text = json.dumps({**document, "version": VERSION}, indent=2) + "\n"
    try:
        write_atomic(path, text.encode(), mode=PRIVATE)
    except OSError as error:
        raise UsageError(f"key file {path} cannot be written: {error.strerror}") from error


def _encrypt(secret: bytes, passphrase: str, *, light: bool) -> Json:
    n, r, p = LIGHT if light else STANDARD
    salt, counter = secrets.token_bytes(32), secrets.token_bytes(16)
    derived = _derive(passphrase, salt, n, r, p)
    ciphertext = _aes_ctr(derived, counter, secret)
    return {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": counter.hex()},
        "ciphertext": ciphertext.hex(),
        "kdf": "scrypt",
        "kdfparams": {"dklen": DERIVED, "n": n, "p": p, "r": r, "salt": salt.hex()},
        "mac": keccak256(derived[MAC_FROM:] + ciphertext).hex(),
    }


def _derive(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=DERIVED, n=n, r=r, p=p).derive(passphrase.encode())


def _aes_ctr(derived: bytes, counter: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(derived[:16]), modes.CTR(counter)).encryptor()
    return cipher.update(data) + cipher.finalize()


def _load(path: Path, passphrase: str) -> tuple[bytes, Json]:
    document = _parse(read_private(path), path)
    crypto = _object(document, "crypto")
    if crypto.get("cipher") != "aes-128-ctr" or crypto.get("kdf") != "scrypt":
        raise FormatError(f"key file {path} does not use aes-128-ctr and scrypt")
    ciphertext = _hex(crypto, "ciphertext", SECRET_SIZE)
    counter = _hex(_object(crypto, "cipherparams"), "iv", 16)
    derived = _derive(passphrase, *_scrypt_parameters(_object(crypto, "kdfparams")))
    if not hmac.compare_digest(keccak256(derived[MAC_FROM:] + ciphertext), _hex(crypto, "mac", 32)):
        raise UsageError(f"wrong passphrase for key file {path}", hint="or the file is damaged")
    return _aes_ctr(derived, counter, ciphertext), document


def read_private(path: Path) -> bytes:
    """What a private file holds; one byte more than `MAX_FILE` if it holds too much.

    Raises:
        UsageError: it cannot be read, or others can read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"key file {path} cannot be read: {error.strerror}") from error
    if mode & 0o077:
        raise UsageError(f"key file {path} is open to others (mode {mode:o})", hint=f"chmod 600 {path}")
    return data


def _parse(data: bytes, path: Path) -> Json:
    try:
        document = parse_any_form(data, max_bytes=MAX_FILE)
    except FormatError as error:
        raise FormatError(f"key file {path}: {error}") from error
    if document.get("version") != VERSION:
        raise FormatError(f"key file {path} is not Web3 Secret Storage version {VERSION}")
    return document


def _scrypt_parameters(value: Json) -> tuple[bytes, int, int, int]:
    n, r, p, dklen = (value.get(name) for name in ("n", "r", "p", "dklen"))
    if not (type(n) is type(r) is type(p) is int) or dklen != DERIVED:
        raise FormatError("scrypt parameters of the key file are incomplete")
    if n < 2 or n & (n - 1) or r < 1 or p < 1 or 128 * n * r > MAX_MEMORY or n * r * p > MAX_WORK:
        raise FormatError(f"scrypt parameters n={n}, r={r}, p={p} of the key file are out of bounds")
    return _hex(value, "salt"), n, r, p


def _object(value: Json, name: str) -> Json:
    found = value.get(name)
    if not isinstance(found, dict):
        raise FormatError(f"key file has no object {name}")
    return found


def _hex(value: Json, name: str, size: int | None = None) -> bytes:
    text = value.get(name)
    if not isinstance(text, str) or not _HEX.match(text) or size not in (None, len(text) // 2):
        raise FormatError(f"key file's {name} is not hexadecimal of the right length")
    return bytes.fromhex(text)
