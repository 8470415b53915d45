"""`attestrain bench`: measure on this machine what the documentation claims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say

if TYPE_CHECKING:
    from attestrain.bench.training import Outcome
    from attestrain.bench.trial import Trial

SUMMARY = "Measure training methods on this machine."
EXAMPLES = examples(
    "attestrain bench training --excerpt           three rows, a quarter of an hour",
    "attestrain bench training --out bench         all rows; after Ctrl-C the same again goes on",
    "attestrain bench training --rows sign-20,ternary-20 --steps 600",
    "attestrain bench training --size medium --steps 600 --seeds 1",
)
app = typer.Typer(help=SUMMARY, no_args_is_help=True)


@app.callback()
def callback() -> None:
    """Measure on this machine what the documentation claims."""


@app.command("training", short_help="Loss against bytes, every method tuned with the same budget.", epilog=EXAMPLES)
def training(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where trials are recorded; a rerun goes on.")] = Path(
        "bench-training"
    ),
    rows: Annotated[str, typer.Option(metavar="NAMES", help="Rows, by comma; all of them by default.")] = "",
    excerpt: Annotated[bool, typer.Option("--excerpt", help="Three rows and one seed.")] = False,
    steps: Annotated[int, typer.Option(min=1, help="Inner steps of a final run.")] = 1200,
    tuning_steps: Annotated[int, typer.Option(min=1, help="Inner steps of a tuning trial.")] = 300,
    seeds: Annotated[int, typer.Option(min=1, max=9, help="Seeds of key rows.")] = 3,
    size: Annotated[str, typer.Option(help="small (0.23M), medium (0.84M) or large (85M, for a GPU).")] = "small",
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Trials at a time.")] = 2,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train every method with the same tokens and the same number of tuning trials; table of test loss and bytes.

    Settings are chosen on the small model, whatever the size, by the validation split and at a quarter of the length;
    the table shows the test split.
    """
    from attestrain.cli.extras import require_train

    require_train()
    from attestrain.bench.rows import EXCERPT
    from attestrain.bench.training import Plan, chosen_rows, run_plan
    from attestrain.bench.trial import SIZES
    from attestrain.errors import UsageError

    if size not in SIZES:
        raise UsageError(f"there is no size {size!r}", hint=f"there are: {', '.join(SIZES)}")

    names = [name for name in rows.split(",") if name] or (list(EXCERPT) if excerpt else [])
    chosen = tuple(range(1, 2 if excerpt else seeds + 1))
    plan = Plan(chosen_rows(names), steps, tuning_steps, chosen, SIZES[size])

    def told(trial: Trial, record: dict[str, Any] | None) -> None:
        if record is not None:
            what = record.get("diverged") or f"validation {record['validation']:.4f}  {record['cpu']:.0f} cpu-s"
            point = " ".join(f"{name}={value}" for name, value in trial.point)
            say(f"{trial.row.name}  {trial.steps} steps  {point}  seed {trial.seed}: {what}", quiet=quiet)

    outcomes = sorted(run_plan(plan, out, jobs, told), key=lambda outcome: outcome.test)
    if json:
        emit({"steps": steps, "tuning_steps": tuning_steps, "rows": [_plain(outcome) for outcome in outcomes]})
        return
    print(markdown(outcomes))


def _plain(outcome: Outcome) -> dict[str, Any]:
    kept = ("uploaded", "downloaded", "ratio", "cpu", "training", "compressing", "aggregating", "machine", "date")
    return {
        "name": outcome.row.name,
        "point": outcome.point,
        "test": outcome.test,
        "spread": outcome.spread,
        "validation": outcome.validation,
        "tuned": outcome.tuned,
        **{name: outcome.record[name] for name in kept if name in outcome.record},
    }


def markdown(outcomes: list[Outcome]) -> str:
    """The table as it goes into docs/benchmarks.md."""
    lines = [
        "| method | best of its trials | test loss | validation | fewer uploaded bytes | uploaded | downloaded |",
        "|---|---|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        record, spread = outcome.record, "" if outcome.spread is None else f" ± {outcome.spread:.4f}"
        point = ", ".join(f"{name.replace('.settings', '')} {value}" for name, value in outcome.point.items())
        ratio = "-" if record["ratio"] is None else f"{record['ratio']:,.0f}x"
        size = [f"{record[name] / 1e6:,.2f} MB" for name in ("uploaded", "downloaded")]
        losses = f"{outcome.test:.4f}{spread} | {outcome.validation:.4f}"
        lines.append(f"| {outcome.row.label} | {point} | {losses} | {ratio} | {size[0]} | {size[1]} |")
    return "\n".join(lines)
