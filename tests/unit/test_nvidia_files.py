from __future__ import annotations

import base64
import json

import pytest

from attestrain.appraise.nvidia.device import GPU, SWITCH
from attestrain.appraise.nvidia.files import MAX_FILE, MAX_FILE_DEVICES, MAX_PEM, read_devices, read_pem_chain
from attestrain.errors import FormatError
from tests.unit.nvidia_world import genuine, hopper, machine

ONE = {
    "arch": "HOPPER",
    "evidence": base64.b64encode(hopper()[0]).decode(),
    "certificate": base64.b64encode(genuine("hopperCertChain.txt")).decode(),
}


def test_a_file_holds_devices_of_two_kinds() -> None:
    gpus, switches = machine()
    assert [{item.kind for item in group} for group in (gpus, switches)] == [{GPU}, {SWITCH}]
    assert {len(item.chain) for item in (*gpus, *switches)} == {5}


def test_a_file_may_hold_one_device() -> None:
    (device,) = read_devices(json.dumps(ONE).encode())
    assert (device.report, device.chain) == hopper()


MALFORMED = {
    "no devices": (b"[]", "evidence of 0 devices"),
    "too many devices": (json.dumps([{}] * (MAX_FILE_DEVICES + 1)).encode(), "evidence of 65 devices"),
    "too large a file": (b" " * (MAX_FILE + 1), "larger than 1048576"),
    "no JSON": (b"{", "not JSON"),
    "a device that is none": (b"[1]", "device 0 is not an object"),
    "no evidence": (json.dumps({**ONE, "evidence": None}).encode(), "no evidence in base64"),
    "evidence too large": (json.dumps({**ONE, "evidence": "A" * 40_000}).encode(), "no evidence in base64"),
    "no base64": (json.dumps({**ONE, "evidence": "?"}).encode(), "evidence of device 0 is not base64"),
    "no chain": (json.dumps({**ONE, "certificate": "AAAA"}).encode(), "not PEM"),
    "brackets without end": (b"[" * 1_000, "nested"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused(name: str) -> None:
    data, reason = MALFORMED[name]
    with pytest.raises(FormatError, match=reason):
        read_devices(data)


def test_a_chain_is_bounded() -> None:
    chain = genuine("hopperCertChain.txt")
    with pytest.raises(FormatError, match="10 certificates, more than 8"):
        read_pem_chain(chain + b"\n" + chain)
    with pytest.raises(FormatError, match=f"more than {MAX_PEM}"):
        read_pem_chain(chain * 14)
