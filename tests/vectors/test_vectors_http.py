from __future__ import annotations

import json
from pathlib import Path

import pytest

from attestrain.record.digest import Digest
from attestrain.record.keys import SigningKey
from attestrain.record.names import Worker
from attestrain.run.service import limits
from attestrain.run.service.auth import LIFETIME, Doorman
from attestrain.run.service.members import Member, Members
from tests.vectors.make_http import EXPIRY, TARGET, make

STORED = json.loads(TARGET.read_text())
PAGE = (Path(__file__).parents[2] / "spec/http.md").read_text()


def test_our_code_still_makes_the_stored_vectors():
    assert make() == STORED


@pytest.mark.parametrize("request_", STORED["requests"], ids=lambda item: item["target"][:12])
def test_the_stored_requests_are_let_in_for_their_service_alone(request_):
    key = SigningKey((1).to_bytes(32, "big"))
    members = Members([(key.address, Member("worker", Worker(0)))])
    here = Doorman(Digest(bytes.fromhex(STORED["service"]["name"])), members, lambda: EXPIRY - LIFETIME)
    place = (request_["method"], request_["target"], request_["authorization"])
    assert here.admit(*place).content.hex() == request_["content"]
    with pytest.raises(Exception, match="not signed by a member"):
        Doorman(Digest(bytes(32)), members, lambda: EXPIRY).admit(*place)


def test_the_specification_shows_a_stored_request_verbatim():
    first = STORED["requests"][0]
    for shown in (STORED["type"], STORED["service"]["name"], first["digest"], first["authorization"]):
        assert shown in PAGE


@pytest.mark.parametrize(
    "name",
    [name for name in vars(limits) if name.startswith("MAX_") and name not in ("MAX_TRACE", "MAX_LETTERS")],
)
def test_the_specification_tells_every_limit(name):
    assert f"{getattr(limits, name):,}" in PAGE
