from __future__ import annotations

import pytest

from attestrain.errors import UsageError
from attestrain.run.config import decimal_text, demo_config, load_config, make_config
from attestrain.run.config_text import config_toml


@pytest.mark.parametrize("quick", [True, False])
def test_a_resolved_configuration_reads_back_as_itself(tmp_path, quick):
    path = tmp_path / "run.toml"
    path.write_text(config_toml(demo_config(quick=quick)))
    assert load_config(path) == demo_config(quick=quick)


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.04"), (1, "1"), (1.0, "1"), ("0.950", "0.95"), (1e-05, "0.00001"), (0.5, "0.5")]
)
def test_numbers_become_their_shortest_decimal_text(value, text):
    assert decimal_text(value) == text


@pytest.mark.parametrize("value", ["4e-2", float("nan"), float("inf"), True, None, "-", [1]])
def test_what_is_no_plain_number_is_refused(value):
    with pytest.raises(ValueError, match=r"number"):
        decimal_text(value)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"schedule": {"rounds": 0}}, "schedule.rounds"),
        ({"schedule": {"turns": 1}}, "schedule.turns"),
        ({"inner": {"name": "magic"}}, "inner.name"),
        ({"cheat": [{"worker": 9}]}, "cheat.worker"),
        ({"cheat": [{"worker": 1}, {"worker": 1}]}, "cheat.worker"),
        ({"audit": {"auditors": 9}}, "audit.auditors"),
        ({"audit": {"auditors": 1, "votes": 2}}, "audit.auditors"),
        ({"run": {"name": "../up"}}, "run.name"),
    ],
)
def test_the_first_wrong_setting_is_named(settings, place):
    with pytest.raises(UsageError, match=place):
        make_config(settings, "RUN.toml")


def test_overrides_change_one_setting_each(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('[run]\nname = "a"\n')
    config = load_config(path, ["run.seed=7", "run.name=b", "schedule.rounds = 3", "inner.rate=0.05"])
    assert (config.run.seed, config.run.name, config.schedule.rounds, config.inner.rate) == (7, "b", 3, "0.05")


@pytest.mark.parametrize("override", ["rounds=3", "schedule.rounds", "run.name.x=1"])
def test_malformed_overrides_are_refused(tmp_path, override):
    path = tmp_path / "run.toml"
    path.write_text('[run]\nname = "a"\n')
    with pytest.raises(UsageError, match="override"):
        load_config(path, [override])


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        load_config(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_bytes(b"[run\n\xff")
    with pytest.raises(UsageError, match="is not TOML"):
        load_config(tmp_path / "broken.toml")
