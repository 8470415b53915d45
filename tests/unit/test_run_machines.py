from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.attester.guest import TdxGuest
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import FormatError, UsageError
from attestrain.run.config import make_config
from attestrain.run.machines import COLLATERAL, MODES, choose_machine, collateral_bytes, read_collateral
from attestrain.run.terms import Terms
from tests.unit.evidence_world import honest_world, platform


def test_a_network_without_evidence_needs_no_machine(tmp_path: Path) -> None:
    assert choose_machine("none", platform(), tmp_path) is None


def test_simulated_evidence_is_of_the_invitations_platform(tmp_path: Path) -> None:
    machine = choose_machine("simulated", platform(), tmp_path)
    assert isinstance(machine, SimulatedMachine)
    assert machine.root_digest == platform().root_digest
    with pytest.raises(UsageError, match="the invitation brings no simulated platform"):
        choose_machine("simulated", None, tmp_path)


def test_tdx_evidence_is_the_guests_and_never_the_simulators(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"TDX evidence needs .*collateral.json"):
        choose_machine("tdx", platform(), tmp_path)
    collateral = honest_world().evidence.collateral
    (tmp_path / COLLATERAL).write_bytes(collateral_bytes(collateral))
    assert isinstance(choose_machine("tdx", platform(), tmp_path), TdxGuest)
    assert read_collateral(tmp_path / COLLATERAL) == collateral


@pytest.mark.parametrize("data", [b"", b"{}", b'{"collateral":{},"format":"attestrain.dev/collateral@v2"}'])
def test_malformed_collateral_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / COLLATERAL).write_bytes(data)
    with pytest.raises(FormatError):
        read_collateral(tmp_path / COLLATERAL)


@pytest.mark.parametrize("mode", MODES)
def test_terms_carry_every_mode(mode: str) -> None:
    assert Terms.from_bytes(Terms(1, mode).to_bytes()).evidence == mode


def test_a_run_can_ask_for_tdx_evidence_on_a_chain_alone() -> None:
    settings = {"trust": {"preset": "tee"}, "evidence": {"mode": "tdx"}, "audit": {"auditors": 3}}
    assert make_config(settings, "here").evidence_mode == "tdx"
    with pytest.raises(UsageError, match="evidence needs a chain"):
        make_config({"evidence": {"mode": "tdx"}}, "here")
