"""What settle keeps and hands on: deployments, the outbox, rules of finality."""

from __future__ import annotations

import dataclasses

import pytest

from attestrain.errors import FormatError
from attestrain.record.canonical import canonical
from attestrain.record.eip712 import keccak256
from attestrain.settle.deployment import Deployment
from attestrain.settle.finality import parse_rule
from attestrain.settle.outbox import Outbox, Sent

CONTRACTS = {
    name: "0x" + keccak256(name.encode())[-20:].hex() for name in ("ledger", "vault", "registry", "cases", "settlement")
}
DEPLOYMENT = Deployment(31_337, CONTRACTS, "sealed")  # type: ignore[arg-type]
SENT = Sent(nonce=3, gas=50_000, most=10**20, raws=(b"\x02\x01", b"\x02\x02"))


def test_a_deployment_reads_back():
    for rule in ("sealed", "finalized", "0", "12", "9999"):
        deployment = dataclasses.replace(DEPLOYMENT, finality=rule)
        assert Deployment.from_bytes(deployment.to_bytes()) == deployment


@pytest.mark.parametrize(
    "change",
    [
        {"format": "attestrain.dev/deployment@v2"},
        {"chain_id": 0},
        {"chain_id": "1"},
        {"finality": "soon"},
        {"finality": 12},
        {"vault": CONTRACTS["ledger"]},
        {"vault": CONTRACTS["vault"].upper()},
        {"vault": None},
        {"more": "0x"},
    ],
)
def test_malformed_deployments_are_refused(change):
    document = {"format": "attestrain.dev/deployment@v1", "chain_id": 1, "finality": "12", **CONTRACTS, **change}
    with pytest.raises(FormatError):
        Deployment.from_bytes(canonical(document))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"{" * 100, b" " * 5000])
def test_what_is_no_deployment_is_refused(data):
    with pytest.raises(FormatError):
        Deployment.from_bytes(data)


@pytest.mark.parametrize("rule", ["", "Sealed", "-1", "01", "10000", "1.5", "latest", "safe"])
def test_other_rules_of_finality_are_refused(rule):
    with pytest.raises(FormatError, match="not a rule of finality"):
        parse_rule(rule)


def test_what_was_sent_reads_back(tmp_path):
    box = Outbox(tmp_path / "sent")
    assert box.find("gift") is None
    box.keep("gift", SENT)
    assert Outbox(tmp_path / "sent").find("gift") == SENT
    more = SENT.again(b"\x02\x03", 2 * 10**20)
    box.keep("gift", more)
    assert box.find("gift") == more
    assert len(more.names) == 3
    box.forget("gift")
    box.forget("gift")
    assert box.find("gift") is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": "attestrain.dev/sent@v2"},
        {"nonce": -1},
        {"gas": "1"},
        {"most": 5},
        {"most": "-5"},
        {"raws": []},
        {"raws": ["0x02"]},
        {"raws": ["0"]},
        {"raws": ["00"] * 65},
        {"raws": ["00" * (1 << 18)]},
        {"more": 1},
    ],
)
def test_malformed_outboxes_are_refused(change):
    document = {"format": "attestrain.dev/sent@v1", "nonce": 0, "gas": 1, "most": "5", "raws": ["02"], **change}
    with pytest.raises(FormatError):
        Sent.from_bytes(canonical(document))
