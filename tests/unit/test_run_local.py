"""The conductor's side of the pipes: what a role sends is judged, never trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attestrain.record.keys import SigningKey
from attestrain.record.names import Worker
from attestrain.record.transcript import Log
from attestrain.run.events import EventLog
from attestrain.run.local import LocalNetwork
from attestrain.run.pipe import PipeExchange
from attestrain.run.sequencer import Sequencer
from tests.attacks.world import tiny_spec


class Open:
    """A gate that asks nothing: no statement gets as far as the gate here."""

    def check(self, ledger: object, statement: object) -> None:
        raise AssertionError("a malformed message reached the gate")


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"{}",
        b'{"op":"submit"}',
        b'{"op":"submit","entry":7}',
        b'{"op":"submit","entry":"\\ud800"}',
        b'{"op":"submit","entry":"{}"}',
        b'{"op":"poll","since":"x"}',
        b'{"op":"poll"}',
        b'{"op":"tell","kind":"segment","data":7}',
    ],
)
def test_a_malformed_message_is_refused_and_the_conductor_goes_on(tmp_path: Path, message: bytes) -> None:
    def body(exchange: PipeExchange) -> None:
        exchange._connection.send_bytes(message)
        assert "refused" in json.loads(exchange._connection.recv_bytes())

    assert {event["kind"] for event in served(tmp_path, body)} <= {"refused"}


def test_a_role_tells_only_what_is_its_own(tmp_path: Path) -> None:
    def body(exchange: PipeExchange) -> None:
        exchange.tell("finish", loss=0.0)
        exchange.tell("segment", worker=0, kind="finish", time=0)

    assert [event["kind"] for event in served(tmp_path, body)] == ["segment"]


def served(tmp_path: Path, body: Any) -> list[dict[str, Any]]:
    """Run one worker process that does ``body``; its events in the file. Fails if it died."""
    events = EventLog(tmp_path / "events.jsonl", lambda event: None)
    sequencer = Sequencer(tiny_spec(), Log(), SigningKey.generate(), Open())  # type: ignore[arg-type]
    network = LocalNetwork(sequencer, events, tmp_path)
    network.add("worker", Worker(0), body)
    assert network.wait(lambda: network.roles[0].connection is None, 20), (tmp_path / "worker-0.log").read_text()
    network.stop()
    events.close()
    return [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
