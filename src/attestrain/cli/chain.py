"""`attestrain chain up|deploy|status`: an EVM chain of one's own, the contracts on a chain, and what they hold."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attestrain.cli.inspect import show_facts
from attestrain.cli.keyfile import open_key
from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say, show, shown_path
from attestrain.errors import FormatError, Refuted, UsageError

if TYPE_CHECKING:
    from attestrain.record.keys import SigningKey
    from attestrain.record.names import RunId
    from attestrain.settle.contracts import Terms
    from attestrain.settle.deployment import Deployment

SUMMARY = "Run a chain, put the contracts on one, see what they hold."
EXAMPLES = examples(
    "attestrain chain up                                     a chain of your own on this machine",
    "attestrain chain deploy --rpc URL --key KEYSTORE        put the contracts on a chain",
    "attestrain chain status --rpc URL --deployment deployment.json",
)
FUNDED = 10_000
"""Coins that an account named with --fund gets."""
WEI = 10**18
"""Wei in a coin."""
_COINS = re.compile(r"\d{1,9}(\.\d{1,18})?\Z", re.ASCII)
_ACCOUNT = re.compile(r"0x[0-9a-fA-F]{40}\Z")

app = typer.Typer(
    name="chain",
    help="Run a chain of your own, put the contracts on a chain, see what they hold.",
    rich_markup_mode=None,
    epilog=EXAMPLES,
    no_args_is_help=False,
)

Rpc = Annotated[str, typer.Option("--rpc", metavar="URL", help="JSON-RPC endpoint of the chain.")]
UP = examples(
    "attestrain chain up",
    "attestrain chain up --folder chains/mine --port 8545 --fund 0x00000000000000000000000000000000000000aa",
)
DEPLOY = examples(
    "attestrain chain deploy --rpc http://127.0.0.1:8545 --key deployer.json",
    "attestrain chain deploy --rpc URL --key deployer.json --passphrase deployer.pass --out sepolia.json --fine 2.5",
)
STATUS = examples(
    "attestrain chain status --rpc http://127.0.0.1:8545",
    "attestrain chain status --rpc URL --deployment deployment.json --run RUN_ID --json",
)


@app.command("up", short_help="Run a chain of your own until Ctrl-C.", epilog=UP)
def up(
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where it lives.")] = Path("chain"),
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="To listen on; 0 takes a free one.")] = 0,
    fund: Annotated[
        list[str] | None, typer.Option("--fund", metavar="ADDRESS", help=f"Give an account {FUNDED} coins.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a chain on this machine, for runs that nobody else needs to believe, until Ctrl-C.

    What counts on it is on disk and has the same hashes after the next start, whatever is killed. It is one operator's
    chain: guarantees that rest on it read `local`. The first start fetches anvil through npm.
    """
    from attestrain.settle.embedded import CHAIN_ID, EmbeddedChain

    accounts = [_account(address) for address in fund or []]
    with EmbeddedChain(folder, port, supervised=True) as chain, _until_signal() as ended:
        for account in accounts:
            chain.fund(account, FUNDED * WEI)
        number = chain.finalise()
        if json:
            emit({"url": chain.url, "chain_id": CHAIN_ID, "block": number, "folder": str(folder)})
        else:
            show(chain.url)
        sys.stdout.flush()
        say(f"chain {CHAIN_ID} at block {number}, kept in {shown_path(folder)}; Ctrl-C ends it", quiet=quiet)
        ended.wait()
        say(f"ended at block {chain.finalise()}", quiet=quiet)


