"""`attestrain evidence verify`: verdicts, exit codes and words."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from attestrain.appraise.policy import FORMAT
from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from attestrain.store.keystore import save_key
from tests.cli.conftest import Call
from tests.unit.evidence_world import DAY, NOW, TEE, honest_world, pki
from tests.unit.nvidia_world import genuine

LOGS = Path(__file__).parents[1] / "data/logs"
NITRO_TIME = "2025-12-25T16:10:00Z"
OLDER = ("--collateral", TEE / "dcap-qvl/tdx_quote_collateral.json", "--at", "1752919234")
NEWER = ("--collateral", TEE / "dcap-qvl/tdx_quote_outdated_collateral.json", "--at", "2026-03-20T10:41:14Z")


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """Evidence of a simulated machine."""
    path = tmp_path / "evidence.json"
    path.write_bytes(honest_world().evidence.to_bytes())
    return path


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The policy of its network."""
    path = tmp_path / "policy.toml"
    text = f'format = "{FORMAT}"\n[require]\nassurance = "simulated"\n[intel]\nroots = ["{pki().root_digest.hex()}"]\n'
    path.write_text(text)
    return path


def test_simulated_evidence_is_verified_as_such_under_its_policy(call: Call, document: Path, policy: Path) -> None:
    result = call("evidence", "verify", document, "--policy", policy, "--at", NOW)
    assert (result.code, result.err) == (0, "")
    assert "tdx-quote-v4, simulated, platform" in result.out
    assert "proven       RTMR3 is what its event log replays to" in result.out.replace("\n               ", " ")
    assert "not checked  mrtd: no reference value" in result.out
    assert result.out.splitlines()[-1].startswith("VERIFIED  the evidence holds under the policy; assurance: simulated")


def test_programs_get_one_document(call: Call, document: Path, policy: Path) -> None:
    shown = json.loads(call("evidence", "verify", document, "--policy", policy, "--at", NOW, "--json").out)
    assert (shown["verdict"], shown["assurance"], shown["vendors"]) == ("VERIFIED", "simulated", ["intel"])
    assert shown["gpu"] == "none"
    (piece,) = shown["evidence"]
    assert piece["report_data"] == honest_world().binding.report_data.hex()
    assert piece["measurements"]["package"] == honest_world().measured.package.hex()


def test_simulated_evidence_is_refuted_by_default(call: Call, document: Path) -> None:
    result = call("evidence", "verify", document, "--at", NOW)
    assert result.code == 4
    assert "neither Intel's nor a pinned development root" in result.out
    assert "no policy: the safe defaults were taken" in result.err


def test_evidence_out_of_its_time_is_refuted(call: Call, document: Path, policy: Path) -> None:
    result = call("evidence", "verify", document, "--policy", policy, "--at", NOW + 40 * DAY)
    assert result.code == 4
    assert "REFUTED" in result.out
    assert "expired at" in result.out


def test_what_the_policy_asks_for_besides_makes_it_consistent(call: Call, document: Path, policy: Path) -> None:
    policy.write_text(policy.read_text().replace('"simulated"', '"hardware"'))
    result = call("evidence", "verify", document, "--policy", policy, "--at", NOW)
    assert result.code == 5
    assert "CONSISTENT" in result.out
    assert "the evidence is simulated, and the policy asks for hardware" in " ".join(result.out.split())


def test_makers_are_counted_over_all_files(call: Call, document: Path, policy: Path) -> None:
    policy.write_text(policy.read_text().replace("[require]", "[require]\nvendors = 2"))
    result = call("evidence", "verify", document, document, "--policy", policy, "--at", NOW)
    assert result.code == 5
    assert "CONSISTENT  makers of processors are intel: 1, not 2" in result.out


def test_a_quote_without_collateral_is_undecided(call: Call, tmp_path: Path) -> None:
    quote = tmp_path / "quote.hex"
    quote.write_text("0x" + honest_world().evidence.quote.hex() + "\n")
    result = call("evidence", "verify", quote)
    assert result.code == 3
    assert "UNDECIDED" in result.out
    assert "--collateral FILE" in result.out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no format known here, beginning with nothing"),
        (b"\xff" * 100, "no format known here, beginning with ffff"),
        (b'{"format":"attestrain.dev/evidence@v1"}', "evidence has unknown or missing fields"),
        (b'{"quote": 3, "event_log": ""}', "the report's quote is no text"),
    ],
)
def test_files_that_are_no_evidence_are_a_users_mistake(
    call: Call, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    result = call("evidence", "verify", path)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "-1"])
def test_times_that_are_none_are_a_users_mistake(call: Call, document: Path, text: str) -> None:
    result = call("evidence", "verify", document, f"--at={text}")
    assert result.code == 2
    assert f"'{text}' is no time" in result.err


def test_a_policy_that_names_a_missing_file_is_a_users_mistake(call: Call, document: Path, policy: Path) -> None:
    policy.write_text(policy.read_text() + '[platforms]\nfiles = ["gone.json"]\n')
    result = call("evidence", "verify", document, "--policy", policy)
    assert result.code == 2
    assert "gone.json" in result.err


@pytest.mark.parametrize(
    ("name", "options", "code", "text"),
    [
        ("dcap-qvl/tdx_quote", OLDER, 0, "assurance: hardware"),
        ("go-tdx-guest/quote_v5_sample.dat", NEWER, 0, "tdx-quote-v5, hardware"),
        ("dstack/quote-report.json", NEWER, 0, "tdx-quote-v4, hardware"),
        ("dcap-qvl/tdx_quote_outdated", NEWER, 4, "No matching TCB level"),
        ("automata/quotev5.dat", NEWER, 4, "mrservicetd"),
        ("trustee/tdx_quote_4.dat", (), 4, "can be debugged"),
        ("automata/quotev4.hex", (), 3, "nobody vouches"),
    ],
)
def test_genuine_files_get_their_verdict(
    call: Call, name: str, options: tuple[object, ...], code: int, text: str
) -> None:
    result = call("evidence", "verify", TEE / name, *options)
    assert result.code == code
    assert text in " ".join(result.out.split())


