from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import pytest

from tests.vectors.make_evidence import TARGET, Case, make, refusal

STORED = json.loads(TARGET.read_text())
CASE = Case(**STORED["case"])


def test_our_code_still_judges_the_stored_case_as_stored() -> None:
    assert make(CASE) == STORED


def test_registers_follow_from_the_written_layout_alone() -> None:
    register = bytes(48)
    for item in STORED["registers"]:
        text = b""
        for width, part in ((">I", "attestrain.dev/event@v1"), (">Q", item["name"]), (">Q", item["payload"])):
            text += struct.pack(width, len(part)) + part.encode()
        register = hashlib.sha384(register + hashlib.sha384(text).digest()).digest()
        assert register.hex() == item["register"]


def test_the_quote_holds_register_and_report_data_where_the_page_says() -> None:
    quote = bytes.fromhex(CASE.evidence["quote"])
    assert quote[520:568].hex() == STORED["registers"][-1]["register"]
    assert quote[568:632].hex() == STORED["report_data"]
    assert hashlib.sha256(quote[:632]).hexdigest() == STORED["appraisal"]["quoted"]


@pytest.mark.parametrize("stored", STORED["refused"], ids=lambda stored: stored["why"])
def test_a_stored_change_is_refused_for_its_stored_reason(stored: dict[str, str]) -> None:
    assert refusal(CASE.changed(stored["path"], stored["value"])) == stored["reason"]  # type: ignore[arg-type]


def test_the_specification_shows_the_stored_case_verbatim() -> None:
    page = (Path(__file__).parents[2] / "spec/evidence.md").read_text()
    shown = [STORED["digest"], STORED["report_data"], STORED["registers"][-1]["register"], *CASE.roots]
    shown += [STORED["registers"][0]["digest"], STORED["appraisal"]["platform"], STORED["appraisal"]["quoted"]]
    shown += [CASE.binding["session"], CASE.binding["participant"], CASE.evidence["quote"][:128]]
    assert not [item for item in shown if item not in page]
