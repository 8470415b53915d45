from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from attestrain.record.dispersal import Dispersal
from attestrain.record.eip712 import DOMAIN_NAME, DOMAIN_VERSION
from tests.vectors.make_dispersal import TARGET, make, make_data

pytest.importorskip("pyeclib", reason="erasure coding needs pyeclib")

STORED = json.loads(TARGET.read_text())
SPEC = Path(__file__).parents[2] / "spec"
CELL = 65_536


def times(a: int, b: int) -> int:
    """Product in GF(2^8), by hand."""
    total = 0
    while b:
        total ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return total


def inverse(a: int) -> int:
    return next(b for b in range(256) if times(a, b) == 1)


def test_our_code_still_makes_the_stored_dispersal() -> None:
    assert json.loads(json.dumps(make())) == STORED


def test_the_shards_follow_from_the_written_code_alone() -> None:
    data = make_data()
    shards = [data[:CELL], data[CELL : 2 * CELL], data[2 * CELL :].ljust(CELL, b"\0")]
    for row in range(4):
        tables = [bytes(times(inverse((3 + row) ^ column), value) for value in range(256)) for column in range(3)]
        products = [shard.translate(table) for shard, table in zip(shards, tables, strict=False)]
        shards.append(bytes(a ^ b ^ c for a, b, c in zip(*products, strict=True)))
    shards[2] = data[2 * CELL :]
    assert [hashlib.sha256(shard).hexdigest() for shard in shards] == STORED["shards"]
    leaves = [hashlib.sha256(b"\0" + shard).hexdigest() for shard in shards]
    assert "".join(leaves) == STORED["leaves"]
    assert json.loads(STORED["dispersal"])["shards"] == leaves, "shards of one cell: the leaf is the root"


def test_the_digest_is_that_of_the_document() -> None:
    assert hashlib.sha256(STORED["dispersal"].encode()).hexdigest() == STORED["digest"]


def test_an_independent_implementation_recovers_the_keepers() -> None:
    dispersal = Dispersal.from_bytes(STORED["dispersal"].encode())
    kinds = {"run": "bytes32", "branch": "uint32", "round": "uint32", "worker": "uint32", "keeper": "address"}
    kinds |= {"dispersal": "bytes32", "until": "uint32"}
    for item in json.loads(STORED["certificate"])["acknowledgements"]:
        message = {"run": dispersal.run, "branch": 0, "round": 3, "worker": 1, "keeper": item["keeper"]}
        message |= {"dispersal": bytes.fromhex(STORED["digest"]), "until": 9}
        members = [{"name": name, "type": kind} for name, kind in kinds.items()]
        domain = {"name": DOMAIN_NAME, "version": DOMAIN_VERSION}
        signable = encode_typed_data(domain, {"Acknowledgement": members}, message)
        assert Account.recover_message(signable, signature=item["signature"]).lower() == item["keeper"]


def test_the_pages_show_the_stored_examples() -> None:
    page = (SPEC / "dispersal.md").read_text()
    assert STORED["dispersal"] in page
    assert STORED["digest"] in page
    assert STORED["certificate"] in (SPEC / "certificate.md").read_text()
