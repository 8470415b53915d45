from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from attestrain.report.html import write_report
from tests.e2e.chromium import Browser, browse
from tests.unit.report_world import cheat_world, on_chain, told, write_bundle

pytestmark = pytest.mark.slow

WIDE, PHONE = 1280, 400


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with a cheat, a chain and a case."""
    folder, world = tmp_path_factory.mktemp("run"), cheat_world()
    write_bundle(folder / "bundle", world.files)
    (folder / "policy.toml").write_text(world.policy.to_toml())
    lines = sorted([*told(world), *on_chain()], key=lambda line: line.time)
    written = [{**line.data, "time": line.time, "kind": line.kind} for line in lines]
    (folder / "events.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in written))
    return write_report(folder).path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browse(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(running: Browser) -> Browser:
    running.complaints.clear()
    running.requests.clear()
    running.call("Emulation.setScriptExecutionDisabled", value=False)
    return running


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and the unfiltered scan lines' raw bytes of a PNG."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    at, data = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return width, height, zlib.decompress(data)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_the_page_loads_without_a_complaint_or_a_request(
    browser: Browser, report: Path, width: int, dark: bool
) -> None:
    browser.look(width, dark=dark)
    browser.load(report.as_uri())
    wide, high, raw = pixels(browser.screenshot())
    assert (browser.complaints, set(browser.requests)) == ([], {report.as_uri()})
    assert wide == width
    assert high > 3000
    assert len(set(raw)) > 60
    assert browser.ask("document.querySelectorAll('.uplot canvas').length") >= 1
    assert browser.ask("document.documentElement.scrollWidth") == width
    paper = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(16, 19, 22)" if dark else "rgb(250, 249, 246)")


def test_the_switch_turns_light_to_dark_and_back(browser: Browser, report: Path) -> None:
    browser.look(WIDE)
    browser.load(report.as_uri())
    paper = "getComputedStyle(document.body).backgroundColor"
    light = browser.ask(paper)
    browser.ask("document.getElementById('theme').click()")
    dark = browser.ask(paper)
    browser.ask("document.getElementById('theme').click()")
    assert light != dark
    assert browser.ask(paper) == light
    assert not browser.complaints


def test_a_number_leads_to_its_evidence_even_where_it_is_folded_away(browser: Browser, report: Path) -> None:
    browser.look(WIDE)
    browser.load(report.as_uri())
    link = "[...document.querySelectorAll('a.cite')].find(a => a.hash.startsWith('#entry-'))"
    assert browser.ask(f"{link} !== undefined")
    browser.ask(f"{link}.click()")
    browser.ask("new Promise(done => setTimeout(done, 200))")
    target = "document.querySelector(location.hash)"
    assert browser.ask(f"{target}.closest('details').open")
    assert browser.ask(f"{target}.getBoundingClientRect().height") > 0


def test_the_bytes_chart_is_drawn_when_it_is_opened(browser: Browser, report: Path) -> None:
    browser.look(WIDE)
    browser.load(report.as_uri())
    before = browser.ask("document.querySelectorAll('.uplot canvas').length")
    browser.ask("document.getElementById('bytes-box').open = true")
    for _ in range(50):
        if browser.ask("document.querySelectorAll('.uplot canvas').length") > before:
            break
    assert browser.ask("document.querySelectorAll('.uplot canvas').length") == before + 1
    assert not browser.complaints


def test_the_page_can_be_read_without_scripts(browser: Browser, report: Path) -> None:
    browser.look(WIDE)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.load(report.as_uri())
    height = browser.ask("document.querySelector('.still svg').getBoundingClientRect().height")
    assert height > 200
    assert browser.ask("document.getElementById('theme').hidden")
    assert not browser.ask("document.querySelectorAll('.uplot').length")


def test_the_page_prints(browser: Browser, report: Path) -> None:
    browser.look(WIDE)
    browser.load(report.as_uri())
    paper = base64.b64decode(browser.call("Page.printToPDF", printBackground=True)["data"])
    assert paper.startswith(b"%PDF")
    assert not browser.complaints
