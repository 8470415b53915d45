"""Algorithms by name: presets of settings that RUN.toml overrides one at a time."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from attestrain.errors import UsageError
from attestrain.run.algorithms import DEFAULT, SCHEDULE, SECTIONS, algorithm_names, algorithm_text
from attestrain.run.config import RunConfig, load_config, make_config
from attestrain.run.config_text import config_toml, starting_toml
from attestrain.update.settings import aggregate_settings, codec_settings, outer_settings

ROOT = Path(__file__).parents[2]


def test_the_default_is_what_the_sections_say_anyway_but_for_settings_of_components() -> None:
    preset, plain = make_config(tomllib.loads(algorithm_text(DEFAULT)), "preset"), RunConfig()
    assert make_config({}, "nothing") == make_config({"algorithm": {"preset": DEFAULT}}, "name") == preset
    for name in ("schedule", "inner", "overlap", "screen", "aggregate"):
        assert getattr(preset, name) == getattr(plain, name)
    for name in ("codec", "outer"):
        one, other = getattr(preset, name), getattr(plain, name)
        assert one.model_copy(update={"settings": {}}) == other.model_copy(update={"settings": {}})


@pytest.mark.parametrize("name", algorithm_names())
def test_a_preset_sets_what_an_algorithm_decides_and_nothing_else(name: str) -> None:
    preset = tomllib.loads(algorithm_text(name))
    assert preset.keys() <= {"schedule", *SECTIONS}
    assert preset["schedule"].keys() <= set(SCHEDULE)
    config = make_config({"algorithm": {"preset": name}}, name)
    assert codec_settings(config.codec.name, config.codec.settings) is not None
    assert outer_settings(config.outer.name, config.outer.settings) is not None
    assert aggregate_settings(config.aggregate.name, config.aggregate.settings) is not None


@pytest.mark.parametrize("name", algorithm_names())
def test_every_algorithm_is_documented_with_its_paper(name: str) -> None:
    head = algorithm_text(name).partition("[")[0]
    assert "arXiv" in head or "s ternary-muon" in head
    assert f"`{name}`" in (ROOT / "docs" / "algorithms.md").read_text()


@pytest.mark.parametrize("name", algorithm_names())
def test_the_text_to_start_from_and_the_resolved_one_say_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / "start.toml").write_text(starting_toml(name))
    start = load_config(tmp_path / "start.toml")
    assert start.algorithm.preset == name
    (tmp_path / "resolved.toml").write_text(config_toml(start))
    assert load_config(tmp_path / "resolved.toml") == start


def test_single_settings_override_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "RUN.toml"
    file.write_text('[algorithm]\npreset = "sparseloco"\n[codec.settings]\nlevels = 1\n')
    config = load_config(file, ["outer.rate=0.5"])
    assert config.codec.settings == {"keep": "128", "levels": "1"}
    assert (config.codec.name, config.codec.feedback, config.outer.rate) == ("topk", "0.95", "0.5")


def test_another_component_does_not_inherit_settings() -> None:
    config = make_config({"algorithm": {"preset": "sparseloco"}, "codec": {"name": "ternary"}}, "own")
    assert config.codec.settings == {}
    assert config.aggregate.name == "contributors"


def test_an_unknown_algorithm_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no algorithm is called 'dilocoy'"):
        make_config({"algorithm": {"preset": "dilocoy"}}, "RUN.toml")
    with pytest.raises(UsageError, match="no algorithm"):
        make_config({"algorithm": {"preset": "../secret"}}, "RUN.toml")