def test_a_dstack_report_shows_what_its_log_measured(call: Call, tmp_path: Path) -> None:
    report = json.loads((TEE / "dstack/quote-report.json").read_text())
    honest = call("evidence", "verify", TEE / "dstack/quote-report.json", *NEWER)
    assert "28 events give RTMR0, RTMR1, RTMR2, RTMR3" in " ".join(honest.out.split())
    assert "compose-hash" in honest.out

    report["event_log"] = json.dumps(json.loads(report["event_log"])[:-1])
    shorter = tmp_path / "shorter.json"
    shorter.write_text(json.dumps(report))
    refuted = call("evidence", "verify", shorter, *NEWER)
    assert refuted.code == 4
    assert "but the events give" in refuted.out


@pytest.mark.parametrize("name", ["nitro.bin", "tpm-quote.bin"])
def test_what_is_unsupported_for_training_is_no_verdict_of_ours(call: Call, name: str) -> None:
    result = call("evidence", "verify", LOGS / name, "--at", NITRO_TIME)
    assert result.code == 5
    assert "unsupported for training" in " ".join(result.out.split())


def test_a_verdict_is_written_as_a_signed_token(call: Call, document: Path, policy: Path, tmp_path: Path) -> None:
    key, secret, token = tmp_path / "key.json", tmp_path / "pass", tmp_path / "result.jwt"
    save_key(key, SigningKey(bytes([7]) * 32), "word", light=True)
    secret.write_text("word\n")
    secret.chmod(0o600)
    options = ("--policy", policy, "--at", NOW, "--ear", token, "--key", key, "--passphrase", secret)
    assert call("evidence", "verify", document, *options).code == 0
    body = token.read_text().split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    appraisal = claims["submods"]["evidence-0"]
    assert appraisal["ear.status"] == "warning"
    assert appraisal["ear.appraisal-policy-id"] == f"sha256:{sha256(policy.read_bytes()).hex()}"


def test_a_token_that_nobody_signs_is_a_users_mistake(call: Call, document: Path) -> None:
    result = call("evidence", "verify", document, "--ear", "token.jwt")
    assert result.code == 2
    assert "--ear and --key go together" in result.err


@pytest.mark.parametrize(
    ("report", "leaf", "code", "text"),
    [
        ("trustee/test-report.bin", "trustee/test-vcek.der", 4, "Milan"),
        ("go-sev-guest/attestation.bin", "go-sev-guest/vcek.testcer", 4, "Milan"),
        ("trustee/test-report.bin", "", 3, "nobody vouches for its key"),
    ],
)
def test_genuine_reports_of_milan_are_refused_by_default(
    call: Call, tmp_path: Path, report: str, leaf: str, code: int, text: str
) -> None:
    beside = tmp_path / "chain"
    beside.write_bytes((TEE / (leaf or report)).read_bytes() + (TEE / "go-sev-guest/ask_ark_milan.pem").read_bytes())
    options = ("--collateral", beside) if leaf else ()
    result = call("evidence", "verify", TEE / report, *options, "--at", "1752919234")
    assert result.code == code
    assert text in result.out


def test_a_genuine_report_of_milan_is_taken_by_who_takes_milan(call: Call, tmp_path: Path) -> None:
    beside, policy = tmp_path / "chain", tmp_path / "policy.toml"
    beside.write_bytes(
        (TEE / "trustee/test-vcek.der").read_bytes() + (TEE / "go-sev-guest/ask_ark_milan.pem").read_bytes()
    )
    policy.write_text(f'format = "{FORMAT}"\n[amd]\nproducts = ["Milan"]\nplatform = []\n')
    options = ("--collateral", beside, "--at", "1752919234", "--policy", policy)
    result = call("evidence", "verify", TEE / "trustee/test-report.bin", *options)
    assert result.code == 0
    assert "snp-report-v2, hardware" in result.out


def test_a_file_of_eight_gpus_is_not_judged_one_by_one(call: Call, tmp_path: Path) -> None:
    devices = tmp_path / "gpus.json"
    devices.write_bytes(genuine("gpu_evidence.json"))
    result = call("evidence", "verify", devices, "--at", "1752919234")
    assert result.code == 2
    assert "evidence of 8 devices" in result.err


def test_a_genuine_gpu_is_attested_where_no_nonce_is_asked_for(call: Call, tmp_path: Path) -> None:
    (first, *_) = json.loads(genuine("gpu_evidence.json"))
    device, policy = tmp_path / "gpu.json", tmp_path / "policy.toml"
    device.write_text(json.dumps(first))
    policy.write_text(f'format = "{FORMAT}"\n[nvidia]\nnonce_required = false\n')
    shown = json.loads(call("evidence", "verify", device, "--at", "1752919234", "--policy", policy, "--json").out)
    assert (shown["verdict"], shown["gpu"]) == ("VERIFIED", "attested")
    assert shown["evidence"][0]["format"] == "nvidia-gpu-report"
    assert any("one of several GPUs" in item for item in shown["evidence"][0]["unchecked"])
    undecided = call("evidence", "verify", device, "--at", "1752919234")
    assert undecided.code == 3
    assert "which nonce" in undecided.out
