"""Who is let in: signed for this service and this request, soon, once, by a member."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import RunId, Worker
from attestrain.run.service.auth import LIFETIME, STRUCTURE, VALID, Denied, Doorman, service_id, sign_request
from attestrain.run.service.limits import ACCOUNT_BURST, Rates
from attestrain.run.service.members import Member, Members

KEY, STRANGER = SigningKey(sha256(b"member")), SigningKey(sha256(b"stranger"))
HERE, ELSEWHERE = sha256(b"here"), sha256(b"elsewhere")
NOW = 1_800_000_000.0
TARGET = "/v1/entries"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def doorman(clock: Clock | None = None) -> Doorman:
    return Doorman(HERE, Members([(KEY.address, Member("worker", Worker(0)))]), clock or Clock())


def header(**changes: Any) -> str:
    values = {"key": KEY, "audience": HERE, "method": "POST", "target": TARGET, "content": ZERO_DIGEST, "now": NOW}
    return sign_request(**(values | changes))


def denied(door: Doorman, text: str | None, method: str = "POST", target: str = TARGET) -> Denied:
    with pytest.raises(Denied) as refusal:
        door.admit(method, target, text)
    return refusal.value


def test_a_member_is_let_in_with_the_digest_it_promised() -> None:
    caller = doorman().admit("POST", TARGET, header(content=sha256(b"body")))
    assert (caller.account, caller.member.role, caller.content) == (KEY.address, "worker", sha256(b"body"))


@pytest.mark.parametrize(
    "changes",
    [
        {"audience": ELSEWHERE},
        {"method": "PUT"},
        {"target": "/v1/entries?"},
        {"target": "/v1/events"},
        {"key": STRANGER},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_request_signed_for_something_else_is_a_strangers(changes: dict[str, Any]) -> None:
    """A signature over other words recovers an account that nobody knows."""
    assert denied(doorman(), header(**changes)).status == 403


def test_a_changed_content_digest_is_a_strangers_too() -> None:
    scheme, expiry, nonce, content, signature = header(content=sha256(b"body")).split()
    forged = " ".join([scheme, expiry, nonce, sha256(b"other").hex(), signature])
    assert content != sha256(b"other").hex()
    assert denied(doorman(), forged).status == 403


@pytest.mark.parametrize("age", [VALID + 1, 3600, -(LIFETIME - VALID) - 1, -86_400])
def test_too_old_and_too_young_requests_are_refused(age: float) -> None:
    refusal = denied(doorman(), header(now=NOW - age))
    assert refusal.status == 401
    assert "compare the clocks" in str(refusal)


def test_a_request_counts_once_until_it_expires_and_then_not_at_all() -> None:
    clock = Clock()
    door, text = doorman(clock), header()
    door.admit("POST", TARGET, text)
    assert "was sent before" in str(denied(door, text))
    clock.now += VALID
    assert "was sent before" in str(denied(door, text))
    clock.now += 1
    assert "has expired" in str(denied(door, text))


def test_nonces_are_forgotten_when_their_requests_have_expired() -> None:
    clock = Clock()
    door = doorman(clock)
    for turn in range(5):
        clock.now = NOW + turn * (LIFETIME + 1)
        for _ in range(3):
            door.admit("POST", TARGET, header(now=clock.now))
        assert len(door._nonces) == len(door._expiries) == 3


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Bearer secret",
        "attestrain-v1",
        header().replace("attestrain-v1", "attestrain-v2"),
        header() + " ",
        header() + "\n",
        header().upper(),
        header().replace(" ", "  ", 1),
        header().replace(f" {int(NOW) + VALID} ", f" 0{int(NOW) + VALID} "),
        header()[:-2],
    ],
)
def test_a_malformed_header_is_refused(text: str | None) -> None:
    assert denied(doorman(), text).status == 401


def test_a_signature_off_the_curve_is_refused() -> None:
    parts = header().split()
    for signature in ("00" * 65, "ff" * 65, "11" * 64 + "05"):
        assert denied(doorman(), " ".join([*parts[:4], f"0x{signature}"])).status == 401


def test_an_account_that_asks_too_much_is_told_to_wait() -> None:
    door = doorman()
    door._rates = Rates(10, 3, clock=lambda: 0.0)
    for _ in range(3):
        door.admit("POST", TARGET, header())
    refusal = denied(door, header())
    assert refusal.status == 429
    assert refusal.wait == pytest.approx(0.1)
    assert ACCOUNT_BURST > 3


@given(text=st.text(max_size=400))
def test_whatever_the_header_says_the_answer_is_a_refusal(text: str) -> None:
    assert denied(doorman(), text).status in (401, 403)


@given(position=st.integers(0, len(header()) - 1), character=st.sampled_from("0123456789abcdefx "))
def test_no_single_changed_character_is_let_in(position: int, character: str) -> None:
    text = header()
    changed = text[:position] + character + text[position + 1 :]
    if changed != text:
        assert denied(doorman(), changed).status in (401, 403)


def test_a_service_is_named_by_run_sequencer_and_log_key() -> None:
    run = RunId(Digest(sha256(b"run")))
    names = {
        service_id(run, KEY.address, "key"),
        service_id(RunId(sha256(b"other")), KEY.address, "key"),
        service_id(run, STRANGER.address, "key"),
        service_id(run, KEY.address, "other"),
    }
    assert len(names) == 4


def test_the_signature_is_plain_eip712() -> None:
    """Any Ethereum library can sign a request."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    parts = header(content=sha256(b"body")).split()
    message = {
        "audience": HERE,
        "method": "POST",
        "target": TARGET,
        "content": bytes.fromhex(parts[3]),
        "expiry": int(parts[1]),
        "nonce": bytes.fromhex(parts[2]),
    }
    typed = encode_typed_data(
        domain_data={"name": "attestrain", "version": "1"},
        message_types={"Request": [{"name": name, "type": kind} for name, kind in STRUCTURE]},
        message_data=message,
    )
    assert Account.recover_message(typed, signature=parts[4]).lower() == KEY.address
