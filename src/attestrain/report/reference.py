"""The lines a demo is held against: AllReduce with tuned optimizers, measured once by `benchmarks/reference.py`.

Running them costs minutes, so their results ship with the package, together with the command, the machine class, the
date and the dataset that they hold for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from attestrain.errors import FormatError
from attestrain.record.fields import Fields
from attestrain.record.spec import MAX_BATCH, MAX_TOTAL_STEPS, MAX_WORKERS
from attestrain.report.story import Story

FORMAT = "attestrain.dev/reference@v1"
PATH = "data/reference/demo.json"
MAX_METHODS = 16
MAX_TRIED = 64

_KEYS = ("format", "command", "date", "machine", "dataset", "steps", "workers", "batch", "parameters", "methods")


@dataclass(frozen=True, slots=True)
class Method:
    """One way to train without this project: its name and its best validation loss, a decimal text."""

    name: str
    label: str
    loss: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reference:
    """What was measured, on what, by which command."""

    command: str
    date: str
    machine: str
    dataset: str
    steps: int
    """Inner steps of every method: rounds times steps of the demo."""
    workers: int
    batch: int
    """Sequences of a step and worker."""
    parameters: int
    methods: tuple[Method, ...]

    def fits(self, story: Story) -> bool:
        """Whether the run trained a model of this size for as many steps of this many sequences: losses compare."""
        length = (story.rounds * story.steps, story.batch)
        return length == (self.steps, self.batch) and story.parameters == self.parameters

    def provenance(self, story: Story) -> str:
        """Where the figures come from, and whether they hold for the data of ``story``."""
        text = f"reference measured on {self.machine}, {self.date}, dataset {self.dataset[:16]}"
        if story.dataset == self.dataset:
            return text
        return f"{text}; this run's dataset is {story.dataset[:16]}: the reference lines are only a rough guide here"


def load_reference() -> Reference:
    """The reference that ships with this package.

    Raises:
        FormatError: the packaged file is damaged.
    """
    data = resources.files("attestrain").joinpath(PATH).read_bytes()
    try:
        return _read(json.loads(data))
    except ValueError as error:
        raise FormatError(f"{PATH} is not JSON", hint="reinstall attestrain") from error


def _read(value: object) -> Reference:
    fields = Fields(value, _KEYS, "reference")
    fields.constant("format", FORMAT)
    return Reference(
        command=fields.text("command"),
        date=fields.text("date"),
        machine=fields.text("machine"),
        dataset=fields.digest("dataset").hex(),
        steps=fields.integer("steps", 1, MAX_TOTAL_STEPS),
        workers=fields.integer("workers", 1, MAX_WORKERS),
        batch=fields.integer("batch", 1, MAX_BATCH),
        parameters=fields.integer("parameters", 1, 1 << 53),
        methods=tuple(_read_method(item) for item in fields.array("methods", max_length=MAX_METHODS)),
    )


def _read_method(value: object) -> Method:
    fields = Fields(value, ("name", "label", "loss", "settings", "tried"), "reference.methods")
    fields.array("tried", max_length=MAX_TRIED)
    settings = {str(key): str(item) for key, item in fields.object("settings").items()}
    return Method(fields.text("name"), fields.text("label"), fields.decimal("loss", 0.0, 1e6), settings)
