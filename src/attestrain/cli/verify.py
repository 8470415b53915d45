"""`attestrain verify`: judge a bundle, offline, under a policy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import clean, emit, paint, say, show, show_table
from attestrain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from attestrain.verify.policy import Policy
    from attestrain.verify.verdict import Verdict

SUMMARY = "Judge a bundle, offline."
EXAMPLES = examples(
    "attestrain verify runs/X/bundle --policy runs/X/policy.toml",
    "attestrain verify runs/X/bundle               without pins: CONSISTENT at best",
    "attestrain verify --sample                    a small bundle that ships with the package",
    "attestrain verify BUNDLE --policy P --json | jq .verdict",
    "attestrain verify BUNDLE --policy P --rpc http://127.0.0.1:8545",
)


def run(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Pins and required guarantees, never from the bundle."),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Judge the bundle that ships with the package.")] = False,
    rpc: Annotated[
        str | None,
        typer.Option("--rpc", metavar="URL", help="Also ask this node whether the pinned block is the chain's own."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a bundle: twelve claims, each PASS, FAIL or SKIPPED with its reason. Needs no network and no torch.

    Exit codes: 0 VERIFIED, 3 UNDECIDED, 4 REFUTED, 5 CONSISTENT (unpinned, or the policy asks for more), 6 the node
    that --rpc names does not answer.
    """
    if sample == (bundle is not None):
        raise UsageError("verify takes either a bundle or --sample", hint="attestrain verify runs/X/bundle --policy P")
    ask = None if rpc is None else ask_later(policy, rpc)
    if sample:
        verdict = judge_sample(policy)
    else:
        assert bundle is not None
        verdict = judge(bundle, policy)
    if ask is not None:
        verdict = ask(verdict)
    if json:
        emit(verdict.to_json())
    else:
        show_verdict(verdict, brief=quiet)
        if policy is None and not sample:
            say("no policy: what the bundle says of itself was taken for true where only you can know", quiet=quiet)
    raise typer.Exit(int(verdict.exit_code))


def judge(bundle: Path, policy: Path | None) -> Verdict:
    """The verdict on a bundle folder.

    Raises:
        UsageError: the folder is not a bundle, or the policy cannot be read.
    """
    from attestrain.verify.verifier import verify_folder

    return verify_folder(bundle, None if policy is None else read_policy(policy))


def judge_sample(policy: Path | None) -> Verdict:
    """The verdict on the packaged bundle, under its own policy unless another is given."""
    from attestrain.cli.sample import load_sample
    from attestrain.verify.verifier import verify

    files, own = load_sample()
    return verify(files, own if policy is None else read_policy(policy))


def ask_later(policy: Path | None, url: str) -> Callable[[Verdict], Verdict]:
    """What the node at ``url`` makes of a verdict, once there is one.

    Raises:
        UsageError: the policy cannot be read, or pins no block to ask about.
    """
    from attestrain.settle.canonical import confirm, require_pin

    read = None if policy is None else read_policy(policy)
    require_pin(read)
    assert read is not None
    return lambda verdict: confirm(verdict, read, url)


def read_policy(path: Path) -> Policy:
    """The policy in ``path``.

    Raises:
        UsageError: it cannot be read.
    """
    from attestrain.verify.policy import MAX_POLICY, Policy

    try:
        with path.open("rb") as file:
            return Policy.from_toml(file.read(MAX_POLICY + 1).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read policy {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"policy {path} is not text") from error


def show_verdict(verdict: Verdict, *, brief: bool) -> None:
    """The verdict for people; ``brief`` leaves out the checks and workers with nothing to tell."""
    checks = [check for check in verdict.checks if not brief or check.status == "FAIL"]
    if checks:
        rows = [(f"({check.claim})", check.name, str(check.status), check.detail) for check in checks]
        show_table(("claim", "check", "result", "detail"), rows)
        show()
    if guarantees := guarantee_rows(verdict):
        show_table(("guarantee", "state", "detail"), guarantees)
        show()
    if verdict.workers and not brief:
        show_table(worker_head(verdict), worker_rows(verdict))
        show()
    word = str(verdict.outcome)
    print(paint(word, _VERDICT_STYLES[word], sys.stdout) + f"  {clean(explain(verdict))}")


def guarantee_rows(verdict: Verdict) -> list[tuple[str, str, str]]:
    """Guarantees achieved, and those that the policy asked for in vain."""
    unmet = {item.name: item.reason for item in verdict.unmet}
    rows = []
    for item in verdict.achieved:
        qualifiers = [item.qualifier] * bool(item.qualifier) + ["self-asserted"] * (item.name in verdict.self_asserted)
        state = "achieved" + (f" ({', '.join(qualifiers)})" if qualifiers else "")
        rows.append((item.name, state, unmet.pop(item.name, "") or item.detail))
    return rows + [(name, "not met", reason) for name, reason in unmet.items()]


def worker_head(verdict: Verdict) -> tuple[str, ...]:
    """Columns of `worker_rows`."""
    money = ("evidence", "stake", "slashed", "owed", "case") if has_chain(verdict) else ()
    return ("worker", "rounds", "aggregated", "exact", "tolerance", "fault", *money, "found at fault")


def worker_rows(verdict: Verdict) -> list[tuple[object, ...]]:
    """One row per worker: rounds, findings by outcome, with a chain evidence and coins, the fault it was found at."""
    from attestrain.verify.guarantees import coins

    rows: list[tuple[object, ...]] = []
    chain = has_chain(verdict)
    for worker in verdict.workers:
        found = [sum(getattr(round_, kind) for round_ in worker.rounds) for kind in ("exact", "tolerance", "fault")]
        fault = worker.fault
        if worker.tainted:
            rounds = ", ".join(str(number) for number in worker.tainted)
            fault += f"; its update was aggregated before it was found out in round {rounds}"
        amounts = (coins(worker.stake or 0), coins(worker.slashed), coins(worker.owed))
        money = (worker.assurance, *amounts, worker.case) if chain else ()
        rows.append((worker.worker, len(worker.rounds), len(worker.aggregated), *found, *money, fault))
    return rows


def has_chain(verdict: Verdict) -> bool:
    """Whether a chain says what the workers have at stake."""
    return any(worker.stake is not None for worker in verdict.workers)


def explain(verdict: Verdict) -> str:
    """One sentence for the verdict's word."""
    word = str(verdict.outcome)
    if word == "VERIFIED":
        return "everything that the policy asks for holds, under its pins"
    if word == "REFUTED":
        first = next(check for check in verdict.checks if check.status == "FAIL")
        others = [f"({claim})" for claim in verdict.failed_claims if claim != first.claim]
        return f"claim ({first.claim}) {first.name}: {first.detail}" + (f"; also {', '.join(others)}" if others else "")
    if word == "UNDECIDED":
        return "something that is needed is missing: see the skipped checks"
    if verdict.unmet:
        return f"nothing is wrong, but the policy asks for more: {', '.join(item.name for item in verdict.unmet)}"
    return "nothing is wrong, but nothing pins it: give a policy from somewhere else than the bundle"


_VERDICT_STYLES = {"VERIFIED": "good", "CONSISTENT": "warn", "UNDECIDED": "warn", "REFUTED": "bad"}
