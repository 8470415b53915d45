from __future__ import annotations

from dataclasses import replace

import pytest

from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.errors import FormatError
from attestrain.record.digest import sha256
from tests.unit.nvidia_world import genuine_gpu

FULL: dict[str, object] = {
    "roots": [sha256(b"root").hex()],
    "hardware": False,
    "nonce_required": False,
    "rim_required": True,
    "least_driver": "550.54",
    "least_vbios": "96.00.5e.00.01",
    "drivers": ["550.90.07"],
    "vbioses": ["96.00.9f.00.01"],
    "devices": ["41431d480fe5e87274"],
}


def test_an_empty_table_is_the_default_policy() -> None:
    assert NvidiaPolicy.read({}) == NvidiaPolicy()
    assert NvidiaPolicy().nonce_required


def test_a_table_names_every_attribute() -> None:
    policy = NvidiaPolicy.read(FULL)
    assert set(FULL) == set(NvidiaPolicy.__dataclass_fields__)
    assert policy.roots == (sha256(b"root"),)
    assert (policy.hardware, policy.rim_required, policy.least_driver) == (False, True, "550.54")
    assert policy.devices == ("41431d480fe5e87274",)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stranger", 1),
        ("hardware", 1),
        ("roots", "00" * 32),
        ("roots", ["00"]),
        ("roots", [sha256(b"").hex()] * 4_097),
        ("least_driver", "550,90"),
        ("least_driver", "550." * 9 + "1"),
        ("drivers", [550]),
        ("vbioses", ["96.00.9F.00.01"]),
        ("devices", ["0x41"]),
    ],
)
def test_a_table_is_read_strictly(key: str, value: object) -> None:
    with pytest.raises(FormatError, match=key):
        NvidiaPolicy.read({**FULL, key: value})


@pytest.mark.parametrize(
    "table",
    [
        {"least_driver": "550.90.07", "least_vbios": "96.00.9f.00.01"},
        {"least_driver": "99.1", "least_vbios": "96.00.9e"},
        {"drivers": FULL["drivers"], "vbioses": FULL["vbioses"], "devices": FULL["devices"]},
    ],
)
def test_a_genuine_gpu_meets_policies_that_name_what_it_has(table: dict[str, object]) -> None:
    assert replace(genuine_gpu(), policy=NvidiaPolicy.read(table)).judge().assurance == "hardware"
