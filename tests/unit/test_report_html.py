from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from attestrain.errors import UsageError
from attestrain.record.bundle import MANIFEST, MODEL, SPEC, MemoryFiles, environment_path, make_manifest
from attestrain.record.canonical import canonical
from attestrain.record.digest import sha256
from attestrain.report.events import Line
from attestrain.report.html import inert_json, write_report
from attestrain.report.page.figures import MAX_COLUMNS, strip_svg
from attestrain.report.page.rounds import Cell
from attestrain.verify.policy import GUARANTEES
from tests.attacks.world import ENVIRONMENT, World, cover, tiny_dataset, tiny_spec
from tests.unit.report_world import cheat_world, cheated, on_chain, page_of, told, write_bundle

VOID = {"meta", "input", "br", "hr", "img", "link"}
HOSTILE = "</script></title></style><img src=x onerror=alert(1)>\"'<svg onload=alert(2)> {{7*7}}"


class Page(HTMLParser):
    """Reads a report and collects what the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[dict[str, str]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.headings: list[int] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a":
            self.links.append(given)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)
            if tag in self.inline and given.get("type") != "application/json":
                self.inline[tag].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in self.inline:
            if not (self.open[-1] == "script" and self.tags[-1][1].get("type") == "application/json"):
                self.inline[self.open[-1]][-1] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def whole() -> str:
    """The report of a run with everything: a cheat, a chain, a case."""
    world = cheat_world()
    return page_of(world.files, world.policy, [*told(world), *on_chain()])


@pytest.fixture(scope="module")
def bare() -> str:
    """The report of the same bundle without its events: nothing of a chain, nothing measured."""
    world = cheat_world()
    return page_of(world.files, world.policy)


@pytest.fixture(scope="module", params=["whole", "bare"])
def either(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


def test_elements_are_balanced_and_ids_unique(either: str) -> None:
    page = Page(either)
    assert len(page.ids) == len(set(page.ids))
    assert either.startswith("<!doctype html>")


def test_every_link_leads_to_a_place_in_the_page(either: str) -> None:
    page = Page(either)
    targets = {link["href"].removeprefix("#") for link in page.links if link["href"].startswith("#")}
    assert len(targets) > 20
    assert targets <= set(page.ids)
    assert all(link["href"].startswith("#") for link in page.links)
    named = [value for _, given in page.tags if (value := given.get("aria-labelledby"))]
    assert set(named) <= set(page.ids)


def test_every_number_names_its_evidence(whole: str) -> None:
    cites = [link for link in Page(whole).links if link.get("class") == "cite"]
    assert len(cites) > 60
    assert all(link.get("title") for link in cites)
    places = {re.sub(r"\d+", "N", link["href"]) for link in cites}
    assert {"#file-N", "#entry-N", "#claim-N", "#unsigned-events"} <= places


def test_nothing_is_fetched(either: str) -> None:
    page = Page(either)
    for tag, given in page.tags:
        assert not {"src", "srcset", "poster", "action", "data", "background"} & given.keys(), (tag, given)
        assert tag not in ("link", "iframe", "object", "embed", "base", "img", "form"), tag
    for style in page.inline["style"]:
        assert not re.search(r"@import|url\(|@font-face", style)
    for script in page.inline["script"]:
        assert not re.search(
            r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|importScripts|sendBeacon)\b|\bimport\(", script
        )
        assert not re.search(r"\b(localStorage|sessionStorage|indexedDB)\b|\.cookie\b", script)


def test_only_the_page_s_own_scripts_and_styles_are_allowed(either: str) -> None:
    page = Page(either)
    policy = next(given["content"] for _, given in page.tags if given.get("http-equiv") == "Content-Security-Policy")
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    for kind in ("script", "style"):
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.inline[kind]]
        assert rules[f"{kind}-src"] == [f"'sha256-{digest}'" for digest in digests]
    for tag, given in page.tags:
        assert not [name for name in given if name == "style" or name.startswith("on")], (tag, given)


def test_headings_are_in_order_and_tables_have_headers(either: str) -> None:
    page = Page(either)
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(given.get("scope") for tag, given in page.tags if tag == "th")
    tags = [tag for tag, _ in page.tags]
    assert tags.count("caption") == tags.count("table")
    for number, (tag, given) in enumerate(page.tags):
        if tag == "svg":
            assert given.get("aria-hidden") == "true" or page.tags[number + 1][0] == "title"


def test_the_uplot_licence_travels_with_it(either: str) -> None:
    assert "Copyright (c) 2022 Leon Sorokin" in either
    assert "Permission is hereby granted" in either


def test_what_strangers_wrote_never_becomes_markup() -> None:
    manifest, leaves = tiny_dataset()
    label = HOSTILE[:120]
    manifest = type(manifest)(**{**_fields(manifest), "name": label, "licence": label, "source": label})
    spec = tiny_spec(rounds=4, name=HOSTILE[:60], dataset=manifest.digest)
    world = World(spec=spec, outcome=cheated, auditors=3, dataset=(manifest, leaves)).play()
    lines = [
        Line(
            line.kind,
            line.time,
            {key: HOSTILE if isinstance(value, str) else value for key, value in line.data.items()},
        )
        for line in [*told(world, HOSTILE), *on_chain()]
    ]
    solo = Line("excluded", 1005.0, {"worker": 0, "round": 1, "segment": 0, "detail": HOSTILE})
    page = Page(page_of(world.files, world.policy, [*lines, solo]))
    tags = {tag for tag, _ in page.tags}
    assert "img" not in tags
    assert not any(name.startswith("on") for _, given in page.tags for name in given)
    assert HOSTILE[:60] in page.text
    assert label in page.text
    assert "{{7*7}}" in page.text


def _fields(value: object) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]


def test_chart_data_cannot_leave_its_element() -> None:
    text = inert_json({"label": HOSTILE, "more": "<!-- & -->"})
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"label": HOSTILE, "more": "<!-- & -->"}


def test_one_minute_answers_everything(whole: str) -> None:
    text = Page(whole).text
    for answer in (
        "VERIFIED",
        "3 workers and 3 auditors",
        "simulated TEE evidence",
        "60 coins staked",
        "25.5 coins of pay to workers",
        "5 of 12 guarantees",
        "Worker 2 was caught in round 1, excluded from round 2 on, and lost 5 coins of its stake",
        "2.0000 validation loss",
        "below one worker alone at 2.2500",
        "times fewer bytes sent than fp32 AllReduce",
        "Licence, as stated: CC0-1.0",
    ):
        assert answer in text


def test_the_story_of_a_case_goes_from_receipt_to_slash(whole: str) -> None:
    text = Page(whole).text
    steps = (
        "In round 1 worker 2 signed a receipt",
        "got something else: params differ",
        "From round 2 on none of its updates counts",
        "Auditor 1 put up a bond and opened a case",
        "guilty, 2 of 3 votes guilty (auditor 0 guilty, auditor 1 guilty, auditor 2 innocent)",
        "5 coins of its stake were taken: 3 burned, 2 to the accuser",
    )
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "5.0 % of all processor time" in text


def test_every_guarantee_is_named_with_its_meaning_and_its_qualifier(whole: str) -> None:
    page = Page(whole)
    assert {f"g-{name}" for name in GUARANTEES} <= set(page.ids)
    assert "achieved simulated Every batch is the one that chance assigned" in page.text
    assert "not part of this run" in page.text
    assert "What is not claimed" in page.text


def test_a_run_without_chain_evidence_or_events_says_so(bare: str) -> None:
    text = Page(bare).text
    for absence in (
        "This run had no chain",
        "This run carries no TEE evidence",
        "This run has no chain: a finding excludes and costs no stake",
        "did not lie beside this bundle",
        "Nobody had stake at risk",
        "did not measure what its processor time went into",
    ):
        assert absence in text


def test_an_honest_run_accuses_nobody() -> None:
    world = World().play()
    text = Page(page_of(world.files, world.policy)).text
    assert "nobody was found" in text
    assert "No replayed segment was found at fault" in text


def test_the_verdict_is_computed_and_not_believed() -> None:
    world = World().play()
    files = MemoryFiles(world.files)
    files[MODEL] = files[MODEL][:-4] + b"\0\0\0\0"
    cover(files)
    text = Page(page_of(files, world.policy)).text
    assert "REFUTED The bundle contradicts claim (11), model" in text
    assert "Nothing below can be relied on" in text


def test_without_a_policy_the_page_says_what_that_means() -> None:
    text = Page(page_of(cheat_world().files, None)).text
    assert "CONSISTENT Nothing is wrong with this bundle, but nothing pins it" in text
    assert "Judged without a policy" in text
    assert "self-asserted" in text


@pytest.mark.parametrize(
    "path", [SPEC, "transcript/checkpoint", "dataset/manifest.json", MODEL, "traces/000000/0000.json"]
)
@pytest.mark.parametrize("data", [None, b"", b"{}", b"\xff" * 40])
def test_a_broken_bundle_still_has_a_page(path: str, data: bytes | None) -> None:
    files = MemoryFiles(cheat_world().files)
    if data is None:
        del files[path]
    else:
        files[path] = data
    files[MANIFEST] = make_manifest(cheat_world().spec.run_id, files).to_bytes()
    text = Page(page_of(files, None)).text
    assert "REFUTED" in text or "UNDECIDED" in text


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ({"device": "cpu", "cpu": "EPYC <b>", "torch": "2.13.0+cpu"}, "cpu, EPYC <b>, torch 2.13.0+cpu"),
        ({"device": "cuda", "cpu": "EPYC", "gpu": {"name": "H100"}, "torch": "2.13.0"}, "cuda, H100, torch 2.13.0"),
        ({"device": "x" * 300}, "x" * 200),
        ({"device": ["list"], "gpu": "text", "cpu": 7}, "['list'], 7"),
        (None, "a description that cannot be read"),
    ],
)
def test_machines_are_named_as_they_name_themselves(document: dict[str, object] | None, shown: str) -> None:
    files = MemoryFiles(cheat_world().files)
    path = environment_path(sha256(ENVIRONMENT))
    files[path] = b"{" if document is None else canonical(document)
    files[MANIFEST] = make_manifest(cheat_world().spec.run_id, files).to_bytes()
    assert f"computed on, as stated {shown} " in " ".join(Page(page_of(files, None)).text.split()) + " "


def test_the_same_run_has_the_same_page(whole: str) -> None:
    world = cheat_world()
    assert page_of(world.files, world.policy, [*told(world), *on_chain()]) == whole


def test_a_long_run_of_many_stays_small() -> None:
    cells = [
        Cell(r, w, "fault" if (r, w) == (777, 90) else "counted", "note", "") for w in range(100) for r in range(1000)
    ]
    picture = strip_svg(cells)
    assert len(picture) < 60 * MAX_COLUMNS * 130
    assert picture.count("cell fault") == 1
    assert "worker 90" in picture


def test_a_folder_s_report_says_under_which_policy(tmp_path: Path) -> None:
    world = cheat_world()
    write_bundle(tmp_path / "bundle", world.files)
    (tmp_path / "policy.toml").write_text(world.policy.to_toml())
    other = tmp_path / "elsewhere" / "mine.toml"
    other.parent.mkdir()
    other.write_text(world.policy.to_toml())
    found = write_report(tmp_path)
    assert (found.path, found.found) == (tmp_path / "report.html", True)
    text = Page(found.path.read_text()).text
    assert "found beside the bundle" in text
    assert "attestrain verify bundle --policy policy.toml" in text
    given = write_report(tmp_path / "bundle", tmp_path / "elsewhere" / "r.html", other)
    assert not given.found
    text = given.path.read_text()
    assert "Judged under the policy <code>mine.toml</code>" in text
    assert str(tmp_path) not in text
    assert str(tmp_path) not in found.path.read_text()


def test_events_of_another_run_are_left_aside(tmp_path: Path) -> None:
    world = cheat_world()
    write_bundle(tmp_path / "bundle", world.files)
    event = {"run": "00" * 32, "name": "another", "kind": "start", "time": 1.0}
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n")
    text = Page(write_report(tmp_path).path.read_text()).text
    assert "is of another run and was left aside" in text
    (tmp_path / "events.jsonl").write_text("not an event\n")
    assert "cannot be read and was left aside" in Page(write_report(tmp_path).path.read_text()).text


def test_a_run_that_is_not_finished_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a run folder nor a bundle"):
        write_report(tmp_path)
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(UsageError, match="not finished") as error:
        write_report(tmp_path)
    assert "--resume" in str(error.value.hint)
