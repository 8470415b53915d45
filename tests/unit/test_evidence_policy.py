"""The policy document: what each line of it takes and refuses."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.endorsed import endorse
from attestrain.appraise.formats import appraise_any
from attestrain.appraise.intel.policy import STATUSES, IntelPolicy
from attestrain.appraise.platforms import FORMAT as PLATFORMS
from attestrain.appraise.policy import FORMAT, EvidencePolicy, check_together, gpu_of
from attestrain.appraise.references import FORMAT as REFERENCES
from attestrain.appraise.refused import Refused
from attestrain.errors import PolicyNotMet, UsageError
from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from tests.unit.evidence_world import NOW, honest_world, pki

BUILDER, OTHER = (SigningKey(bytes([number]) * 32) for number in (7, 8))
Files = dict[str, bytes]


def read(text: str, files: Files | None = None) -> EvidencePolicy:
    return EvidencePolicy.from_toml(f'format = "{FORMAT}"\n{text}', (files or {}).__getitem__)


def of_development(text: str = "", files: Files | None = None) -> EvidencePolicy:
    """A policy of the development network whose machine gives the evidence."""
    head = f'[require]\nassurance = "simulated"\n[intel]\nroots = ["{pki().root_digest.hex()}"]\n'
    return read(head + text, files)


def judge(policy: EvidencePolicy) -> Attestation:
    return appraise_any(honest_world().evidence.to_bytes(), None, policy, NOW)


@functools.cache
def shown() -> Attestation:
    """What the honest machine shows."""
    return judge(of_development())


def images(**registers: str) -> dict[str, Any]:
    """A manifest of one row."""
    return {
        "format": REFERENCES,
        "images": [{"image": "development", "vcpus": 2, "memory": 4096, "registers": registers}],
    }


def platforms(**changes: Any) -> dict[str, Any]:
    """A list of the honest machine alone."""
    entry = {"vendor": "intel", "platform": shown().platform, "evidence": "seen in a rack", "expires": NOW + 1}
    return {"format": PLATFORMS, "platforms": [{**entry, **changes}]}


def signed(section: str, document: dict[str, Any], key: SigningKey = BUILDER) -> EvidencePolicy:
    text = f'[{section}]\nfiles = ["file"]\nsigners = ["{BUILDER.address}"]\n'
    return of_development(text, {"file": endorse(document, key)})


def test_the_default_takes_what_hardware_says_and_nothing_else() -> None:
    assert read("") == EvidencePolicy()
    assert EvidencePolicy().intel == IntelPolicy()
    with pytest.raises(Refused, match="neither Intel's nor a pinned development root"):
        judge(read(""))


def test_a_pinned_development_root_is_not_enough_where_hardware_is_asked_for() -> None:
    with pytest.raises(PolicyNotMet, match="the evidence is simulated, and the policy asks for hardware"):
        judge(read(f'[intel]\nroots = ["{pki().root_digest.hex()}"]'))


def test_every_field_of_the_section_is_read() -> None:
    policy = read(
        "[intel]\nhardware = false\nstatuses = ['OutOfDate']\nadvisories = ['A']\ndenied_advisories = ['B']\n"
        "least_evaluation = 19\nmost_age_days = 7\ndynamic_platform = false\ncached_keys = false\nsmt = false\n"
        f"[intel.registers]\nmrtd = ['{'00' * 48}']"
    )
    assert policy.intel == IntelPolicy(
        hardware=False,
        statuses=("OutOfDate",),
        advisories=("A",),
        denied_advisories=("B",),
        least_evaluation=19,
        most_age=7 * 86_400,
        dynamic_platform=False,
        cached_keys=False,
        smt=False,
        registers={"mrtd": (bytes(48),)},
    )


@pytest.mark.parametrize("state", ["OutOfDate", "SWHardeningNeeded", "ConfigurationNeeded"])
def test_a_state_that_the_policy_takes_is_taken_and_named(state: str) -> None:
    document = honest_world().with_evidence(collateral=pki().collateral(NOW, status=state)).evidence.to_bytes()
    taking = EvidencePolicy(
        assurance="simulated", intel=IntelPolicy(roots=(pki().root_digest,), statuses=("UpToDate", state))
    )
    assert appraise_any(document, None, taking, NOW).tcb == state
    with pytest.raises(Refused, match=f"TCB is {state}, not UpToDate"):
        appraise_any(document, None, of_development(), NOW)


def test_a_revoked_platform_is_refused_whatever_the_policy_takes() -> None:
    document = honest_world().with_evidence(collateral=pki().collateral(NOW, status="Revoked")).evidence.to_bytes()
    taking = EvidencePolicy(assurance="simulated", intel=IntelPolicy(roots=(pki().root_digest,), statuses=STATUSES))
    with pytest.raises(Refused, match="Revoked"):
        appraise_any(document, None, taking, NOW)


def test_a_reference_that_agrees_is_proven_and_named() -> None:
    mrtd, package = shown().measurements["mrtd"].hex(), shown().measurements["package"].hex()
    found = judge(signed("references", images(mrtd=mrtd, package=package)))
    assert f"image development with 2 vCPUs and 4096 MiB, for which {BUILDER.address} vouches" in found.proven[-1]
    assert any(item.startswith("mrtd:") for item in shown().unchecked)
    assert not any(item.startswith("mrtd:") for item in found.unchecked)


def test_a_listed_platform_is_proven_and_named() -> None:
    found = judge(signed("platforms", platforms()))
    assert found.proven[-1].endswith("seen in a rack")
    assert any("no platform list" in item for item in shown().unchecked)
    assert not any("no platform list" in item for item in found.unchecked)


UNMET: dict[str, tuple[Callable[[], EvidencePolicy], str]] = {
    "another image": (
        lambda: signed("references", images(mrtd="00" * 48)),
        "nearest is image .*: mrtd is .*, not 0000",
    ),
    "another code": (
        lambda: signed("references", images(mrtd=shown().measurements["mrtd"].hex(), package="00" * 32)),
        "package is .*, not 0000",
    ),
    "a register that was not measured": (
        lambda: signed("references", images(launch_digest="00" * 48)),
        "launch_digest is not measured, not 0000",
    ),
    "no reference at all": (
        lambda: signed("references", {"format": REFERENCES, "images": []}),
        "no reference values to compare with",
    ),
    "a platform that nobody knows": (lambda: signed("platforms", platforms(platform="00" * 16)), "on none of the"),
    "a platform of another maker": (lambda: signed("platforms", platforms(vendor="amd")), "of intel is on none of the"),
    "a platform known once": (lambda: signed("platforms", platforms(expires=NOW)), "entry of platform .* expired at"),
}


@pytest.mark.parametrize("name", UNMET)
def test_what_the_policy_asks_for_besides_is_not_met_for_its_own_reason(name: str) -> None:
    policy, reason = UNMET[name]
    with pytest.raises(PolicyNotMet, match=reason):
        judge(policy())


@pytest.mark.parametrize(("section", "make"), [("references", lambda: images(mrtd="00")), ("platforms", platforms)])
def test_a_document_that_another_signed_does_not_count(section: str, make: Callable[[], dict[str, Any]]) -> None:
    with pytest.raises(Refused, match=f"is signed by {OTHER.address}, and the policy listens to {BUILDER.address}"):
        signed(section, make(), OTHER)


def test_a_signed_document_that_was_edited_does_not_count() -> None:
    document = json.loads(endorse(platforms(), BUILDER))
    document["platforms"][0]["expires"] += 1
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    text = f'[platforms]\nfiles = ["file"]\nsigners = ["{BUILDER.address}"]\n'
    with pytest.raises(Refused, match="is signed by 0x"):
        of_development(text, {"file": data})


def test_two_makers_are_asked_for_and_one_is_there() -> None:
    policy = read("[require]\nvendors = 2")
    with pytest.raises(PolicyNotMet, match="makers of processors are intel: 1, not 2"):
        check_together([shown(), shown()], policy)
    check_together([shown()], read(""))


def gpu(tcb: str, assurance: str = "hardware") -> Attestation:
    """What a GPU shows, in the terms of every maker."""
    return Attestation("nvidia-gpu-report", assurance, sha256(b"root"), "00" * 8, sha256(b"signed"), bytes(32), tcb=tcb)


@pytest.mark.parametrize(
    ("gpus", "kind"),
    [
        ([], "none"),
        ([gpu("attested+rim")], "attested+rim"),
        ([gpu("attested+rim"), gpu("attested")], "attested"),
        ([gpu("attested+rim"), gpu("attested+rim", "simulated")], "simulated"),
    ],
)
def test_of_gpus_the_weakest_counts(gpus: list[Attestation], kind: str) -> None:
    assert gpu_of([shown(), *gpus]) == kind
    check_together([shown(), *gpus], read(f"[require]\ngpu = '{kind}'"))
    if kind != "attested+rim":
        with pytest.raises(PolicyNotMet, match=f"evidence of GPUs is {kind}, and the policy asks for attested"):
            check_together([shown(), *gpus], read("[require]\ngpu = 'attested+rim'"))


MALFORMED = {
    "no TOML": ("=", "evidence policy cannot be read"),
    "a field of nobody": ("colour = 1", "policy has unknown fields: colour"),
    "a field of no section": ("[intel]\nfast = true", "intel has unknown fields: fast"),
    "no table": ("intel = 3", "intel is not a table"),
    "no boolean": ("[intel]\nsmt = 1", "intel.smt is not true or false"),
    "no number": ("[intel]\nleast_evaluation = 'x'", "intel.least_evaluation is not an integer"),
    "a number out of range": ("[intel]\nmost_age_days = 0", "intel.most_age_days is not an integer in 1"),
    "no array": ("[intel]\nstatuses = 'UpToDate'", "intel.statuses is not an array"),
    "a state that nobody may take": ("[intel]\nstatuses = ['Revoked']", "'Revoked' is none of UpToDate"),
    "no root": ("[intel]\nroots = ['00']", "not a SHA-256 digest"),
    "a register of no machine": ("[intel.registers]\nrtmr9 = []", "intel.registers has unknown fields: rtmr9"),
    "no register value": ("[intel.registers]\nmrtd = ['xx']", "not 1 to 64 bytes in lower-case hexadecimal"),
    "no assurance": ("[require]\nassurance = 'good'", "require.assurance is not one of simulated, hardware"),
    "more makers than there are": ("[require]\nvendors = 3", "require.vendors is not an integer in 0..2"),
    "no signer": ("[platforms]\nsigners = ['me']", "not an address"),
    "text that is no text": ("[platforms]\nfiles = [1]", "no short printable text"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_policy_is_refused_with_its_place(name: str) -> None:
    text, reason = MALFORMED[name]
    with pytest.raises(UsageError, match=reason):
        read(text)


def test_a_policy_of_another_format_is_refused() -> None:
    with pytest.raises(UsageError, match="format is not"):
        EvidencePolicy.from_toml('format = "attestrain.dev/policy@v1"', {}.__getitem__)


@pytest.mark.parametrize("format_", [REFERENCES, PLATFORMS])
def test_a_document_of_another_format_is_refused(format_: str) -> None:
    section = "platforms" if format_ == REFERENCES else "references"
    with pytest.raises(UsageError, match="document of format"):
        signed(section, {"format": format_})


def test_the_example_of_the_specification_is_read() -> None:
    page = (Path(__file__).parents[2] / "spec/evidence-policy.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0]
    first, second = (SigningKey(bytes([number]) * 32) for number in (1, 2))
    files = {"image.json": endorse(images(mrtd="00"), first), "known.json": endorse(platforms(), second)}
    policy = EvidencePolicy.from_toml(text, files.__getitem__)
    assert policy.intel.least_evaluation == 18
    assert policy.references is not None
    assert [row.signer for row in policy.references] == [first.address]
    assert policy.platforms is not None
    assert [entry.signer for entry in policy.platforms] == [second.address]
