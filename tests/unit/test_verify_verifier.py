from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from attestrain.errors import ExitCode, FormatError
from attestrain.record.bundle import SPEC, Bundle
from attestrain.record.spec import RunSpec
from attestrain.rules.ledger import Ledger
from attestrain.verify.aggregation import derive
from attestrain.verify.checks import CLAIMS, MAX_DETAIL, Contradiction, Docket, Missing, Status, printable
from attestrain.verify.policy import Pins, Policy
from attestrain.verify.verdict import Outcome, decide
from attestrain.verify.verifier import verify
from tests.attacks.world import cover, honest_world, tiny_spec


def test_every_claim_is_reported_in_order_and_a_skip_says_why() -> None:
    files, policy = honest_world()
    verdict = verify(files, policy)
    assert sorted({check.claim for check in verdict.checks}) == sorted(CLAIMS)
    assert [check.claim for check in verdict.checks] == sorted(check.claim for check in verdict.checks)
    assert all(check.detail for check in verdict.checks)
    assert {check.claim for check in verdict.checks if check.status is Status.SKIPPED} == {2, 3, 7, 10}


def test_guarantees_are_reported_per_run_and_per_worker_round() -> None:
    files, policy = honest_world()
    verdict = verify(files, policy)
    assert {item.name: item.qualifier for item in verdict.achieved} == {
        "signed": "",
        "continuous": "",
        "assigned": "simulated",
        "aggregated": "",
        "replayed": "simulated",
    }
    assert [worker.worker for worker in verdict.workers] == [0, 1, 2]
    for worker in verdict.workers:
        assert worker.aggregated == (0, 1, 2)
        assert all(set(item.achieved) == {found.name for found in verdict.achieved} for item in worker.rounds)


def test_without_a_policy_the_best_is_consistent_and_names_what_is_self_asserted() -> None:
    files, _ = honest_world()
    verdict = verify(files)
    assert verdict.outcome is Outcome.CONSISTENT
    assert verdict.exit_code == ExitCode.CONSISTENT
    assert verdict.self_asserted == ("signed", "continuous", "assigned", "aggregated", "replayed")


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"pins": Pins()}, "signed", "self-asserted"),
        ({"allow_simulated": ()}, "assigned", "simulated"),
        ({"allow_simulated": ("assigned",)}, "replayed", "simulated"),
        ({"replayed_fraction": "0.5"}, "replayed", "0.25 of the segments were drawn, 0.5 are asked for"),
        ({"guarantees": ("signed", "available")}, "available", "carries nothing for it"),
        ({"guarantees": ("signed", "attested")}, "attested", "no evidence that could be judged"),
        ({"guarantees": ("signed", "anchored")}, "anchored", "no chain holds"),
        ({"guarantees": ("signed", "staked")}, "staked", "no chain says"),
    ],
)
def test_what_a_policy_asks_in_vain_is_named(change: dict[str, object], name: str, words: str) -> None:
    files, policy = honest_world()
    verdict = verify(files, replace(policy, **change))  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.CONSISTENT
    assert verdict.unmet[0].name == name
    assert words in verdict.unmet[0].reason


def test_auditors_without_a_pin_leave_only_replayed_self_asserted() -> None:
    files, policy = honest_world()
    verdict = verify(files, replace(policy, pins=replace(policy.pins, auditors=())))
    assert verdict.self_asserted == ("replayed",)
    assert [item.name for item in verdict.unmet] == ["replayed"]


def test_the_verdict_is_a_json_document() -> None:
    files, policy = honest_world()
    document = json.loads(json.dumps(verify(files, policy).to_json()))
    assert (document["format"], document["verdict"], document["exit_code"]) == (
        "attestrain.dev/verdict@v1",
        "VERIFIED",
        0,
    )


@pytest.mark.parametrize(
    ("checks", "pinned", "outcome"),
    [
        ("P", True, Outcome.VERIFIED),
        ("P", False, Outcome.CONSISTENT),
        ("PM", True, Outcome.UNDECIDED),
        ("PS", True, Outcome.VERIFIED),
        ("PMF", True, Outcome.REFUTED),
    ],
)
def test_a_contradiction_outweighs_a_gap_and_a_gap_outweighs_the_rest(
    checks: str, pinned: bool, outcome: Outcome
) -> None:
    docket = Docket()
    for letter in checks:
        if letter == "P":
            docket.hear(4, "p", lambda: (1, "fine"))
        elif letter == "M":
            docket.skip(5, "m", "gone", missing=True)
        elif letter == "S":
            docket.skip(5, "s", "not part of this run")
        else:
            docket.fail(6, "f", "wrong")
    assert decide(tuple(docket.checks), pinned=pinned, unmet=()) is outcome


def _raise(error: Exception) -> tuple[int, str]:
    raise error


def test_the_docket_turns_each_error_into_its_check() -> None:
    docket = Docket()
    assert docket.hear(4, "own", lambda: _raise(Contradiction("no"))) is None
    assert docket.hear(2, "other", lambda: _raise(Contradiction("no", claim=4))) is None
    assert docket.hear(6, "format", lambda: _raise(FormatError("bad"))) is None
    assert docket.hear(11, "missing", lambda: _raise(Missing("gone"))) is None
    found = [(check.claim, check.name, str(check.status), check.missing) for check in docket.checks]
    assert found == [
        (4, "own", "FAIL", False),
        (4, "receipts", "FAIL", False),
        (6, "format", "FAIL", False),
        (11, "missing", "SKIPPED", True),
    ]
    with pytest.raises(ZeroDivisionError):
        docket.hear(5, "bug", lambda: _raise(ZeroDivisionError()))
    assert not docket.passed(4)
    assert not docket.passed(11)


def test_a_skip_is_never_a_pass() -> None:
    docket = Docket()
    docket.skip(7, "availability", "no keepers")
    assert not docket.passed(7)


def test_details_are_one_printable_line() -> None:
    assert printable("a\x1b[31m\nü\udcff") == "a?[31m?\\xfc\\udcff"
    assert len(printable("x" * 10_000)) == MAX_DETAIL


def test_memory_is_bounded_by_what_the_bundle_carries() -> None:
    files, _ = honest_world()
    spec = tiny_spec()
    head = replace(spec.layout.tensors[2], shape=(1 << 20, 1 << 18))
    large = replace(spec, layout=replace(spec.layout, tensors=(*spec.layout.tensors[:2], head)))
    files[SPEC] = large.to_bytes()
    with pytest.raises(Contradiction, match="cannot hold") as caught:
        derive(Bundle(cover(files)), Ledger(RunSpec.from_bytes(files[SPEC])), {})
    assert caught.value.claim == 11


def test_verifying_imports_no_engine(tmp_path: Path) -> None:
    code = (
        "import sys; from attestrain.verify.verifier import verify_folder; from attestrain.verify.policy import Policy;"
        "heavy = {'torch','pydantic','typer','rich','httpx','fastapi','web3','dcap_qvl','safetensors'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"


def test_a_policy_that_asks_for_less_is_met_with_less() -> None:
    files, policy = honest_world()
    modest = Policy(replace(policy.pins, auditors=()), ("signed", "aggregated"))
    assert verify(files, modest).outcome is Outcome.VERIFIED
