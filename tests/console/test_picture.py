"""The flow as a picture: drawn from any definition, with nothing on top of anything else."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from django.utils import timezone, translation

from tests.console import desk
from todoku.catalog.models import Product
from todoku.console import picture, timeline
from todoku.console.wrapping import width, wrap
from todoku.engines.models import Definition, Execution, State
from todoku.flows import registry

TASK = {
    "Type": "Task", "Resource": "${Step}", "TimeoutSeconds": 9, "ResultPath": "$.r",
    "Parameters": {"step": "x"},
    "Retry": [{"ErrorEquals": ["States.ALL"], "MaxDelaySeconds": 9, "JitterStrategy": "FULL"}],
}  # fmt: skip

#: A refund's shape: it asks, waits, looks again in a circle, and ends well, badly, or with a person.
CIRCLE: dict[str, Any] = {
    "StartAt": "Reserve",
    "States": {
        "Reserve": {**TASK, "Next": "Ask", "Catch": [{"ErrorEquals": ["Unavailable"], "Next": "GivenUp"}]},
        "Ask": {**TASK, "Next": "Asked"},
        "Asked": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.r.outcome", "StringEquals": "pending", "Next": "AWhile"},
                {"Or": [
                    {"Variable": "$.r.outcome", "StringEquals": "succeeded"},
                    {"Variable": "$.r.outcome", "StringEquals": "settled"},
                ], "Next": "Restock"},
                {"Variable": "$.r.outcome", "StringEquals": "failed", "Next": "Reopen"},
            ],
            "Default": "Unclear",
        },
        "AWhile": {"Type": "Wait", "Seconds": 60, "Next": "Ask"},
        "Restock": {**TASK, "Next": "Tell"},
        "Tell": {**TASK, "Next": "Refunded"},
        "Refunded": {"Type": "Succeed"},
        "Reopen": {**TASK, "Next": "NotRefunded"},
        "NotRefunded": {"Type": "Succeed"},
        "GivenUp": {"Type": "Succeed"},
        "Unclear": {"Type": "Fail", "Error": "Unclear", "Cause": "?"},
    },
}  # fmt: skip


def drawn(definition: dict[str, Any], *stops: tuple[str, str]) -> picture.Picture:
    """Draw a definition for an execution that has come so far."""
    line = timeline.Line([timeline.Stop(state, kind, at=timezone.now()) for state, kind in stops])
    execution = Execution(flow="x", order_id=1, number=1, status=State.FAILED)
    execution.definition = Definition(flow="x", text=json.dumps(definition))
    found = picture.draw(execution, line)
    assert found is not None
    return found


@pytest.mark.parametrize("definition", [json.loads(registry.flow("checkout").text), CIRCLE])
@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_state_has_its_box_and_no_two_boxes_touch(definition: dict[str, Any], language: str) -> None:
    with translation.override(language):
        found = drawn(definition)
    assert {box.state for box in found.boxes} == set(definition["States"])
    for box in found.boxes:
        assert box.x >= 0 and box.x + box.w <= found.width and box.y >= 0 and box.y + box.h <= found.height
        for y, _text in box.texts:
            assert box.y < y < box.y + box.h
    for one, other in itertools.combinations(found.boxes, 2):
        apart = (
            one.x + one.w < other.x or other.x + other.w < one.x or one.y + one.h < other.y or other.y + other.h < one.y
        )
        assert apart, (one.state, other.state)
    # An arrow for every way on.
    ways = sum(
        len({*(rule["Next"] for rule in state.get("Choices", ())), *([state["Default"]] if "Default" in state else [])})
        + ("Next" in state)
        + len(state.get("Catch", ()))
        for state in definition["States"].values()
    )
    assert len(found.arrows) == ways


def test_how_far_it_has_come_is_coloured_and_told_in_words() -> None:
    found = drawn(CIRCLE, ("Reserve", "done"), ("Ask", "earlier"), ("Restock", "failed"), ("Tell", "open"))
    kinds = {box.state: box.kind for box in found.boxes}
    assert kinds == {
        "Reserve": "done", "Ask": "done", "Asked": "done", "Restock": "failed", "Tell": "open", "Refunded": "open",
        "AWhile": "open", "Reopen": "open", "NotRefunded": "open", "GivenUp": "open", "Unclear": "open",
    }  # fmt: skip
    assert sum(arrow.gone for arrow in found.arrows) == 3
    assert "Restock: 失敗" in found.told and "Asked" not in found.told


def test_a_definition_of_another_version_has_no_picture_and_the_page_still_answers(crab: Product) -> None:
    execution = desk.stuck_order(crab).executions.select_related("definition").get()
    Definition.objects.update(text="{}")
    execution.definition.refresh_from_db()
    assert picture.draw(execution, timeline.Line([])) is None
    owner = desk.operator("owner", superuser=True)
    for thing in (execution, execution.order.cases.get()):
        assert owner.get(desk.page(thing)).status_code == 200


def test_text_is_broken_where_it_may_be() -> None:
    assert wrap("Record the order and its parcels", 9) == ["Record the order", "and its parcels"]
    assert wrap("お客さまのお支払いを待つ。", 6) == ["お客さまのお", "支払いを待つ。"]
    assert wrap("x" * 40, 5) == ["x" * 40]
    assert wrap("", 5) == [""]
    assert width("支払い") == 3.0 and width("pay") < 2
