"""A fuzzer at the sequencer's door: no request breaks the service, and none that is not allowed leaves a trace."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from attestrain.run.service import limits
from tests.attacks.http_world import Gentle, ask, claimed, signed
from tests.unit.service_world import World, key_of, open_world

SHORT = 3.0
"""Seconds that the fuzzer tries its luck in `make test`."""
LONG = min(300.0, float(os.environ.get("ATTESTRAIN_FUZZ_SECONDS", "30")))
"""The same in `make test-all`: five minutes when asked for."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seconds", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def test_nothing_that_strangers_and_members_send_breaks_the_service(tmp_path: Path, seconds: float) -> None:
    """A fuzzer reads the description of the service and tries what it says and what it does not say."""
    with open_world(tmp_path, Gentle(), opened=True).serving() as world:
        before = world.state(), claimed(world)
        fuzz(world, None, seconds / 2)
        assert (world.state(), claimed(world)) == before
        fuzz(world, "worker", seconds / 4)
        fuzz(world, "invite", seconds / 4)
        assert world.state()[0] == before[0][0]
        assert ask(world, "GET", "/health")[0] == 200


def fuzz(world: World, role: str | None, seconds: float) -> None:
    """Send what the fuzzer makes up, signed by ``role`` if there is one; fails at the first answer in the 500s."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable

    world.service.desk.doorman._rates = limits.Rates(1e9, 1e9)
    schema = schemathesis.openapi.from_url(f"{world.service.door.url}/openapi.json")
    end, tried = time.monotonic() + seconds, 0
    modes = list(schemathesis.GenerationMode)
    while time.monotonic() < end:
        for found in schema.get_all_operations():
            operation = found.ok()
            for mode in modes:
                strategy = operation.as_strategy(generation_mode=mode)

                @settings(
                    max_examples=15,
                    deadline=None,
                    derandomize=False,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    phases=[Phase.generate],
                )
                @given(case=strategy)
                def attempt(case: Any) -> None:
                    nonlocal tried
                    tried += 1
                    if time.monotonic() < end + 5:
                        status = _send(world, case, role)
                        assert status < 500, (status, case.method, case.path, case.as_curl_command())

                # An address without parameters has nothing wrong to try.
                with suppress(Unsatisfiable):
                    attempt()
            if time.monotonic() > end:
                break
    assert tried > 20


def _send(world: World, case: Any, role: str | None) -> int:
    import requests

    made = requests.Request(**case.as_transport_kwargs(world.service.door.url)).prepare()
    query = urlsplit(made.url).query
    if "wait=" in str(query):
        made.url = re.sub(r"wait=\d+", "wait=0", str(made.url))
    if role is not None:
        target = str(made.path_url)
        body = made.body or b""
        data = body.encode() if isinstance(body, str) else bytes(body)
        who = key_of(role, 2 if role == "invite" else 0)
        made.headers.update(signed(world, who, str(made.method), target, data))
    with requests.Session() as session:
        try:
            return session.send(made, timeout=30, allow_redirects=False).status_code
        except requests.ConnectionError:
            # The service hung up on a body that it had refused.
            return 400
