"""A run told from its events: where every worker stands, what was measured, who was caught.

`Story.tell` takes one event after another, so the same code follows a running run and reads a finished one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from attestrain.report.events import Line
from attestrain.report.stakes import ChainStory

SMOOTHING = 0.3
"""Weight of the newest segment in a worker's shown speed: steadies the figure within a few segments."""


@dataclass(slots=True)
class WorkerStory:
    """One worker as it stands. ``speed`` is in tokens a second, ``uploaded`` in bytes."""

    worker: int
    round: int = 0
    state: str = "joined"
    loss: float | None = None
    speed: float | None = None
    uploaded: int = 0
    updates: int = 0
    passed: int = 0
    failed: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Caught:
    """A worker excluded: the segment that gave it away and when it was out."""

    worker: int
    round: int
    segment: int
    detail: str
    during: int
    """Round that was being trained when the exclusion took effect."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Seconds of publishing and aggregating, of all processes, and those of them that training took up anyway."""

    seconds: float
    hidden: float

    @property
    def fraction(self) -> float:
        """Which part was hidden."""
        return self.hidden / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        part = f"{self.hidden:.1f} s of {self.seconds:.1f} s of publishing and aggregating hidden behind training"
        return f"{part} ({100 * self.fraction:.0f} %)"


@dataclass(slots=True)
class Story:
    """Everything the views, the tables and the pictures show."""

    run: str = ""
    name: str = ""
    parameters: int = 0
    rounds: int = 0
    steps: int = 0
    batch: int = 0
    """Sequences of a step and worker; 0 if the run does not say."""
    dataset: str = ""
    """Digest of the dataset's manifest."""
    allreduce: int = 0
    """Bytes one worker would upload in fp32 AllReduce of the same steps."""
    auditors: int = 0
    device: str = ""
    """What the run's own machine computes on."""
    workers: dict[int, WorkerStory] = field(default_factory=dict)
    losses: list[tuple[int, float]] = field(default_factory=list)
    """Validation loss after that many completed rounds."""
    solo: list[tuple[int, float]] = field(default_factory=list)
    caught: list[Caught] = field(default_factory=list)
    absent: dict[int, dict[int, str]] = field(default_factory=dict)
    """Per round, the workers that were left out and why."""
    ranks: dict[int, int] = field(default_factory=dict)
    """Per round, the rank of its updates, in a run that adapts it."""
    chain: ChainStory = field(default_factory=ChainStory)
    """Stakes, anchors and cases; empty for a run without a chain."""
    hidden: Hidden | None = None
    """How much of publishing and aggregating took place behind training, in a run whose rounds overlap."""
    started: float | None = None
    latest: float = 0.0
    paused: float = 0.0
    """Seconds between a stop and the start that went on from it."""
    tokens: int = 0
    round: int = 0
    phase: str = "starting"
    finished: bool = False
    uploaded: int | None = None
    loss: float | None = None

    def tell(self, line: Line) -> None:
        """Take one more event. Kinds this version does not know are passed over: they change nothing shown here."""
        if line.kind == "start" and self.started is not None:
            self.paused += max(0.0, line.time - self.latest)
        self.latest = max(self.latest, line.time)
        handler = _HANDLERS.get(line.kind)
        if handler is not None:
            handler(self, line)
        self.chain.tell(line)

    def worker(self, line: Line) -> WorkerStory:
        """The worker an event is about."""
        return self.workers.setdefault(line.integer("worker"), WorkerStory(line.integer("worker")))

    def ratio(self, worker: WorkerStory) -> float | None:
        """How many times fewer bytes ``worker`` sent than AllReduce would have, over the rounds it sent in."""
        if not worker.uploaded or not self.rounds:
            return None
        return self.allreduce * worker.updates / self.rounds / worker.uploaded

    def mean_ratio(self) -> float | None:
        """The same over all workers."""
        uploaded = sum(worker.uploaded for worker in self.workers.values())
        updates = sum(worker.updates for worker in self.workers.values())
        return self.allreduce * updates / self.rounds / uploaded if uploaded and self.rounds else None

    @property
    def seconds(self) -> float:
        """Time the run has taken so far, pauses left out."""
        return 0.0 if self.started is None else self.latest - self.started - self.paused

    @property
    def audits(self) -> tuple[int, int]:
        """Segments that replay confirmed, and those it did not."""
        return sum(w.passed for w in self.workers.values()), sum(w.failed for w in self.workers.values())


