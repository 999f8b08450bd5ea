"""The runbook: every cause that the shop can tell of has its section, in both languages, and no other."""

from __future__ import annotations

import ast
import json
import re

import pytest
from django.test import Client

from tests.console import desk
from tests.docs.pages import ROOT
from todoku import runbook
from todoku.console import labels, runbook_page
from todoku.engines import watch
from todoku.flows import registry
from todoku.reconciliation.kinds import KINDS
from todoku.refund import steps as refund

#: What an engine itself calls a failure (Amazon States Language).
ENGINES_OWN = {"Unavailable", "States.Timeout", "States.Runtime"}


def codes_in(source: str) -> set[str]:
    """The codes that a file's calls name: NeedsOperator("…"), report("…"), end_badly(…, code="…"), also by a name."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for to in node.targets:
                named.setdefault(getattr(to, "id", ""), set()).add(node.value.value)
    found: set[str] = set()
    for call in calls:
        called = getattr(call.func, "id", getattr(call.func, "attr", ""))
        if called not in ("NeedsOperator", "report", "end_badly", "open_case"):
            continue
        given = [one.value for one in call.keywords if one.arg == "code"]
        for value in given + (call.args[:1] if called in ("NeedsOperator", "report") else []):
            if isinstance(value, ast.Constant):
                found.add(str(value.value))
            elif isinstance(value, ast.Name):
                found |= named.get(value.id, set())
    return found - {""}


def every_code() -> set[str]:
    """Every cause that can stand on a case."""
    found = {*KINDS, *ENGINES_OWN, *refund.LOST_CODES.values(), runbook.UNFORESEEN}
    found |= {code for code, _why in watch.FINDINGS.values()}
    for path in (ROOT / "todoku").rglob("*.py"):
        if "migrations" not in path.parts and "tests" not in path.parts:
            found |= codes_in(path.read_text("utf-8"))
    for name in registry.names():
        for state in json.loads(registry.flow(name).text)["States"].values():
            found |= {state["Error"]} if state["Type"] == "Fail" else set()
    return found


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_cause_has_its_section_and_no_section_is_left_over(language: str) -> None:
    told = set(runbook.sections(language))
    assert (every_code() - told, told - every_code()) == (set(), set())


def test_a_new_code_would_be_missed() -> None:
    assert codes_in('raise NeedsOperator("brand_new", "…")\nCODE = "third"\nbell.report(CODE, about="x")')  == {
        "brand_new", "third"
    }  # fmt: skip


@pytest.mark.parametrize(("language", "parts"), [
    ("en", ("**The customer:**", "**Do:**", "**A developer:**")),
    ("ja", ("**お客様には：**", "**すること：**", "**開発担当者へ：**")),
])  # fmt: skip
def test_every_section_says_what_the_customer_sees_what_to_do_and_when_to_call(
    language: str, parts: tuple[str, ...]
) -> None:
    for code, section in runbook.sections(language).items():
        assert [part for part in parts if section.text.count(part) != 1] == [], code
        assert re.search(r"^1\. ", section.text, re.M), code
        assert 5 < len(section.to_do) < 200 and "\n" not in section.to_do, code
        assert not set("<&") & set(section.text), f"{code}: the page would show these signs as they are not"


def test_both_languages_tell_of_the_same_in_the_same_order() -> None:
    assert list(runbook.sections("ja")) == list(runbook.sections("en"))


def test_a_cause_that_nobody_foresaw_leads_to_the_section_for_those() -> None:
    assert labels.runbook_link("KeyError").endswith("#unforeseen")
    assert labels.runbook_link("States.Timeout").endswith("#statestimeout")


def test_the_page_shows_every_section_at_its_anchor_and_nothing_acts(transactional_db: None) -> None:
    packer = desk.operator("packer")
    for language, word in (("ja", "すること"), ("en", "Do")):
        packer.cookies["todoku_language"] = language
        shown = packer.get("/console/runbook/").content.decode()
        assert word in shown
        for code in runbook.sections(language):
            assert f'id="{runbook.anchor(code)}"' in shown, code
    assert packer.post("/console/runbook/").status_code == 405
    assert Client().get("/console/runbook/").status_code == 302
    assert "<script>" not in runbook_page.as_html("### `x`\n\n<script>alert(1)</script> [y](javascript:alert(1))")
    assert "javascript:" not in runbook_page.as_html("[y](javascript:alert(1))")
