"""report.html: a run on one page, for a stranger who has a minute. One file, no request to anywhere, no storage.

The verdict on it is computed here, by `attestrain.verify` from the bundle under the policy, never read from a file.
Everything else that the bundle says is text from strangers: the template escapes it, the page's own policy lets the
browser run and style nothing but what this module put there, by digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from attestrain.errors import FormatError, UsageError
from attestrain.record.bundle import MANIFEST, FolderFiles
from attestrain.report.events import FILE as EVENTS
from attestrain.report.events import Line, read_events
from attestrain.report.page.page import Judged, Page, compose
from attestrain.report.reference import load_reference
from attestrain.store.atomic import write_atomic
from attestrain.verify.policy import MAX_POLICY, Policy
from attestrain.verify.verdict import Verdict
from attestrain.verify.verifier import verify

NAME = "report.html"
POLICY = "policy.toml"
BUNDLE = "bundle"
DATA = "data/report"


@dataclass(frozen=True, slots=True)
class Written:
    """A report on disk, and the verdict it opens with. ``policy`` is None where it was judged without one."""

    path: Path
    size: int
    verdict: Verdict
    policy: Path | None
    found: bool


def write_report(folder: Path, out: Path | None = None, policy: Path | None = None) -> Written:
    """Judge the bundle in ``folder`` and write its report.

    Args:
        folder: a run folder, or a bundle.
        out: the file; by default report.html in the run folder, or beside the bundle.
        policy: pins and required guarantees; by default the policy.toml beside the bundle, if there is one.

    Raises:
        UsageError: there is no bundle, the policy cannot be read, or the report cannot be written.
        FormatError: events or packaged files are malformed.
    """
    bundle, home = _bundle_of(folder)
    found = policy is None and (home / POLICY).is_file()
    chosen = home / POLICY if found else policy
    rules = None if chosen is None else _read_policy(chosen)
    target = out or home / NAME
    files = FolderFiles(bundle)
    verdict = verify(files, rules)
    lines, note = _events_of(home, verdict)
    judged = _judged(bundle, chosen, found=found, target=target)
    page = compose(files, verdict, judged, lines, load_reference(), note)
    data = render(page).encode("utf-8")
    try:
        write_atomic(target, data)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    return Written(target, len(data), verdict, chosen, found)


def _bundle_of(folder: Path) -> tuple[Path, Path]:
    """The bundle that is meant, and the folder in which its policy, its events and its report lie."""
    if (folder / MANIFEST).is_file():
        return folder, folder.resolve().parent
    if (folder / BUNDLE / MANIFEST).is_file():
        return folder / BUNDLE, folder
    unfinished = (folder / EVENTS).is_file()
    hint = f"attestrain train --resume {folder}" if unfinished else "give a run folder or a bundle, such as runs/X"
    what = "has no bundle: the run is not finished" if unfinished else "is neither a run folder nor a bundle"
    raise UsageError(f"{folder} {what}", hint=hint)


def _read_policy(path: Path) -> Policy:
    try:
        with path.open("rb") as file:
            return Policy.from_toml(file.read(MAX_POLICY + 1).decode("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read policy {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"policy {path} is not text") from error


def _events_of(home: Path, verdict: Verdict) -> tuple[list[Line], str]:
    """Events beside the bundle, if they are of the same run."""
    if not (home / EVENTS).is_file():
        return [], ""
    try:
        lines = read_events(home / EVENTS)
    except FormatError as error:
        return [], f"{EVENTS} beside the bundle cannot be read and was left aside: {error}"
    runs = {line.text("run") for line in lines if line.kind == "start"}
    if verdict.run is None or runs != {verdict.run.hex()}:
        return [], f"{EVENTS} beside the bundle is of another run and was left aside."
    return lines, ""


def _judged(bundle: Path, policy: Path | None, *, found: bool, target: Path) -> Judged:
    """Commands name files as they lie from the report's own folder: the page may be read on another machine."""
    here = target.resolve().parent
    names = [_seen_from(here, path) for path in (bundle, *([policy] if policy else []))]
    command = f"attestrain verify {names[0]}" + (f" --policy {names[1]}" if policy else "")
    return Judged(names[1] if policy else "", found, names[0], command)


def _seen_from(here: Path, path: Path) -> str:
    """A path inside the report's folder, or else its name alone: where things lie elsewhere is nobody's business."""
    full = path.resolve()
    return full.relative_to(here).as_posix() or "." if full.is_relative_to(here) else full.name


def render(page: Page) -> str:
    """The document."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(_packaged),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = _packaged("uplot.css") + _packaged("report.css")
    scripts = (_packaged("uplot.js"), _packaged("report.js"))
    return environment.get_template("report.html.j2").render(
        page=page,
        security=_security(style, scripts),
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        licence=Markup(_packaged("LICENSE.uplot.txt")),
        pictures={name: Markup(svg) for name, svg in page.pictures.items()},
        charts=Markup(inert_json(page.charts)),
    )


def _packaged(name: str) -> str:
    return resources.files("attestrain").joinpath(f"{DATA}/{name}").read_text(encoding="utf-8")


def _security(style: str, scripts: tuple[str, ...]) -> str:
    """Content security policy: nothing is loaded from anywhere, and only these very scripts and styles count."""
    allowed = " ".join(_digest(script) for script in scripts)
    parts = ("default-src 'none'", f"script-src {allowed}", f"style-src {_digest(style)}")
    return "; ".join((*parts, "base-uri 'none'", "form-action 'none'"))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"


def inert_json(value: Any) -> str:
    """JSON that can stand inside a script element: no character in it can end the element or open another."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
