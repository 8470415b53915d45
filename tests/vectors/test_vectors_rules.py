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
SPECS = {mode: json.loads(run["spec"]) for mode, run in json.loads(STATEMENTS.read_text())["runs"].items()}
PAGES = Path(__file__).parents[2] / "spec"
IN_EVERY_RUN = pytest.mark.parametrize("mode", ["recorded", "chain", "delayed"])


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


@IN_EVERY_RUN
def test_beacons_and_seeds_follow_from_their_page(mode: str):
    stored = STORED["runs"][mode]
    run, epochs = bytes.fromhex(stored["run"]), []
    for item in stored["epochs"]:
        epochs.append(tagged("attestrain.dev/epoch-beacon@v1", run, bytes.fromhex(item["value"])))
        assert epochs[-1].hex() == item["beacon"]
    before = bytes(32)
    for item in stored["rounds"]:
        number, commitment = struct.pack(">I", item["round"]), bytes.fromhex(item["commitment"])
        epoch, after = epochs[item["round"]], epochs[item["round"] + 1]
        assert tagged("attestrain.dev/round-beacon@v1", epoch, number, before).hex() == item["beacon"]
        assert tagged("attestrain.dev/draw-seed@v1", after, number, commitment).hex() == item["draw_seed"]
        before = commitment


def test_a_recorded_beacon_is_the_same_in_every_epoch_and_a_chain_has_one_for_each():
    recorded, chain = (STORED["runs"][mode]["epochs"] for mode in ("recorded", "chain"))
    assert {item["value"] for item in recorded} == {SPECS["recorded"]["beacon"]["value"]}
    entries = json.loads(STATEMENTS.read_text())["runs"]["chain"]["transcript"]["entries"]
    said = [entry for entry in map(json.loads, entries) if entry["format"] == "attestrain.dev/beacon@v1"]
    assert [item["value"] for item in chain] == [entry["value"] for entry in said]
    assert len({item["value"] for item in chain}) == len(chain) == SPECS["chain"]["schedule"]["rounds"] + 1


def test_batches_follow_from_their_page():
    beacon, schedule = bytes.fromhex(STORED["assignment"]["beacon"]), SPECS["chain"]["schedule"]
    for case in STORED["assignment"]["splits"]:
        for worker, steps in enumerate(case["batches"]):
            for step, batch in enumerate(steps):
                for row, sequence in enumerate(batch):
                    place = (worker * schedule["steps"] + step) * schedule["batch"] + row
                    turn, index = divmod(place, case["sequences"])
                    key = tagged("attestrain.dev/assignment@v1", beacon, struct.pack(">I", turn))
                    assert image(key, case["sequences"], index) == sequence


@IN_EVERY_RUN
def test_draws_follow_from_their_page(mode: str):
    segments, audit = 4, SPECS[mode]["audit"]
    count = ceil(Fraction(audit["fraction"]) * segments)
    for item in STORED["runs"][mode]["rounds"]:
        seed, auditors, wanted = bytes.fromhex(item["draw_seed"]), item["auditors"], []
        for worker in map(int, item["segments"]):
            key = tagged("attestrain.dev/draw@v1", seed, struct.pack(">I", worker))
            for segment in sorted(image(key, segments, index) for index in range(count)):
                place = tagged("attestrain.dev/auditor@v1", seed, struct.pack(">II", worker, segment))
                first = int.from_bytes(place[:8], "big")
                assigned = [auditors[(first + vote) % len(auditors)] for vote in range(audit["votes"])]
                wanted += [[worker, segment, auditor] for auditor in assigned]
        assert wanted == item["draws"]


def test_the_pages_show_stored_values_verbatim():
    assignment, draws = (PAGES / "assignment.md").read_text(), (PAGES / "draws.md").read_text()
    stored = STORED["runs"]["chain"]
    first, second = stored["epochs"][:2]
    batches = STORED["assignment"]["splits"][0]["batches"]
    for shown in (*first.values(), stored["rounds"][0]["beacon"], *map(str, batches)):
        assert shown in assignment
    shown_round = stored["rounds"][0]
    for shown in (
        second["beacon"],
        shown_round["commitment"],
        shown_round["draw_seed"],
        *map(str, shown_round["draws"]),
    ):
        assert shown in draws
