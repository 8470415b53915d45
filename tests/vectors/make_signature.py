"""Make vectors/signature.json: run it as a script to write the file anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.record.eip712 import DOMAIN, Members, encode_type, hash_struct, signing_digest, type_hash
from attestrain.record.keys import ORDER, SigningKey

TARGET = Path(__file__).parents[2] / "vectors/signature.json"

SECRETS = [1, 2, ORDER - 1, int.from_bytes(b"attestrain test vector, no money", "big")]
CASES: list[tuple[str, Members, dict[str, object]]] = [
    ("Greeting", (("text", "string"),), {"text": "hello"}),
    (
        "Reading",
        (("run", "bytes32"), ("round", "uint32"), ("size", "uint64"), ("reader", "address"), ("good", "bool")),
        {
            "run": bytes(range(32)),
            "round": 2**32 - 1,
            "size": 2**53 - 1,
            "reader": "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf",
            "good": True,
        },
    ),
    (
        "Lists",
        (("roots", "bytes32[]"), ("names", "string[]"), ("tag", "bytes4"), ("data", "bytes"), ("big", "uint256")),
        {"roots": [bytes(32), b"\xff" * 32], "names": ["", "\u00e9"], "tag": b"tag!", "data": b"", "big": 2**256 - 1},
    ),
]


def plain(value: object) -> object:
    """A value as the file shows it: bytes as 0x and digits, numbers beyond 2^53 as text."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if type(value) is int and value >= 2**53 else value


def structure(name: str, fields: Members, values: dict[str, object]) -> dict[str, Any]:
    """One structure: every step from its type to four signatures."""
    digest = signing_digest(name, fields, values)
    keys = [SigningKey(secret.to_bytes(32, "big")) for secret in SECRETS]
    return {
        "name": name,
        "fields": [list(field) for field in fields],
        "values": {member: plain(value) for member, value in values.items()},
        "type": encode_type(name, fields),
        "type_hash": type_hash(name, fields).hex(),
        "struct_hash": hash_struct(name, fields, values).hex(),
        "digest": digest.hex(),
        "signatures": [{"address": key.address, "signature": "0x" + key.sign(digest).hex()} for key in keys],
    }


def refused() -> list[dict[str, str]]:
    """Signatures over the first structure's digest that must be refused."""
    good = SigningKey(SECRETS[0].to_bytes(32, "big")).sign(signing_digest(*CASES[0]))
    high = (ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    cases = {
        "the higher of the two s": good[:32] + high + bytes([55 - good[64]]),
        "v is the bare recovery id": good[:64] + bytes([good[64] - 27]),
        "v is 29": good[:64] + b"\x1d",
        "r is zero": bytes(32) + good[32:],
        "s is zero": good[:32] + bytes(32) + good[64:],
        "r is the group order": ORDER.to_bytes(32, "big") + good[32:],
        "r is not on the curve": (5).to_bytes(32, "big") + good[32:],
        "one byte short": good[:-1],
        "one byte long": good + b"\x00",
    }
    return [{"why": why, "signature": "0x" + signature.hex()} for why, signature in cases.items()]


def make() -> dict[str, Any]:
    """Everything in the file."""
    return {
        "domain": DOMAIN.hex(),
        "secrets": [f"{secret:064x}" for secret in SECRETS],
        "structures": [structure(*case) for case in CASES],
        "refused": refused(),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")
