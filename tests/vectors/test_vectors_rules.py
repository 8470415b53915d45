from __future__ import annotations

import hashlib
import json
import struct
from fractions import Fraction
from math import ceil
from pathlib import Path

import pytest

from tests.vectors.make_rules import TARGET, make
from tests.vectors.make_statements import TARGET as STATEMENTS

STORED = json.loads(TARGET.read_text())
SPEC = json.loads(json.loads(STATEMENTS.read_text())["spec"])
PAGES = Path(__file__).parents[2] / "spec"


def tagged(tag: str, *parts: bytes) -> bytes:
    """Of spec/draws.md."""
    data = struct.pack(">I", len(tag)) + tag.encode()
    return hashlib.sha256(data + b"".join(struct.pack(">Q", len(part)) + part for part in parts)).digest()


def image(key: bytes, size: int, index: int) -> int:
    """The bijection as spec/assignment.md writes it down."""
    bits = max(1, ((size - 1).bit_length() + 1) // 2)
    value = index
    while True:
        left, right = divmod(value, 2**bits)
        for turn in range(8):
            digest = hashlib.sha256(key + bytes([turn]) + struct.pack(">Q", right)).digest()
            left, right = right, left ^ int.from_bytes(digest[:8], "big") % 2**bits
        value = left * 2**bits + right
        if value < size:
            return value


def test_our_code_still_makes_the_stored_vectors():
    assert json.loads(json.dumps(make())) == STORED


@pytest.mark.parametrize("case", STORED["bijection"]["permutations"], ids=lambda case: str(case["size"]))
def test_the_bijection_follows_from_its_page(case):
    key, size = bytes.fromhex(STORED["bijection"]["key"]), case["size"]
    wanted = case["at"] if "at" in case else dict(enumerate(case["images"]))
    assert {str(i): image(key, size, int(i)) for i in wanted} == {str(i): value for i, value in wanted.items()}


def test_beacons_and_seeds_follow_from_their_page():
    run, value = bytes.fromhex(STORED["run"]), bytes.fromhex(SPEC["beacon"]["value"])
    epoch = tagged("attestrain.dev/epoch-beacon@v1", run, value)
    assert epoch.hex() == STORED["epoch_beacon"]
    before = bytes(32)
    for item in STORED["rounds"]:
        number, commitment = struct.pack(">I", item["round"]), bytes.fromhex(item["commitment"])
        assert tagged("attestrain.dev/round-beacon@v1", epoch, number, before).hex() == item["beacon"]
        assert tagged("attestrain.dev/draw-seed@v1", epoch, number, commitment).hex() == item["draw_seed"]
        before = commitment


def test_batches_follow_from_their_page():
    beacon, schedule = bytes.fromhex(STORED["assignment"]["beacon"]), SPEC["schedule"]
    for case in STORED["assignment"]["splits"]:
        for worker, steps in enumerate(case["batches"]):
            for step, batch in enumerate(steps):
                for row, sequence in enumerate(batch):
                    place = (worker * schedule["steps"] + step) * schedule["batch"] + row
                    turn, index = divmod(place, case["sequences"])
                    key = tagged("attestrain.dev/assignment@v1", beacon, struct.pack(">I", turn))
                    assert image(key, case["sequences"], index) == sequence


def test_draws_follow_from_their_page():
    segments = 4
    count = ceil(Fraction(SPEC["audit"]["fraction"]) * segments)
    for item in STORED["rounds"]:
        seed, wanted = bytes.fromhex(item["draw_seed"]), []
        for worker in map(int, item["segments"]):
            key = tagged("attestrain.dev/draw@v1", seed, struct.pack(">I", worker))
            for segment in sorted(image(key, segments, index) for index in range(count)):
                place = tagged("attestrain.dev/auditor@v1", seed, struct.pack(">II", worker, segment))
                first = int.from_bytes(place[:8], "big")
                wanted += [[worker, segment, (first + vote) % 2] for vote in range(2)]
        assert wanted == item["draws"]


def test_the_pages_show_stored_values_verbatim():
    assignment, draws = (PAGES / "assignment.md").read_text(), (PAGES / "draws.md").read_text()
    for shown in (
        STORED["epoch_beacon"],
        STORED["rounds"][0]["beacon"],
        str(STORED["assignment"]["splits"][0]["batches"][0]),
    ):
        assert shown in assignment
    first = STORED["rounds"][0]
    for shown in (first["commitment"], first["draw_seed"], *map(str, first["draws"])):
        assert shown in draws
