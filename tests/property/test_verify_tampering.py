"""Whatever a stranger changes in an honest bundle, pinned verification never says VERIFIED and never breaks down."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from attestrain.cli.forgery import Transcript, forged_key
from attestrain.record.bundle import CHAIN, MANIFEST, Manifest, MemoryFiles, make_manifest
from attestrain.record.canonical import canonical, parse
from attestrain.record.statements import Signed, sign
from attestrain.verify.verdict import Outcome, Verdict
from attestrain.verify.verifier import verify
from tests.attacks.anchored_world import anchored_world
from tests.attacks.world import cover, honest_world

HONEST, POLICY = honest_world()
PATHS = sorted(HONEST)
DOCUMENTS = [path for path in PATHS if path.endswith(".json")]
ENTRIES = len(Transcript.read(HONEST).signed)

EXAMPLES = settings(max_examples=30)


def judged(files: MemoryFiles) -> Verdict:
    """The verdict, which must name what is wrong."""
    verdict = verify(files, POLICY)
    named = verdict.failed_claims or [check.claim for check in verdict.checks if check.missing]
    assert verdict.outcome in (Outcome.REFUTED, Outcome.UNDECIDED)
    assert named
    json.dumps(verdict.to_json())
    return verdict


def covered(files: MemoryFiles, cover_up: bool) -> MemoryFiles:
    """The manifest made again over what lies there now, under the true run's name."""
    if cover_up:
        run = Manifest.from_bytes(HONEST[MANIFEST]).run
        files[MANIFEST] = make_manifest(run, files).to_bytes()
    return files


@EXAMPLES
@given(st.sampled_from(PATHS), st.integers(0), st.integers(0, 7), st.booleans())
def test_flipping_any_bit_of_any_file(path: str, place: int, bit: int, cover_up: bool) -> None:
    data = bytearray(HONEST[path])
    data[place % len(data)] ^= 1 << bit
    judged(covered(MemoryFiles({**HONEST, path: bytes(data)}), cover_up and path != MANIFEST))


@EXAMPLES
@given(st.sampled_from(PATHS), st.integers(0), st.binary(max_size=8), st.integers(0, 8), st.booleans())
def test_inserting_and_cutting_bytes(path: str, place: int, inserted: bytes, cut: int, cover_up: bool) -> None:
    data = HONEST[path]
    at = place % (len(data) + 1)
    changed = data[:at] + inserted + data[at + cut :]
    assume(changed != data)
    judged(covered(MemoryFiles({**HONEST, path: changed}), cover_up and path != MANIFEST))


@EXAMPLES
@given(st.sampled_from(DOCUMENTS), st.data(), st.booleans())
def test_editing_any_field_of_any_document(path: str, data: st.DataObject, cover_up: bool) -> None:
    document = parse(HONEST[path])
    holder, place = _pick(document, data)
    before = holder[place]
    holder[place] = data.draw(_other(before))
    assume(holder[place] != before or type(holder[place]) is not type(before))
    judged(covered(MemoryFiles({**HONEST, path: canonical(document)}), cover_up and path != MANIFEST))


def _pick(value: Any, data: st.DataObject) -> tuple[Any, Any]:
    """A random place in a document: its holder and its key."""
    holder, place = value, data.draw(st.sampled_from(sorted(value)))
    while isinstance(holder[place], dict | list) and holder[place] and data.draw(st.integers(0, 9)):
        holder = holder[place]
        places = sorted(holder) if isinstance(holder, dict) else range(len(holder))
        place = data.draw(st.sampled_from(places))
    return holder, place


def _other(before: object) -> st.SearchStrategy[Any]:
    """Values to put in another's place, most of them of the same kind."""
    if isinstance(before, bool) or before is None:
        return st.sampled_from([True, False, None, 0])
    if isinstance(before, int):
        return st.one_of(st.integers(-1, 2**53 - 1), st.just(before + 1))
    if isinstance(before, str):
        digits = st.integers(0, max(0, len(before) - 1)).map(lambda at: before[:at] + "0" + before[at + 1 :])
        return st.one_of(digits, st.text(max_size=20, alphabet=st.characters(exclude_categories=["Cs"])))
    return st.sampled_from([{}, [], "", 0, None])