@contextmanager
def _until_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; also where a shell started us in the background, deaf to Ctrl-C."""
    ended = threading.Event()
    before = {name: signal.signal(name, lambda *_: ended.set()) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@app.command("deploy", short_help="Put the contracts on a chain.", epilog=DEPLOY)
def deploy(
    rpc: Rpc,
    key: Annotated[Path, typer.Option("--key", metavar="KEYSTORE", help="Encrypted key of the account that pays.")],
    passphrase: Annotated[
        Path | None, typer.Option("--passphrase", metavar="FILE", help="File that holds its passphrase; else asked.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where they stand.")] = Path("deployment.json"),
    beacon_delay: Annotated[
        int, typer.Option(min=1, max=200, metavar="BLOCKS", help="From an anchor to its beacon.")
    ] = 8,
    case_window: Annotated[
        int, typer.Option(min=60, max=10**9, metavar="SECONDS", help="After a run, for cases.")
    ] = 604_800,
    withdrawal_delay: Annotated[
        int, typer.Option(min=60, max=10**9, metavar="SECONDS", help="Until a stake can be taken back.")
    ] = 604_800,
    commit_seconds: Annotated[
        int, typer.Option(min=10, max=10**9, metavar="SECONDS", help="For a committee to commit.")
    ] = 3_600,
    reveal_seconds: Annotated[
        int, typer.Option(min=10, max=10**9, metavar="SECONDS", help="For a committee to reveal.")
    ] = 3_600,
    bond: Annotated[str, typer.Option(metavar="COINS", help="What an accuser puts up.")] = "1",
    fine: Annotated[str, typer.Option(metavar="COINS", help="What a worker found guilty loses.")] = "5",
    finality: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="When a block counts: finalized, or after a number of confirmations."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Put the five contracts on a chain and write down where they stand; begun again, it goes on where it stopped.

    Nothing about them can be changed later, by nobody. The key comes from an encrypted keystore (Web3 Secret Storage).
    """
    from attestrain.settle.contracts import Terms
    from attestrain.settle.finality import parse_rule

    if finality is not None:
        parse_rule(finality)
    if out.exists():
        raise UsageError(f"{out} exists", hint="name another file with --out")
    terms = Terms(
        beacon_delay,
        case_window,
        withdrawal_delay,
        commit_seconds,
        reveal_seconds,
        _wei("bond", bond),
        _wei("fine", fine),
    )
    signing = open_key(key, passphrase)
    say(f"deploying as {signing.address}", quiet=quiet)
    deployment = _deploy(rpc, signing, terms, out, finality)
    facts: dict[str, Any] = {"deployment": str(out), "chain_id": deployment.chain_id, **deployment.contracts}
    if json:
        emit(facts)
    else:
        show_facts(facts)


def _deploy(rpc: str, signing: SigningKey, terms: Terms, out: Path, rule: str | None) -> Deployment:
    """Deploy, durably; the folder of what was sent is named after everything that it depends on."""
    from attestrain.record.digest import sha256
    from attestrain.settle.contracts import deploy as deploy_contracts
    from attestrain.settle.embedded import CHAIN_ID
    from attestrain.settle.rpc import Rpc as Endpoint
    from attestrain.store.atomic import write_atomic

    chain_id = Endpoint(rpc).number("eth_chainId")
    name = sha256(repr((chain_id, signing.address, terms)).encode()).hex()[:16]
    outbox = out.with_name(f".{out.name}.{name}")
    deployment = deploy_contracts(rpc, signing, terms, outbox, instant=chain_id == CHAIN_ID, rule=rule)
    write_atomic(out, deployment.to_bytes())
    shutil.rmtree(outbox, ignore_errors=True)
    return deployment


@app.command("status", short_help="See what a chain holds.", epilog=STATUS)
def status(
    rpc: Rpc,
    deployment: Annotated[
        Path | None, typer.Option("--deployment", metavar="FILE", help="Where the contracts stand.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="ID", help="A run to look for.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print a chain's head, the contracts and whether their code is what this package ships, and a run.

    The node is believed here; a verdict believes none. Exit code 4 means that a contract has other code, or obeys
    somebody else than the others.
    """
    from attestrain.settle.overview import look

    if run is not None and deployment is None:
        raise UsageError("--run needs --deployment", hint="give the file that `attestrain chain deploy` wrote")
    found = look(
        rpc, None if deployment is None else _read_deployment(deployment), None if run is None else _run_id(run)
    )
    if json:
        emit(found.to_json())
    else:
        show_facts(found.to_json())
    if found.foreign:
        raise Refuted(f"{' and '.join(found.foreign)} on this chain have other code than this package ships")
    if found.miswired:
        raise Refuted(f"{' and '.join(found.miswired)} on this chain obey somebody else than the other contracts")
    if run is not None and found.run is None:
        say("this run was never opened there", quiet=quiet)


def _read_deployment(path: Path) -> Deployment:
    from attestrain.settle.deployment import Deployment

    try:
        return Deployment.from_bytes(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="attestrain chain deploy writes it") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}", hint="attestrain chain deploy writes such a file") from error


def _run_id(text: str) -> RunId:
    from attestrain.record.digest import parse_digest
    from attestrain.record.names import RunId

    try:
        return RunId(parse_digest(text))
    except ValueError as error:
        raise FormatError(str(error), hint="a run's id is the digest of its spec: attestrain inspect RUN") from error


def _account(text: str) -> Any:
    from attestrain.record.keys import parse_address

    if not _ACCOUNT.match(text):
        raise UsageError(f"not an account: {text!r}", hint="0x and 40 hexadecimal digits")
    return parse_address(text.lower())


def _wei(name: str, coins: str) -> int:
    if not _COINS.match(coins):
        raise UsageError(f"--{name} is not an amount of coins: {coins!r}", hint=f"--{name} 2.5")
    return int(Fraction(coins) * WEI)
