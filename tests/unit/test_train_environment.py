from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from attestrain.record.canonical import canonical, parse
from attestrain.train.determinism import determinism
from attestrain.train.engine import Engine
from attestrain.train.environment import environment, environment_digest, probe
from attestrain.train.llama import LlamaTask
from tests.training import make_spec

ROOT = Path(__file__).parents[2]


def test_environment_is_a_document_and_repeats() -> None:
    spec = make_spec()
    document = environment(spec, LlamaTask())
    assert parse(canonical(document)) == document
    assert document["format"] == "attestrain.dev/environment@v1"
    assert document["torch"] == torch.__version__
    assert environment_digest(document) == environment_digest(environment(spec, LlamaTask()))


def test_probe_sees_the_runs_own_operators_and_shapes() -> None:
    specs = [make_spec(), make_spec("adamw"), make_spec(batch=3), make_spec(codec="dense")]
    assert len({probe(Engine(spec, LlamaTask())) for spec in specs}) == 4


def test_probe_does_not_depend_on_what_the_engine_did_before() -> None:
    spec = make_spec()
    engine = Engine(spec, LlamaTask())
    assert probe(engine) == probe(engine) == probe(Engine(dataclasses.replace(spec), LlamaTask()))


def test_other_kernels_are_another_class() -> None:
    code = """
import json; from attestrain.train.environment import environment; from attestrain.train.llama import LlamaTask
from tests.training import make_spec
print(json.dumps(environment(make_spec(), LlamaTask())))
"""
    variables = {**os.environ, "ATEN_CPU_CAPABILITY": "default"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True, check=True
    )
    there, here = json.loads(run.stdout), environment(make_spec(), LlamaTask())
    assert there["settings"]["ATEN_CPU_CAPABILITY"] == "default"
    assert environment_digest(there) != environment_digest(here)


def test_determinism_can_be_set_twice() -> None:
    determinism()
    determinism()
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
