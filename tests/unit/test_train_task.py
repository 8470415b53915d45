from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from attestrain.errors import UsageError
from attestrain.record.names import Round
from attestrain.train.engine import Engine
from attestrain.train.llama import LlamaTask
from attestrain.train.state import genesis_state
from attestrain.train.task import Task, check_config, load_task, package_code_digest, task_code_digest
from attestrain.update.initial import initial_params
from tests.training import make_batch, make_spec

EXAMPLE = Path(__file__).parents[2] / "examples" / "sums"
SUMS: Mapping[str, object] = {"vocab": 256, "context": 16, "width": 12}


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> Task:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return load_task("sums_task:SumsTask")


def test_built_in_task_by_entry_point_and_by_module() -> None:
    assert isinstance(load_task("llama"), LlamaTask)
    assert isinstance(load_task("attestrain.train.llama:LlamaTask"), LlamaTask)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "no task is called"),
        ("no_such_module:Task", "cannot be loaded"),
        ("attestrain.train.llama:NoSuch", "cannot be loaded"),
        (":Task", "cannot be loaded"),
        ("attestrain.train.llama:LlamaConfig", "is not a task"),
    ],
)
def test_wrong_names_are_usage_errors_with_a_hint(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        load_task(name)
    assert caught.value.hint


def test_example_task_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    installed = tmp_path / "attestrain_example_sums-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    entries = "".join(f"{name} = {at}\n" for name, at in project["entry-points"]["attestrain.tasks"].items())
    (installed / "entry_points.txt").write_text(f"[attestrain.tasks]\n{entries}")
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_task("sums").name == "sums"


def test_example_task_trains(sums: Task) -> None:
    spec = make_spec("adamw", config=SUMS, task=sums)
    engine = Engine(spec, sums)
    state = engine.adopt(genesis_state(spec), initial_params(spec), Round(0))
    _, records = engine.inner(state, [make_batch(spec, 0)] * 8, [0x3C23D70A] * 8)
    assert records[-1].loss < records[0].loss  # positive floats order like their bits
    assert engine.inner(state, [make_batch(spec, 0)] * 8, [0x3C23D70A] * 8)[1] == records


def test_example_task_brings_its_documents(sums: Task) -> None:
    documents = list(sums.documents(SUMS) or ())
    assert len(documents) == 100
    assert documents[7].text.startswith(b"7+0=7\n7+1=8\n")
    assert LlamaTask().documents({}) is None


def test_code_digest_follows_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    digests = []
    for number, extra in enumerate(["", "", "# changed\n"]):
        package = tmp_path / f"code_digest_{number}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "inner.py").write_text(extra)
        (package / "task.py").write_text("from attestrain.train.llama import LlamaTask\nclass T(LlamaTask): pass\n")
        digests.append(task_code_digest(load_task(f"code_digest_{number}.task:T")))
    assert digests[0] == digests[1] != digests[2]


def test_code_digest_of_our_task_is_that_of_the_package(sums: Task) -> None:
    assert task_code_digest(LlamaTask()) == package_code_digest() != task_code_digest(sums)


@pytest.mark.parametrize(
    "config",
    [
        {"vocab": 256, "context": 8, "rate": 0.5},
        {"vocab": 256, "context": 8, "nested": {"rates": ["0.1", 0.5]}},
        {"vocab": 256, "context": 8, "what": object()},
        {"vocab": 256, "context": 8, "large": 2**53},
        {"vocab": 256},
        {"vocab": 0, "context": 8},
        {"vocab": True, "context": 8},
        {"vocab": "256", "context": 8},
    ],
)
def test_config_that_cannot_enter_a_spec_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        check_config(config)


def test_config_with_decimal_texts_passes() -> None:
    config = {"vocab": 256, "context": 8, "dropout": "0.1", "parts": [1, None, True]}
    assert check_config(config) == config
