"""`attestrain demo`: the whole story on one machine, from training to verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say, show
from attestrain.errors import ExitCode, RunFailed

if TYPE_CHECKING:
    from attestrain.cli.running import Finished
    from attestrain.verify.verdict import Verdict

SUMMARY = "Train with a cheat aboard, catch it, verify the bundle."
EXAMPLES = examples(
    "attestrain demo            four workers and one cheat, about three minutes on two cores",
    "attestrain demo --quick    the same in small, about twenty seconds",
)


def run(
    quick: Annotated[bool, typer.Option("--quick", help="A smaller model, fewer rounds.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Run folder.  [default: runs/DATE-demo]")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train four workers and one cheat, catch the cheat by replay, verify the bundle.

    Ends with 0 only if the run beat one worker alone, the cheat was caught and nobody else, and the bundle is VERIFIED.
    """
    from attestrain.cli.extras import require_train

    require_train()
    from attestrain.cli import running
    from attestrain.cli.verify import judge, show_verdict
    from attestrain.run.demo import demo_config

    config = demo_config(quick=quick)
    finished = running.train_run(config, folder or running.new_folder(config.run.name), quiet=quiet)
    verdict = judge(finished.outcome.bundle, finished.outcome.policy)
    disappointments = shortfalls(finished, verdict, {cheat.worker for cheat in config.cheat})
    if json:
        emit({**running.result_document(finished), "verdict": verdict.to_json(), "shortfalls": disappointments})
    else:
        running.show_result(finished)
        show()
        show_verdict(verdict, brief=True)
    if disappointments:
        raise RunFailed(f"the demo did not go as it should: {'; '.join(disappointments)}")
    say("the run beat one worker alone, the cheat was caught, the bundle is verified", quiet=quiet)


def shortfalls(finished: Finished, verdict: Verdict, cheats: set[int]) -> list[str]:
    """What the demo promises and this run did not do, in words."""
    outcome, found = finished.outcome, []
    if outcome.loss is None or outcome.solo_loss is None or outcome.loss >= outcome.solo_loss:
        found.append(f"validation loss {outcome.loss} does not beat one worker alone at {outcome.solo_loss}")
    caught = {item.worker for item in finished.story.caught}
    found += [f"worker {worker} cheated and was not caught" for worker in sorted(cheats - caught)]
    found += [f"worker {worker} is honest and was excluded" for worker in sorted(caught - cheats)]
    if verdict.exit_code != ExitCode.DONE:
        found.append(f"the verdict is {verdict.outcome}")
    return found
