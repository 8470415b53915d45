"""Settings of aggregation rules and outer optimizers: complete, bounded, and as the page has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from attestrain.errors import UsageError
from attestrain.record.spec import AGGREGATES, OUTERS
from attestrain.update import settings as tables
from attestrain.update.settings import aggregate_settings, outer_settings

PAGE = (Path(__file__).parents[2] / "spec" / "checkpoint.md").read_text(encoding="utf-8")
Complete = Callable[[str, Mapping[str, str]], dict[str, str]]
KINDS: list[tuple[Complete, str]] = [
    *((aggregate_settings, name) for name in AGGREGATES),
    *((outer_settings, name) for name in OUTERS),
]
SETTINGS = [(complete, name, key) for complete, name in KINDS for key in complete(name, {})]


@pytest.mark.parametrize(("complete", "name"), KINDS)
def test_what_is_complete_stays_as_it_is(complete: Complete, name: str) -> None:
    settings = complete(name, {})
    assert complete(name, settings) == settings


@pytest.mark.parametrize(("complete", "name", "key"), SETTINGS)
def test_bounds_are_within_and_nothing_is_beyond(complete: Complete, name: str, key: str) -> None:
    _, low, high = {**tables.AGGREGATES, **tables.OUTERS}[name][key]
    for bound in (low, high):
        text = f"{bound:.18f}".rstrip("0").rstrip(".") if isinstance(bound, float) else str(bound)
        assert complete(name, {key: text})[key] == text
    for wrong in (str(int(high) + 1), "-1", "1e-3", "", "nan"):
        with pytest.raises(UsageError):
            complete(name, {key: wrong})


@pytest.mark.parametrize(
    ("name", "key"), [("centered", "iterations"), ("multi-krum", "faulty"), ("multi-krum", "choose")]
)
def test_counts_are_whole(name: str, key: str) -> None:
    with pytest.raises(UsageError, match="whole number"):
        aggregate_settings(name, {key: "1.5"})


@pytest.mark.parametrize(("complete", "name"), KINDS)
def test_unknown_names_and_settings_are_refused(complete: Complete, name: str) -> None:
    with pytest.raises(UsageError, match="no setting typo"):
        complete(name, {"typo": "1"})
    with pytest.raises(UsageError, match="unknown"):
        complete("vote", {})


@pytest.mark.parametrize(("complete", "name"), KINDS)
def test_the_page_has_every_setting_with_its_default(complete: Complete, name: str) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert all(f"`{key}` {default}" in row for key, default in complete(name, {}).items())
