from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import attestrain
from attestrain.errors import FormatError, Undecided
from attestrain.record.canonical import canonical
from attestrain.replay.calibration import MAX_CALIBRATION, Calibration, shipped, tolerance_for
from attestrain.replay.compare import METRICS
from attestrain.train.environment import environment
from attestrain.train.task import load_task
from tests.unit.replay_world import tiny_spec

FILE = Path(attestrain.__file__).parent / "data" / "calibration" / "cpu-fp32.json"


def document() -> dict[str, Any]:
    return dict(json.loads(FILE.read_bytes()))


def test_the_shipped_calibration_reads_and_is_canonical() -> None:
    [calibration] = shipped()
    assert calibration.name == "cpu-fp32"
    assert FILE.read_bytes() == canonical(document())
    assert set(calibration.tolerance.bounds) == set(METRICS)


def test_its_margin_holds() -> None:
    for name, item in document()["metrics"].items():
        assert float(item["tolerance"]) >= 10 * float(item["honest"]) > 0, name


def test_it_separates_steps_and_data_and_says_where_it_does_not() -> None:
    cheats = {item["name"]: item for item in document()["cheats"]}
    for name in ("one step skipped", "one wrong batch", "one token changed", "second moments zeroed"):
        assert cheats[name]["caught"] == cheats[name]["cases"] > 0, name
    for name, item in cheats.items():
        assert (item["caught"] == item["cases"]) == (float(item["factor"]) > 1), name
    assert float(cheats["one step skipped"]["factor"]) > 100


def test_one_class_tolerates_nothing() -> None:
    spec = tiny_spec()
    here = environment(spec, load_task(spec.task.name))
    assert tolerance_for(here, dict(here)) is None


ENVIRONMENT = {"device": "cpu", "machine": "x86_64", "torch": "2.13.0+cpu", "probe": "00"}


def test_a_covered_pair_of_classes_has_the_calibrated_bounds() -> None:
    tolerance = tolerance_for(ENVIRONMENT, {**ENVIRONMENT, "probe": "01"})
    assert tolerance is not None
    assert tolerance.source == "cpu-fp32"
    assert tolerance.bounds["params.norm"] == float(document()["metrics"]["params.norm"]["tolerance"])


@pytest.mark.parametrize("change", [{"device": "cuda"}, {"machine": "aarch64"}, {"torch": "2.14.0"}])
def test_a_pair_that_nobody_measured_is_undecided(change: dict[str, str]) -> None:
    for pair in ((ENVIRONMENT, {**ENVIRONMENT, **change}), ({**ENVIRONMENT, **change}, ENVIRONMENT)):
        with pytest.raises(Undecided, match="no calibration covers"):
            tolerance_for(*pair)


def edit(found: dict[str, Any], *path: str, value: object) -> None:
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = value


@pytest.mark.parametrize(
    "change",
    [
        lambda found: edit(found, "format", value="attestrain.dev/calibration@v2"),
        lambda found: edit(found, "extra", value="1"),
        lambda found: edit(found, "margin", value="0.5"),
        lambda found: edit(found, "applies", "device", value=7),
        lambda found: edit(found, "metrics", "params.norm", "tolerance", value="0.0000000001"),
        lambda found: edit(found, "metrics", "params.norm", "tolerance", value="inf"),
        lambda found: edit(found, "metrics", "params.norm", "honest", value="-1"),
        lambda found: edit(found, "metrics", "params.norm", "cheat", value="often"),
        lambda found: found["metrics"].pop("opt.v.effect"),
        lambda found: edit(found, "classes", value="many"),
    ],
)
def test_malformed_calibrations_are_refused(change: Callable[[dict[str, Any]], None]) -> None:
    found = document()
    change(found)
    with pytest.raises(FormatError):
        Calibration.from_bytes(canonical(found))


def test_a_bound_below_the_margin_is_named() -> None:
    found = document()
    item = found["metrics"]["opt.v.effect"]
    item["tolerance"] = item["honest"]
    with pytest.raises(FormatError, match=r"opt\.v\.effect tolerates .* less than 10 times the worst honest"):
        Calibration.from_bytes(canonical(found))


def test_oversized_calibrations_are_refused() -> None:
    with pytest.raises(FormatError):
        Calibration.from_bytes(b" " * (MAX_CALIBRATION + 1))


def test_the_page_shows_the_shipped_file() -> None:
    page = Path(__file__).resolve().parents[2] / "spec" / "calibration.md"
    assert FILE.read_text() in page.read_text().splitlines()
