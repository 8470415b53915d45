"""Make vectors/http.json: run it as a script to write the file anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import RunId
from attestrain.run.service.auth import STRUCTURE, header, request_digest, service_id

TARGET = Path(__file__).parents[2] / "vectors/http.json"

KEY = SigningKey((1).to_bytes(32, "big"))
RUN = RunId(sha256(b"run"))
LOG_KEY = "attestrain.dev/local/0011223344556677+a1b2c3d4+AQ=="
EXPIRY = 1_800_000_040
NONCE = bytes(range(32))
BLOB = sha256(b"root").hex()
REQUESTS: list[tuple[str, str, bytes | None]] = [
    ("POST", "/v1/entries", b"{}"),
    ("POST", "/v1/events", b'{"kind":"segment","data":{"worker":0}}'),
    ("PUT", f"/v1/blobs?blob={BLOB}:5", None),
]
"""Method, target and body; None where the target names the body."""


def request(method: str, target: str, body: bytes | None) -> dict[str, Any]:
    """One request: what is signed, and the header that comes of it."""
    service = service_id(RUN, KEY.address, LOG_KEY)
    content = ZERO_DIGEST if body is None else sha256(body)
    digest = request_digest(service, method, target, content, EXPIRY, NONCE)
    return {
        "method": method,
        "target": target,
        "content": content.hex(),
        "digest": digest.hex(),
        "authorization": header(content, EXPIRY, NONCE, KEY.sign(digest)),
    }


def make() -> dict[str, Any]:
    """The whole file."""
    return {
        "type": f"Request({','.join(f'{kind} {name}' for name, kind in STRUCTURE)})",
        "service": {
            "run": RUN.hex(),
            "sequencer": KEY.address,
            "log_key": LOG_KEY,
            "name": service_id(RUN, KEY.address, LOG_KEY).hex(),
        },
        "account": KEY.address,
        "expiry": EXPIRY,
        "nonce": NONCE.hex(),
        "requests": [request(*item) for item in REQUESTS],
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")