def tell_story(lines: Iterable[Line]) -> Story:
    """The story of all ``lines``."""
    story = Story()
    for line in lines:
        story.tell(line)
    return story


def _start(story: Story, line: Line) -> None:
    story.run, story.name, story.dataset = line.text("run"), line.text("name"), line.text("dataset_digest")
    story.parameters, story.rounds, story.steps = (line.integer(key) for key in ("parameters", "rounds", "steps"))
    story.allreduce, story.auditors = line.integer("allreduce"), line.integer("auditors")
    story.batch, story.device = line.integer("batch"), line.text("device")
    for worker in range(line.integer("workers")):
        story.workers.setdefault(worker, WorkerStory(worker))
    story.started = line.time if story.started is None else story.started


def _round_open(story: Story, line: Line) -> None:
    story.round, story.phase = line.integer("round"), "training"


def _segment(story: Story, line: Line) -> None:
    worker = story.worker(line)
    worker.round = line.integer("round")
    if worker.state != "excluded":
        worker.state = "compressing" if line.text("phase") == "compress" else "training"
    loss, seconds, tokens = line.number("loss"), line.number("seconds"), line.integer("tokens")
    worker.loss = worker.loss if loss is None else loss
    if tokens and seconds:
        story.tokens += tokens
        speed = tokens / seconds
        worker.speed = speed if worker.speed is None else worker.speed + SMOOTHING * (speed - worker.speed)


def _receipt(story: Story, line: Line) -> None:
    worker = story.worker(line)
    worker.state = worker.state if worker.state == "excluded" else "committed"


def _close(story: Story, line: Line) -> None:
    story.phase = "publishing"


def _published(story: Story, line: Line) -> None:
    worker = story.worker(line)
    worker.uploaded += line.integer("bytes")
    worker.updates += 1


def _aggregated(story: Story, line: Line) -> None:
    if line.integer("round") == story.round:  # with a delay, the next one trains already
        story.phase = "aggregating"
    if rank := line.integer("rank"):
        story.ranks[line.integer("round")] = rank
    absent = line.data.get("absent")
    if isinstance(absent, dict) and absent:
        story.absent[line.integer("round")] = {int(worker): str(reason) for worker, reason in absent.items()}


def _evaluated(story: Story, line: Line) -> None:
    _add_point(story.losses, line)


def _add_point(points: list[tuple[int, float]], line: Line) -> None:
    """Note a loss, once per round: a resumed run measures the round it begins with again."""
    loss, completed = line.number("loss"), line.integer("round") + 1
    if loss is not None and (not points or points[-1][0] < completed):
        points.append((completed, loss))


def _finding(story: Story, line: Line) -> None:
    worker = story.worker(line)
    if line.text("outcome") == "fault":
        worker.failed += 1
    else:
        worker.passed += 1


def _excluded(story: Story, line: Line) -> None:
    worker = story.worker(line)
    if worker.state != "excluded":
        worker.state = "excluded"
        where = worker.worker, line.integer("round"), line.integer("segment")
        story.caught.append(Caught(*where, line.text("detail"), story.round))


def _restart(story: Story, line: Line) -> None:
    if line.text("role") == "worker":
        story.worker(line).restarts += 1


def _hidden(story: Story, line: Line) -> None:
    story.hidden = Hidden(line.number("seconds") or 0.0, line.number("hidden_seconds") or 0.0)


def _solo(story: Story, line: Line) -> None:
    _add_point(story.solo, line)


def _finish(story: Story, line: Line) -> None:
    story.finished, story.phase = True, "finished"
    story.loss, story.uploaded = line.number("loss"), line.integer("uploaded")
    story.allreduce = line.integer("allreduce", story.allreduce)


_HANDLERS = {
    "start": _start,
    "round-open": _round_open,
    "segment": _segment,
    "receipt": _receipt,
    "close": _close,
    "published": _published,
    "aggregated": _aggregated,
    "evaluated": _evaluated,
    "finding": _finding,
    "excluded": _excluded,
    "restart": _restart,
    "solo": _solo,
    "hidden": _hidden,
    "finish": _finish,
}
