"""`attestrain verify`: judge a bundle, offline, under a policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, paint, say, show, show_table
from attestrain.errors import UsageError

if TYPE_CHECKING:
    from attestrain.verify.policy import Policy
    from attestrain.verify.verdict import Verdict

EXAMPLES = examples(
    "attestrain verify runs/X/bundle --policy runs/X/policy.toml",
    "attestrain verify runs/X/bundle               without pins: CONSISTENT at best",
    "attestrain verify --sample                    a small bundle that ships with the package",
    "attestrain verify BUNDLE --policy P --json | jq .verdict",
)


def run(
    bundle: Annotated[Path | None, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="Pins and required guarantees, never from the bundle.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Judge the bundle that ships with the package.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge a bundle: twelve claims, each PASS, FAIL or SKIPPED with its reason. Needs no network and no torch.

    Exit codes: 0 VERIFIED, 3 UNDECIDED, 4 REFUTED, 5 CONSISTENT (unpinned, or the policy asks for more).
    """
    if sample == (bundle is not None):
        raise UsageError("verify takes either a bundle or --sample", hint="attestrain verify runs/X/bundle --policy P")
    if sample:
        verdict = judge_sample(policy)
    else:
        assert bundle is not None
        verdict = judge(bundle, policy)
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
        UsageError: the bundle is not a folder, or the policy cannot be read.
    """
    from attestrain.record.bundle import FolderFiles
    from attestrain.verify import verify

    if not bundle.is_dir():
        raise UsageError(f"{bundle} is not a folder", hint="a bundle is a folder with a manifest.json")
    return verify(FolderFiles(bundle), None if policy is None else read_policy(policy))


def judge_sample(policy: Path | None) -> Verdict:
    """The verdict on the packaged bundle, under its own policy unless another is given."""
    from attestrain.cli.sample import load_sample
    from attestrain.verify import verify

    files, own = load_sample()
    return verify(files, own if policy is None else read_policy(policy))


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