@EXAMPLES
@given(st.sets(st.sampled_from(PATHS), min_size=1, max_size=3), st.booleans())
def test_dropping_files(paths: set[str], cover_up: bool) -> None:
    bound = [path for path in paths if not path.startswith(("data/", "states/"))]
    assume(bound or not cover_up)  # data and states are optional: without them, and without their names, all holds
    files = MemoryFiles({path: data for path, data in HONEST.items() if path not in paths})
    judged(covered(files, cover_up and MANIFEST not in paths))


@EXAMPLES
@given(st.sampled_from(PATHS), st.sampled_from(PATHS), st.booleans(), st.booleans())
def test_swapping_and_copying_files(one: str, other: str, swap: bool, cover_up: bool) -> None:
    assume(HONEST[one] != HONEST[other])
    files = MemoryFiles({**HONEST, one: HONEST[other]})
    if swap:
        files[other] = HONEST[one]
    judged(covered(files, cover_up and MANIFEST not in (one, other)))


@EXAMPLES
@given(st.permutations(range(ENTRIES)), st.integers(1, ENTRIES))
def test_dropping_and_reordering_entries_under_an_attackers_key(order: list[int], kept: int) -> None:
    log = Transcript.read(HONEST)
    log.signed = [log.signed[index] for index in order[:kept]]
    files = MemoryFiles(HONEST)
    log.write(files)
    assert 2 in judged(covered(files, True)).failed_claims


@EXAMPLES
@given(st.integers(0, ENTRIES - 1), st.data())
def test_editing_a_statement_and_signing_it_with_an_attackers_key(index: int, data: st.DataObject) -> None:
    log = Transcript.read(HONEST)
    document = parse(log.signed[index].to_bytes())
    place = data.draw(st.sampled_from(sorted(document.keys() - {"format", "signature"})))
    value = document[place]
    document[place] = value + 1 if isinstance(value, int) else value[:-1] + ("0" if value[-1:] != "0" else "1")
    edited = Signed.from_bytes(canonical(document)).statement
    log.signed[index] = sign(edited, forged_key(log.signed[index].signer()))
    files = MemoryFiles(HONEST)
    log.write(files)
    judged(covered(files, True))


ANCHORED, ANCHORED_POLICY = anchored_world()
TESTIMONY = [CHAIN, *sorted(path for path in ANCHORED if path.startswith("evidence/"))]


@settings(max_examples=60)
@given(st.integers(0), st.integers(0), st.integers(0, 7))
def test_flipping_any_bit_of_what_a_chain_or_a_machine_says(which: int, place: int, bit: int) -> None:
    path = TESTIMONY[which % len(TESTIMONY)]
    data = bytearray(ANCHORED[path])
    data[place % len(data)] ^= 1 << bit
    verdict = verify(cover(MemoryFiles({**ANCHORED, path: bytes(data)})), ANCHORED_POLICY)
    assert verdict.outcome in (Outcome.REFUTED, Outcome.UNDECIDED)
    assert {2, 3, 10} & {*verdict.failed_claims, *(check.claim for check in verdict.checks if check.missing)}


@settings(max_examples=60)
@given(st.data())
def test_replacing_any_value_of_chain_facts(data: st.DataObject) -> None:
    document = parse(ANCHORED[CHAIN])
    holder, key = data.draw(st.sampled_from(list(values_of(document))))
    before = holder[key]
    holder[key] = data.draw(st.sampled_from([None, 0, 1, 2**53 - 1, "", "0x", "0x00", [], {}, "0x" + "00" * 32]))
    assume(holder[key] != before)
    assume(document["cases"])  # cases of proven faults are asked for whether they are listed or not
    verdict = verify(cover(MemoryFiles({**ANCHORED, CHAIN: canonical(document)})), ANCHORED_POLICY)
    assert verdict.outcome in (Outcome.REFUTED, Outcome.UNDECIDED)


def values_of(value: Any) -> Any:
    """Every place of a document that holds something, as container and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        yield value, key
        yield from values_of(inside)
