"""Processes of a run on this machine: watched, started again, ended; and what they may tell."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attestrain.record.names import Worker
from attestrain.run.local import MAX_RESTARTS, LocalNetwork
from attestrain.run.service.client import Caller, HttpExchange
from tests.unit.service_world import World, open_world


def network_of(world: World, tmp_path: Path) -> LocalNetwork:
    return LocalNetwork(world.sequencer, world.events, tmp_path, world.service)


def ended(network: LocalNetwork) -> Callable[[], bool]:
    return lambda: not any(role.alive for role in network.roles)


def events_of(tmp_path: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    return [event for event in found if event["kind"] == kind]


def test_a_role_tells_only_what_is_its_own(tmp_path: Path) -> None:
    world = open_world(tmp_path)

    def body() -> None:
        exchange = HttpExchange(Caller(world.service.door, world.key("worker", 0)))
        exchange.tell("finish", loss=0.0)
        exchange.tell("segment", worker=1)
        exchange.tell("segment", worker=0, kind="finish", time=0)

    network = network_of(world, tmp_path)
    network.add("worker", Worker(0), body)
    assert network.wait(ended(network), 20), (tmp_path / "worker-0.log").read_text()
    network.stop()
    network.close()
    told = [json.loads(line)["kind"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert told == ["segment"]


def test_a_process_that_dies_is_started_again_while_the_service_answers_others(tmp_path: Path) -> None:
    world = open_world(tmp_path)

    def dies() -> None:
        time.sleep(0.1)
        os._exit(3)

    def asks() -> None:
        exchange = HttpExchange(Caller(world.service.door, world.key("auditor", 0)))
        while not (tmp_path / "enough").exists():
            exchange.tell("unanswered", round=0)

    network = network_of(world, tmp_path)
    network.add("auditor", Worker(0), asks)
    network.add("solo", Worker(0), dies)
    assert network.wait(lambda: network.lost("solo") == {Worker(0)}, 60)
    (tmp_path / "enough").touch()
    assert network.wait(ended(network), 20)
    network.stop()
    network.close()
    assert len(events_of(tmp_path, "restart")) == MAX_RESTARTS
    assert events_of(tmp_path, "unanswered")


def test_processes_end_when_they_are_let_go(tmp_path: Path) -> None:
    world = open_world(tmp_path)
    network = network_of(world, tmp_path)
    network.add("worker", Worker(0), lambda: time.sleep(600))
    network.serve(0.0)
    begin = time.monotonic()
    network.stop()
    network.close()
    assert time.monotonic() - begin < 5
    assert network.roles[0].process is not None
    assert network.roles[0].process.exitcode == 0


def test_a_forked_process_holds_no_socket_of_the_conductor(tmp_path: Path) -> None:
    world = open_world(tmp_path)

    def lists() -> None:
        links = []
        for fd in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):
                links.append(os.readlink(f"/proc/self/fd/{fd}"))
        (tmp_path / "links").write_text("\n".join(links))

    network = network_of(world, tmp_path)
    network.serve(0.0)
    network.add("worker", Worker(0), lists)
    assert network.wait(ended(network), 20)
    network.stop()
    network.close()
    assert "socket:" not in (tmp_path / "links").read_text()
