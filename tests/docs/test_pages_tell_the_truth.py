"""What the pages say is so: links lead somewhere, names exist, tables are complete, the picture is the flow."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
import stripe

import rehearsal
import todoku
from proof.__main__ import PROOFS
from rehearsal.cards import BY_NUMBER
from tests.docs import pages
from tests.docs.pages import ROOT
from todoku.flows import checkout, definition
from todoku.webhooks.wanted import WANTED

README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
EVERY_PAGE = pytest.mark.parametrize("page", pages.pages(), ids=pages.named)
#: The only hosts a page may name: this machine, Stripe, and the two customs that the changelog follows.
HOSTS = {"127.0.0.1:8000", "127.0.0.1:8150", "stripe.com", "keepachangelog.com", "semver.org", "your-shop.example"}


def drawing() -> ModuleType:
    """The script that draws the flow; it is no part of a package."""
    spec = importlib.util.spec_from_file_location("draw_flow", ROOT / "docs" / "draw_flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Links and names ---------------------------------------------------------------------------------------------


@EVERY_PAGE
def test_every_link_leads_somewhere(page: Path) -> None:
    astray = []
    for words, target in pages.links(page):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        found = there.exists() and there.is_relative_to(ROOT)
        if not found or (anchor and anchor not in pages.headings(there.read_text("utf-8"))):
            astray.append(target)
        elif re.fullmatch(r"`[\w./-]+/[\w./-]+`", words) and (ROOT / words.strip("`")) != there:
            astray.append(f"{words} leads to {target}")
    assert astray == []


@EVERY_PAGE
def test_every_named_function_is_where_the_page_says(page: Path) -> None:
    text = page.read_text("utf-8")
    missing = [
        f"{path}::{name}"
        for path, name in pages.NAMED.findall(text)
        if not (ROOT / path).is_file() or name not in pages.names_in(ROOT / path)
    ]
    assert missing == []
    for words, target in pages.links(page):
        for path, _name in pages.NAMED.findall(words):
            assert (page.parent / target).resolve() == ROOT / path


def test_a_name_that_is_not_there_would_be_noticed() -> None:
    found = pages.names_in(ROOT / "todoku" / "engines" / "embedded.py")
    assert {"run", "Embedded", "Embedded.send"} <= found
    assert not {"fly", "Embedded.fly", "execution"} & found


@EVERY_PAGE
def test_no_page_names_a_machine_or_a_host_of_ours(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"(?<![\w.])/(?:work|tmp|root|home|opt|srv)\b[\w/.-]*", text) == []
    assert re.search(r"(?i)pypi|pythonhosted|devpi|artifactory|/simple\b|index-url", text) is None
    assert {urlsplit(found).netloc.rstrip(".,") for found in re.findall(r"https?://[^\s)>`\"]+", text)} <= HOSTS


# README ------------------------------------------------------------------------------------------------------


def test_every_environment_variable_is_in_the_table_and_no_other() -> None:
    sources = [path for path in (ROOT / "todoku").rglob("*.py") if "migrations" not in path.parts]
    read = set().union(*(pages.variables_read(path.read_text("utf-8")) for path in sources))
    read -= {"XDG_RUNTIME_DIR"}  # the system's own, see postgres.py
    told = [row[0].strip("`") for row in pages.table(README, "Settings")]
    assert sorted(told) == sorted(read)


def test_a_variable_is_noticed_however_it_is_read() -> None:
    source = 'a = os.environ.get("A")\nb = os.environ["B"]\nc = environ.get("C", "")\nd = _switch("D", True)\n'
    source += 'e = _number("E", 20, most=100)\n'
    assert pages.variables_read(source) == {"A", "B", "C", "D", "E"}


def test_the_cards_do_in_the_rehearsal_what_the_table_says() -> None:
    rows = pages.table(README, "Try it")
    assert len(rows) > 8
    assert [row[1] for row in rows] == [BY_NUMBER[row[0].replace(" ", "")].title for row in rows]
    for number in re.findall(r"\b\d{4} \d{4} \d{4} \d{4}\b", README):
        assert number.replace(" ", "") in BY_NUMBER


def test_the_table_of_commands_is_the_makefiles() -> None:
    phony = re.search(r"^\.PHONY: help (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert phony is not None
    told = [row[0] for row in pages.table(README, "Open the shop")]
    assert sorted(told) == sorted(f"`make {target}`" for target in phony[1].split())


def test_the_webhook_endpoints_version_is_the_librarys() -> None:
    [told] = re.findall(r"API version: `([^`]+)`", README)
    assert told == stripe.api_version == rehearsal.API_VERSION


def test_the_webhook_endpoints_events_are_those_that_the_shop_wants() -> None:
    told = README.split("\n- events:", 1)[1].split("\n\n", 1)[0]
    assert re.findall(r"`([\w.]+)`", told) == list(WANTED)


def test_the_picture_is_there_and_small() -> None:
    picture = ROOT / "docs" / "pictures" / "shop.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 400_000


# ARCHITECTURE ------------------------------------------------------------------------------------------------


def test_the_picture_of_every_flow_is_the_flow() -> None:
    script = drawing()
    assert set(script.DRAWN) == {path.name.partition(".")[0] for path in script.FLOWS.glob("*.asl.json")}
    for flow in script.DRAWN:
        picture = script.draw(script.definition(flow))
        assert script.with_picture(ARCHITECTURE, flow, picture) == ARCHITECTURE, "run: python docs/draw_flow.py"
        assert picture.count("-->") > {"checkout": 10, "refund": 6}[flow]
        for state in script.definition(flow)["States"]:
            assert f"    {state}" in picture


def test_another_flow_would_be_another_picture() -> None:
    script = drawing()
    changed = script.definition("checkout")
    changed["States"]["CloseCart"]["Next"] = "SendMail"
    assert script.with_picture(ARCHITECTURE, "checkout", script.draw(changed)) != ARCHITECTURE


def test_the_worked_example_is_taken_by_the_reader_of_definitions() -> None:
    changed = json.loads((ROOT / "todoku" / "flows" / "checkout.asl.json").read_text("utf-8"))
    told = json.loads(json.dumps(changed["States"]["CloseCart"]).replace("CloseCart", "TellWarehouse"))
    changed["States"]["TellWarehouse"] = {**told, "Next": "CloseCart", "ResultPath": "$.warehouse"}
    changed["States"]["RecordOrder"]["Next"] = "TellWarehouse"
    flow = definition.read(json.dumps(changed), steps=[*checkout.STEPS, "TellWarehouse"])
    assert "TellWarehouse" in flow.tasks
    assert "TellWarehouse" in ARCHITECTURE


def test_every_import_contract_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = [contract["id"] for contract in project["tool"]["importlinter"]["contracts"]]
    assert [row[0].strip("`") for row in pages.table(ARCHITECTURE, "Who may know whom")] == contracts


def test_every_folder_of_tests_and_every_proof_is_in_the_tables() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/__init__.py")}
    told = ARCHITECTURE.split("\n## The tests", 1)[1]
    assert {name for name in folders if f"(tests/{name})" not in told} == set()
    for proof in PROOFS:
        assert f"(proof/{proof})" in told or f"(proof/{proof}.py)" in told, f"{proof} is not told of"


def test_every_step_of_the_flow_has_its_stop_on_the_tour() -> None:
    tour = ARCHITECTURE.split("\n## The tour", 1)[1].split("\n## ", 1)[0]
    for step in checkout.STEPS:
        assert re.search(rf"^### \d+\. {step}\b", tour, re.M), f"{step} has no stop"
    numbers = [int(found) for found in re.findall(r"^### (\d+)\.", tour, re.M)]
    assert numbers == list(range(1, len(numbers) + 1))


# The other pages ---------------------------------------------------------------------------------------------


def test_the_changelog_tells_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## \[([^\]]+)\]", text, re.M)[0] == todoku.__version__


def test_each_decision_is_numbered_short_and_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    index = [target for _words, target in pages.links(folder / "README.md")]
    assert index == files
    for name in files:
        text = (folder / name).read_text("utf-8")
        assert text.startswith(f"# {int(name[:4])}. "), name
        assert re.findall(r"^\*\*(.+?)\.\*\*", text, re.M) == ["What", "Why", "Given up"], name
        assert len(text.split()) < 300, f"{name} is longer than half a page"
