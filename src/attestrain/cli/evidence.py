"""`attestrain evidence verify`: what TEE evidence shows, in words, and why."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attestrain.cli.keyfile import open_key
from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import clean, emit, paint, say, show, width
from attestrain.errors import UsageError

if TYPE_CHECKING:
    from attestrain.appraise.conclusion import Conclusion, Finding
    from attestrain.appraise.policy import EvidencePolicy
    from attestrain.record.keys import SigningKey

SUMMARY = "Judge TEE evidence, offline."
VERIFY = examples(
    "attestrain evidence verify runs/X/bundle/evidence/*.json --at 2026-11-25T12:00:00Z --policy dev.toml",
    "attestrain evidence verify quote.bin --collateral collateral.json --at 1752919234",
    "attestrain evidence verify quote-report.json --collateral collateral.json --policy P --json",
    "attestrain evidence verify quote.bin --collateral C --at T --ear result.jwt --key verifier.json",
    "attestrain evidence verify quote.hex                     without collateral: UNDECIDED at best",
)
STYLES = {"VERIFIED": "good", "CONSISTENT": "warn", "UNDECIDED": "warn", "REFUTED": "bad"}

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Quote (bytes or hex), evidence document or dstack report.")
]
PolicyFile = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="Evidence policy; without, the safe defaults.")
]
CollateralFile = Annotated[
    Path | None, typer.Option("--collateral", metavar="FILE", help="Collateral for quotes that bring none.")
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="When it was given: seconds since 1970 or 2026-11-25T12:00:00Z; now."),
]
TokenFile = Annotated[
    Path | None, typer.Option("--ear", metavar="FILE", help="Also write the verdict as an EAR token (JWT).")
]
KeyFile = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Key file that signs the token (ES256K).")]
PassphraseFile = Annotated[
    Path | None, typer.Option("--passphrase", metavar="FILE", help="File that holds its passphrase; else asked.")
]

app = typer.Typer(
    name="evidence",
    help="Judge TEE evidence, offline.",
    rich_markup_mode=None,
    epilog=VERIFY,
    no_args_is_help=False,
)


@app.callback(invoke_without_command=True)
def evidence(context: typer.Context) -> None:
    """Judge TEE evidence, offline."""
    if context.invoked_subcommand is None:
        raise UsageError("evidence takes a command", hint="attestrain evidence verify FILE")


@app.command("verify", short_help="Judge quotes and evidence documents.", epilog=VERIFY)
def verify(
    files: Files,
    policy: PolicyFile = None,
    collateral: CollateralFile = None,
    at: At = None,
    ear: TokenFile = None,
    key: KeyFile = None,
    passphrase: PassphraseFile = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge TEE evidence: what is proven, what is not checked, and why it is refused. Needs no network.

    Evidence is judged at the time when it was given, with the collateral of that time: without --at that is now. It
    never proves that the computation was right, only which code held which key on which machine.

    Exit codes: 0 VERIFIED, 3 UNDECIDED (collateral or a nonce is missing), 4 REFUTED,
    5 CONSISTENT (the policy asks for more).
    """
    from attestrain.cli.times import read_time

    if (ear is None) != (key is None):
        raise UsageError("--ear and --key go together", hint="a token says nothing unless somebody signs it")
    (asked, name), seconds = read_policy(policy), read_time(at)
    beside = None if collateral is None else _read(collateral)
    conclusion = judge(files, asked, beside, seconds)
    if ear is not None and key is not None:
        _write_token(ear, conclusion, asked, name, open_key(key, passphrase))
    if json:
        emit(conclusion.to_json())
    else:
        show_conclusion(conclusion, brief=quiet)
        if policy is None:
            say("no policy: the safe defaults were taken; see spec/evidence-policy.md", quiet=quiet)
    raise typer.Exit(int(conclusion.code))


def judge(files: list[Path], policy: EvidencePolicy, beside: bytes | None, at: int) -> Conclusion:
    """The verdict over ``files``.

    Raises:
        UsageError: one cannot be read, or is malformed or of no format known here.
    """
    from attestrain.appraise.conclusion import conclude

    return conclude([_judge_file(path, policy, beside, at) for path in files], policy, at)


def _judge_file(path: Path, policy: EvidencePolicy, beside: bytes | None, at: int) -> Finding:
    from attestrain.appraise.conclusion import Finding
    from attestrain.appraise.formats import appraise_any
    from attestrain.errors import FormatError, PolicyNotMet, Refuted, Undecided

    try:
        return Finding(str(path), appraise_any(_read(path), beside, policy, at))
    except (Refuted, Undecided, PolicyNotMet) as error:
        return Finding(str(path), error=error)
    except FormatError as error:
        raise FormatError(f"{path}: {error}", hint=error.hint) from error


def read_policy(path: Path | None) -> tuple[EvidencePolicy, str]:
    """The policy in ``path``, with the signed files that it names beside it; without a path, the safe defaults.

    Returns:
        The policy, and its name for a token: SHA-256 of the file, or that there was none.

    Raises:
        UsageError: it, or a file that it names, cannot be read.
        Refused: a file that it names is not signed by whom it says.
    """
    from attestrain.appraise.policy import EvidencePolicy
    from attestrain.record.digest import sha256

    if path is None:
        return EvidencePolicy(), "attestrain.dev/evidence-policy@v1 defaults"
    data = _read(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"policy {path} is not text") from error
    policy = EvidencePolicy.from_toml(text, lambda name: _read(path.parent / name))
    return policy, f"sha256:{sha256(data).hex()}"


def _write_token(target: Path, conclusion: Conclusion, asked: EvidencePolicy, name: str, key: SigningKey) -> None:
    from attestrain.appraise.ear import attestation_result, sign_token
    from attestrain.cli.times import read_time
    from attestrain.store.atomic import write_atomic

    token = sign_token(attestation_result(conclusion, asked, name, read_time(None)), key)
    try:
        write_atomic(target, token.encode() + b"\n")
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}") from error


def _read(path: Path) -> bytes:
    from attestrain.appraise.formats import MAX_FILE

    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def show_conclusion(conclusion: Conclusion, *, brief: bool) -> None:
    """The verdict for people; ``brief`` leaves out what is proven and not checked."""
    from attestrain.appraise.signatures import shown

    for finding in conclusion.findings:
        _show_finding(finding, brief=brief)
    word = conclusion.word
    text = conclusion.unmet or _explain(conclusion)
    print(paint(word, STYLES[word], sys.stdout) + f"  {clean(text)}, at {shown(conclusion.at)}")


def _explain(conclusion: Conclusion) -> str:
    for finding in conclusion.findings:
        if finding.code == conclusion.code and finding.error is not None:
            return f"{finding.name}: {finding.error}"
    return f"the evidence holds under the policy; assurance: {conclusion.assurance}"


def _show_finding(finding: Finding, *, brief: bool) -> None:
    found = finding.shown
    if found is None:
        show(f"{finding.name}: not taken")
        _show_item("because", str(finding.error))
        if finding.error is not None and finding.error.hint:
            _show_item("hint", finding.error.hint)
    else:
        show(f"{finding.name}: {found.format}, {found.assurance}, platform {found.platform}, TCB {found.tcb}")
        if not brief:
            for item in found.proven:
                _show_item("proven", item)
            for item in found.unchecked:
                _show_item("not checked", item)
    show()


def _show_item(label: str, text: str) -> None:
    margin = " " * 15
    lines = textwrap.wrap(clean(text), max(width() - len(margin), 40), break_on_hyphens=False)
    show(f"  {label:<13}" + f"\n{margin}".join(lines))
