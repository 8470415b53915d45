from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from tests.cli.conftest import Call, Honest


def test_pinned_verification(call: Call, honest: Honest) -> None:
    result = call("verify", honest.bundle, "--policy", honest.policy)
    assert (result.code, result.err) == (ExitCode.DONE, "")
    assert result.out.splitlines()[-1].startswith("VERIFIED  ")
    for claim in range(12):
        assert f"\n({claim})" in result.out
    assert "achieved (simulated)" in result.out


def test_without_pins_consistent_at_best(call: Call, honest: Honest) -> None:
    result = call("verify", honest.bundle)
    assert result.code == ExitCode.CONSISTENT
    assert result.out.splitlines()[-1].startswith("CONSISTENT  ")
    assert "self-asserted" in result.out
    assert "no policy" in result.err


def test_quiet_leaves_the_verdict(call: Call, honest: Honest) -> None:
    result = call("verify", honest.bundle, "--policy", honest.policy, "-q")
    assert result.code == ExitCode.DONE
    assert "(3)" not in result.out
    assert result.out.splitlines()[-1].startswith("VERIFIED  ")


def test_json_is_one_document(call: Call, honest: Honest) -> None:
    result = call("verify", honest.bundle, "--policy", honest.policy, "--json")
    document = json.loads(result.out)
    assert (result.code, document["verdict"], document["exit_code"]) == (0, "VERIFIED", 0)
    assert {check["claim"] for check in document["checks"]} == set(range(12))


@pytest.mark.parametrize("lie", ["poison-model", "flip-update-byte", "forge-run", "wrong-batch"])
def test_tampered_bundles_are_refuted_by_name(call: Call, honest: Honest, tmp_path: Path, lie: str) -> None:
    forged = tmp_path / "forged"
    told = json.loads(call("tamper", honest.bundle, "--lie", lie, "--out", forged, "--json", "-q").out)
    result = call("verify", forged, "--policy", honest.policy)
    assert result.code == ExitCode.REFUTED
    assert result.out.splitlines()[-1].startswith("REFUTED  claim (")
    assert f"({told['claim']})" in result.out.splitlines()[-1]


def test_tamper_lists_its_lies(call: Call) -> None:
    listed = json.loads(call("tamper", "--list", "--json").out)
    assert {"poison-model", "forge-run"} <= {item["lie"] for item in listed}
    table = call("tamper", "--list").out
    assert all(item["lie"] in table for item in listed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lie", "white", "--out", "x"), "no lie is called 'white'"),
        (("--lie", "poison-model", "--out", "."), ". exists already"),
    ],
)
def test_tamper_refuses(call: Call, honest: Honest, arguments: tuple[str, ...], message: str) -> None:
    result = call("tamper", honest.bundle, *arguments)
    assert result.code == ExitCode.USAGE
    assert message in result.err


def test_tamper_leaves_the_bundle_as_it_is(call: Call, honest: Honest) -> None:
    inside = honest.bundle / "lies" / "one"
    result = call("tamper", honest.bundle, "--lie", "poison-model", "--out", inside)
    assert result.code == ExitCode.USAGE
    assert "lies inside the bundle" in result.err
    assert "hint: give a folder outside of it" in result.err
    assert not inside.parent.exists()


@pytest.mark.parametrize("text", ["", "format = 1", "[pins", "\udcff"])
def test_bad_policies_are_usage_errors(call: Call, honest: Honest, tmp_path: Path, text: str) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    result = call("verify", honest.bundle, "--policy", policy)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert result.err.startswith("attestrain: policy ")


def test_names_in_a_bundle_cannot_steer_the_terminal(call: Call, honest: Honest, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    call("tamper", honest.bundle, "--lie", "edit-spec", "--out", copy)
    (copy / "manifest.json").write_bytes(b'{"format":"\x1b[2J\x1b]0;owned\x07"}')
    result = call("verify", copy)
    assert result.code == ExitCode.REFUTED
    assert "\x1b" not in result.out + result.err
    assert "\x07" not in result.out + result.err


def test_the_sample_ships_small_and_verifies(call: Call) -> None:
    assert resources.files("attestrain").joinpath("data/sample.zip").stat().st_size < 400_000  # type: ignore[attr-defined]
    result = call("verify", "--sample", "--json")
    document = json.loads(result.out)
    assert (result.code, document["verdict"]) == (ExitCode.DONE, "VERIFIED")
    assert [bool(worker["fault"]) for worker in document["workers"]] == [False, False, True]


def test_the_sample_under_another_policy_is_refuted(call: Call, honest: Honest) -> None:
    assert call("verify", "--sample", "--policy", honest.policy).code == ExitCode.REFUTED
