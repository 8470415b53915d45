from __future__ import annotations

import pytest

from attestrain.errors import UsageError
from attestrain.run.cheats import CARRIED, CHEATS
from attestrain.run.config import decimal_text, load_config, make_config
from attestrain.run.config_text import config_toml, starting_toml
from attestrain.run.demo import demo_config


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
        ({"schedule": {"batch": 1_000_001}}, "schedule.batch"),
        ({"schedule": {"steps": 10_001}}, "schedule.steps"),
        ({"schedule": {"rounds": 1000, "steps": 1001}}, "schedule: 1001000 steps"),
        ({"schedule": {"rounds": 2, "steps": 2}}, "inner.warmup"),
        ({"codec": {"block": (1 << 20) + 1}}, "codec.block"),
        ({"codec": {"feedback": 2}}, "codec.feedback"),
        ({"outer": {"momentum": 2}}, "outer.momentum"),
        ({"screen": {"norm_clip": -1}}, "screen.norm_clip"),
        ({"audit": {"fraction": 1.5}}, "audit.fraction: 1.5 is not a number from 0 to 1"),
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


@pytest.mark.parametrize(
    ("settings", "place", "alike"),
    [
        ({"schedule": {"rouns": 3}}, "schedule.rouns", "schedule.rounds"),
        ({"shedule": {}}, "shedule", "schedule"),
        ({"dataset": {"sorce": "slice"}}, "dataset.sorce", "dataset.source"),
        ({"cheat": [{"worker": 1, "kin": "poison"}]}, "cheat.0.kin", "cheat.0.kind"),
    ],
)
def test_a_misspelt_setting_is_put_right(settings, place, alike):
    with pytest.raises(UsageError) as refusal:
        make_config(settings, "RUN.toml")
    assert str(refusal.value) == f"RUN.toml: {place}: no such setting"
    assert refusal.value.hint == f"did you mean {alike}?"


def test_a_cheat_can_be_left_out_by_an_override(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("[[cheat]]\nworker = 4\n")
    with pytest.raises(UsageError) as refusal:
        load_config(path)
    assert refusal.value.hint == "remove the [[cheat]] section, or raise schedule.workers"
    assert load_config(path, ["cheat=[]"]).cheat == ()


def test_the_text_to_start_from_is_an_honest_run_and_tells_of_every_cheat(tmp_path):
    path, text = tmp_path / "run.toml", starting_toml()
    path.write_text(text)
    assert load_config(path) == make_config({}, "nothing")
    assert all(kind in text for kind in (*CHEATS, *CARRIED))
    before, mark, cheat = text.partition("# [[cheat]]")
    path.write_text(before + (mark + cheat).replace("# ", ""))
    assert load_config(path).cheat[0].worker == 3


def test_only_a_missing_file_is_to_be_made(tmp_path):
    for path, hint in ((tmp_path / "none.toml", "make one with: attestrain init"), (tmp_path, None)):
        with pytest.raises(UsageError, match="cannot read") as refusal:
            load_config(path)
        assert refusal.value.hint == hint
