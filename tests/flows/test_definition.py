"""The reader of definitions: the checkout is the blueprint's picture, and what is outside the subset is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from todoku.flows import definition, registry
from todoku.flows.definition import Choice, DefinitionRefused, Fail, Pass, Retrier, Succeed, Task, Wait, read

RETRY = {
    "ErrorEquals": ["States.ALL"],
    "IntervalSeconds": 1,
    "MaxAttempts": 2,
    "MaxDelaySeconds": 30,
    "JitterStrategy": "FULL",
}


def task(step: str, goes_on: str, **more: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "${Step}",
        "Parameters": {"step": step, "order.$": "$.order"},
        "ResultPath": "$.answer",
        "TimeoutSeconds": 30,
        "Retry": [dict(RETRY)],
        "Next": goes_on,
        **more,
    }


def sound() -> dict[str, Any]:
    """A small definition with every type of state, and nothing wrong with it."""
    return {
        "Comment": "small",
        "StartAt": "Before",
        "States": {
            "Before": task("Before", "Chosen", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]),
            "Chosen": {
                "Type": "Choice",
                "Choices": [{"Variable": "$.answer.outcome", "StringEquals": "go", "Next": "Noted"}],
                "Default": "Bad",
            },
            "Noted": {"Type": "Pass", "Result": {"seconds": 3}, "ResultPath": "$.noted", "Next": "Rest"},
            "Rest": {"Type": "Wait", "SecondsPath": "$.noted.seconds", "Next": "TakePayment"},
            "TakePayment": task("TakePayment", "Good"),
            "Good": {"Type": "Succeed"},
            "Bad": {"Type": "Fail", "Error": "NeedsOperator", "Cause": "it went wrong"},
        },
    }


def test_the_sound_one_is_read_as_it_was_written() -> None:
    flow = read(json.dumps(sound()))
    assert (flow.start, flow.comment, flow.tasks) == ("Before", "small", ("Before", "TakePayment"))
    assert flow.states["Before"] == Task(
        name="Before",
        resource="${Step}",
        parameters={"step": "Before", "order.$": "$.order"},
        result_path="$.answer",
        timeout=30,
        retry=(Retrier(("States.ALL",), 1, 2, 2.0, 30, True),),
        catch=(definition.Catcher(("States.ALL",), "Bad", "$"),),
        next="Chosen",
    )
    assert flow.states["Chosen"] == Choice(
        "Chosen", (({"Variable": "$.answer.outcome", "StringEquals": "go"}, "Noted"),), "Bad"
    )
    assert flow.states["Noted"] == Pass("Noted", None, {"seconds": 3}, "$.noted", "Rest")
    assert flow.states["Rest"] == Wait("Rest", None, "$.noted.seconds", "TakePayment")
    assert flow.states["Good"] == Succeed("Good")
    assert flow.states["Bad"] == Fail("Bad", "NeedsOperator", "it went wrong")


# The checkout ------------------------------------------------------------------------------------------------------

#: The blueprint's picture: each state, and where it may go on to.
PICTURE = {
    "TakeStock": ["StockTaken"],
    "StockTaken": ["TakePayment", "SoldOut", "NotUnderstood"],
    "SoldOut": [],
    "TakePayment": ["PaymentTaken"],
    "PaymentTaken": ["RecordOrder", "Waiting", "ReturnStock", "NotUnderstood"],
    "Waiting": [],
    "ReturnStock": ["NotPaid"],
    "NotPaid": [],
    "RecordOrder": ["CloseCart"],
    "CloseCart": ["PublishToMyPage"],
    "PublishToMyPage": ["SendMail"],
    "SendMail": ["Done"],
    "Done": [],
    "NotUnderstood": [],
}


def test_the_checkout_is_the_blueprints_picture() -> None:
    flow = registry.flow("checkout").flow
    assert flow.start == "TakeStock"
    assert {name: definition._targets(state) for name, state in flow.states.items()} == PICTURE
    assert {name for name, state in flow.states.items() if isinstance(state, Succeed)} == {
        "SoldOut",
        "Waiting",
        "NotPaid",
        "Done",
    }


def test_the_checkout_goes_by_the_outcomes() -> None:
    flow = registry.flow("checkout").flow
    stock, payment = flow.states["StockTaken"], flow.states["PaymentTaken"]
    assert isinstance(stock, Choice) and isinstance(payment, Choice)
    assert (stock.default, payment.default) == ("NotUnderstood", "NotUnderstood")

    from todoku.engines.interpreter import choose

    went = {o: choose(stock, {"stock": {"outcome": o}}) for o in ("taken", "sold_out", "stolen")}
    assert went == {"taken": "TakePayment", "sold_out": "SoldOut", "stolen": "NotUnderstood"}
    went = {
        o: choose(payment, {"payment": {"outcome": o}})
        for o in ("paid", "waiting", "declined", "canceled", "expired", "unknown")
    }
    assert went == {
        "paid": "RecordOrder",
        "waiting": "Waiting",
        "declined": "ReturnStock",
        "canceled": "ReturnStock",
        "expired": "ReturnStock",
        "unknown": "NotUnderstood",
    }


def test_every_task_of_the_checkout_performs_its_namesake_and_only_ids_travel() -> None:
    registered = registry.flow("checkout")
    tasks = [state for state in registered.flow.states.values() if isinstance(state, Task)]
    assert [one.name for one in tasks] == list(registered.flow.tasks)
    assert {one.name for one in tasks} == set(registered.steps)
    for one in tasks:
        assert one.parameters == {"step": one.name, "order.$": "$.order", "execution.$": "$$.Execution.Name"}
        assert one.resource == "${Step}"


def test_every_task_of_the_checkout_has_its_retry_and_none_has_a_catch() -> None:
    tasks = [state for state in registry.flow("checkout").flow.states.values() if isinstance(state, Task)]
    assert len(tasks) == 7
    for one in tasks:
        assert one.catch == ()
        never, again = one.retry
        assert (never.errors, never.most) == (("NeedsOperator",), 0)
        assert again.errors == ("States.ALL",) and again.jitter and again.longest is not None
    # The slowest conversation with Stripe (three tries of 40 s) fits into the step's own timeout.
    assert {one.name: one.timeout for one in tasks if one.timeout != 30} == {"TakePayment": 150, "SendMail": 60}


# Refusals ------------------------------------------------------------------------------------------------------------


def at(*path: str | int, put: Any = None, drop: bool = False) -> Callable[[dict[str, Any]], None]:
    """Change the sound definition at one place."""

    def change(found: Any) -> None:
        for name in path[:-1]:
            found = found[name]
        if drop:
            del found[path[-1]]
        else:
            found[path[-1]] = put

    return change


B, S = "States", "Before"
BAD: list[tuple[str, Callable[[dict[str, Any]], None], str, str]] = [
    ("unknown type", at(B, "Good", "Type", put="Suceed"), "Good", "Type 'Suceed' is outside the subset"),
    ("no type", at(B, "Good", "Type", drop=True), "Good", "Type None is outside the subset"),
    ("a type that is a list", at(B, "Good", "Type", put=["Task"]), "Good", "Type ['Task'] is outside the subset"),
    ("Parallel", at(B, "Good", put={"Type": "Parallel", "Branches": []}), "Good", "Type 'Parallel' is outside"),
    ("Map", at(B, "Good", put={"Type": "Map", "Iterator": {}}), "Good", "Type 'Map' is outside"),
    ("a state that is no object", at(B, "Good", put=7), "Good", "Type None is outside"),
    ("unknown field of the flow", at("Timeout", put=5), "(definition)", "Timeout is outside the subset"),
    ("timeout of the whole flow", at("TimeoutSeconds", put=5), "(definition)", "a paid order does not time out"),
    ("JSONata", at("QueryLanguage", put="JSONata"), "(definition)", "QueryLanguage must be JSONPath"),
    ("JSONata in a state", at(B, S, "QueryLanguage", put="JSONata"), S, "QueryLanguage is outside the subset"),
    ("Arguments", at(B, S, "Arguments", put={}), S, "Arguments is outside the subset"),
    ("InputPath", at(B, S, "InputPath", put="$"), S, "InputPath is outside the subset"),
    ("ResultSelector", at(B, S, "ResultSelector", put={}), S, "ResultSelector is outside the subset"),
    ("HeartbeatSeconds", at(B, S, "HeartbeatSeconds", put=3), S, "HeartbeatSeconds is outside the subset"),
    ("no states", at(B, put={}), "(definition)", "States must name at least one state"),
    ("states that are a list", at(B, put=["Good"]), "(definition)", "States must name at least one state"),
    ("no start", at("StartAt", drop=True), "(definition)", "StartAt names None"),
    ("a start that is a list", at("StartAt", put=["Before"]), "(definition)", "StartAt names ['Before']"),
    ("a start that is no state", at("StartAt", put="Nowhere"), "(definition)", "StartAt names 'Nowhere'"),
    ("missing Next", at(B, S, "Next", drop=True), S, "Next must be a text"),
    ("Next and End", at(B, S, "End", put=True), S, "has either Next or End: true"),
    ("End: false", at(B, S, "End", put=False), S, "has either Next or End: true"),
    ("dangling Next", at(B, S, "Next", put="Nowhere"), S, "goes on to 'Nowhere', which is not a state"),
    ("dangling Default", at(B, "Chosen", "Default", put="Nowhere"), "Chosen", "goes on to 'Nowhere'"),
    ("dangling rule", at(B, "Chosen", "Choices", 0, "Next", put="Nowhere"), "Chosen", "goes on to 'Nowhere'"),
    ("dangling Catch", at(B, S, "Catch", 0, "Next", put="Nowhere"), S, "goes on to 'Nowhere'"),
    ("unreachable", at(B, "Lost", put={"Type": "Succeed"}), "Lost", "no other state leads to it"),
    ("a name too long", at(B, "x" * 81, put={"Type": "Succeed"}), "x" * 80, "1 to 80 characters"),
    ("missing TimeoutSeconds", at(B, S, "TimeoutSeconds", drop=True), S, "every Task has TimeoutSeconds, 1 to 900"),
    ("TimeoutSeconds of 0", at(B, S, "TimeoutSeconds", put=0), S, "every Task has TimeoutSeconds, 1 to 900"),
    ("TimeoutSeconds: true", at(B, S, "TimeoutSeconds", put=True), S, "every Task has TimeoutSeconds, 1 to 900"),
    ("missing Retry", at(B, S, "Retry", drop=True), S, "every Task has Retry"),
    ("empty Retry", at(B, S, "Retry", put=[]), S, "every Task has Retry"),
    ("no MaxDelaySeconds", at(B, S, "Retry", 0, "MaxDelaySeconds", drop=True), S, "has MaxDelaySeconds and Jitter"),
    ("no jitter", at(B, S, "Retry", 0, "JitterStrategy", drop=True), S, "has MaxDelaySeconds and JitterStrategy"),
    ("strange jitter", at(B, S, "Retry", 0, "JitterStrategy", put="HALF"), S, "FULL or NONE, not 'HALF'"),
    ("MaxDelaySeconds too small", at(B, S, "Retry", 0, "MaxDelaySeconds", put=1), S, "must be greater than Interval"),
    ("IntervalSeconds of 0", at(B, S, "Retry", 0, "IntervalSeconds", put=0), S, "must be a whole number from 1"),
    ("half an IntervalSeconds", at(B, S, "Retry", 0, "IntervalSeconds", put=1.5), S, "must be a whole number from 1"),
    ("BackoffRate below 1", at(B, S, "Retry", 0, "BackoffRate", put=0.5), S, "BackoffRate must be a number from 1"),
    ("negative MaxAttempts", at(B, S, "Retry", 0, "MaxAttempts", put=-1), S, "must be a whole number from 0"),
    ("huge MaxAttempts", at(B, S, "Retry", 0, "MaxAttempts", put=10**9), S, "must be a whole number from 0 to"),
    ("unknown field of Retry", at(B, S, "Retry", 0, "Most", put=3), S, "Most is outside the subset"),
    ("no ErrorEquals", at(B, S, "Retry", 0, "ErrorEquals", drop=True), S, "ErrorEquals must be a list of error names"),
    ("strange error name", at(B, S, "Retry", 0, "ErrorEquals", put=["a b"]), S, "must be a list of error names"),
    (
        "States.ALL not alone",
        at(B, S, "Retry", 0, "ErrorEquals", put=["States.ALL", "Unavailable"]),
        S,
        "States.ALL must stand alone",
    ),
    ("States.ALL not last", at(B, S, "Retry", put=[RETRY, {**RETRY, "ErrorEquals": ["X"]}]), S, "must come last"),
    (
        "States.ALL not last in Catch",
        at(B, S, "Catch", put=[{"ErrorEquals": [e], "Next": "Bad"} for e in ("States.ALL", "X")]),
        S,
        "States.ALL must come last",
    ),
    ("a Catch that is no list", at(B, S, "Catch", put=5), S, "Catch must be a list"),
    (
        "Catch on the payment",
        at(B, "TakePayment", "Catch", put=[{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]),
        "TakePayment",
        "has a Catch although the customer may have paid",
    ),
    (
        "Catch after the payment",
        lambda d: d["States"].update(
            TakePayment=task("TakePayment", "After"),
            After=task("After", "Good", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]),
        ),
        "After",
        "has a Catch although the customer may have paid",
    ),
    (
        "Catch after a payment under another name",
        lambda d: (
            d["States"].update(
                Rest={"Type": "Wait", "Seconds": 1, "Next": "Pay"},
                Pay=task("TakePayment", "After"),
                After=task("After", "Good", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Bad"}]),
            )
            or d["States"].pop("TakePayment")
        ),
        "After",
        "has a Catch although the customer may have paid",
    ),
    ("Choice without Default", at(B, "Chosen", "Default", drop=True), "Chosen", "a Choice has a Default"),
    ("Choice without rules", at(B, "Chosen", "Choices", put=[]), "Chosen", "Choices must be a list of rules"),
    ("Choice with Next", at(B, "Chosen", "Next", put="Good"), "Chosen", "Next is outside the subset"),
    ("a rule that is no object", at(B, "Chosen", "Choices", put=["go"]), "Chosen", "a rule must be an object"),
    (
        "a rule that compares two things",
        at(B, "Chosen", "Choices", 0, "BooleanEquals", put=True),
        "Chosen",
        "a rule compares exactly one thing",
    ),
    (
        "a comparison we do not play",
        at(B, "Chosen", "Choices", 0, put={"Variable": "$.a", "StringMatches": "g*", "Next": "Noted"}),
        "Chosen",
        "StringMatches is outside the subset",
    ),
    (
        "a comparison with the wrong thing",
        at(B, "Chosen", "Choices", 0, "StringEquals", put=5),
        "Chosen",
        "StringEquals cannot compare with 5",
    ),
    (
        "a variable that is no simple path",
        at(B, "Chosen", "Choices", 0, "Variable", put="$.a[0]"),
        "Chosen",
        "Variable must be a simple path",
    ),
    ("an empty And", at(B, "Chosen", "Choices", 0, put={"And": [], "Next": "Noted"}), "Chosen", "And must be a list"),
    (
        "intrinsic function",
        at(B, S, "Parameters", "id.$", put="States.Format('{}', $.order)"),
        S,
        "id.$ must be a simple path; intrinsic functions are not played",
    ),
    (
        "intrinsic function further in",
        at(B, S, "Parameters", "more", put={"id.$": "States.UUID()"}),
        S,
        "id.$ must be a simple path",
    ),
    ("lists of objects", at(B, S, "Parameters", "ids", put=[{}]), S, "lists of objects are outside the subset"),
    ("no step", at(B, S, "Parameters", put={}), S, "Parameters must name the step to perform"),
    ("no Resource", at(B, S, "Resource", drop=True), S, "Resource must be a text"),
    ("another Resource", at(B, S, "Resource", put="arn:aws:states:::sqs:sendMessage"), S, "Resource must be a sub"),
    ("a ResultPath that is no path", at(B, S, "ResultPath", put="answer"), S, "ResultPath must be a simple path"),
    ("Pass with nothing", at(B, "Noted", "Result", drop=True), "Noted", "a Pass has either Result or Parameters"),
    ("Wait with both", at(B, "Rest", "Seconds", put=3), "Rest", "a Wait has either Seconds or SecondsPath"),
    ("Wait with Timestamp", at(B, "Rest", "Timestamp", put="2026-01-01"), "Rest", "Timestamp is outside the subset"),
    (
        "Wait of a million years",
        at(B, "Rest", put={"Type": "Wait", "Seconds": 10**14, "Next": "TakePayment"}),
        "Rest",
        "Seconds must be a whole number from 1 to",
    ),
    ("Fail without Cause", at(B, "Bad", "Cause", drop=True), "Bad", "Cause must be a text"),
    ("Succeed with Next", at(B, "Good", "Next", put="Bad"), "Good", "Next is outside the subset"),
    ("step unknown", at(B, S, "Parameters", "step", put="TakeStok"), S, "no step is called 'TakeStok'"),
    (
        "no end",
        lambda d: d.update(StartAt="A", States={"A": {"Type": "Wait", "Seconds": 1, "Next": "A"}}),
        "(definition)",
        "it has no end",
    ),
]


@pytest.mark.parametrize(("change", "state", "reason"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_outside_the_subset_is_refused_with_the_states_name_and_the_reason(
    change: Callable[[dict[str, Any]], None], state: str, reason: str
) -> None:
    bad = copy.deepcopy(sound())
    change(bad)
    with pytest.raises(DefinitionRefused) as refused:
        read(json.dumps(bad), steps=["Before", "TakePayment", "After"])
    assert refused.value.state == state
    assert reason in refused.value.reason
    assert str(refused.value) == f"{state}: {refused.value.reason}"


@pytest.mark.parametrize(
    ("text", "state", "reason"),
    [
        ("", "(definition)", "not JSON"),
        ("{'StartAt': 'A'}", "(definition)", "not JSON"),
        ("[]", "(definition)", "must be an object"),
        ("7", "(definition)", "must be an object"),
        ('{"StartAt": "A", "StartAt": "B"}', "StartAt", "is written twice"),
        ('{"States": {"A": {"Type": "Succeed"}, "A": {"Type": "Fail"}}}', "A", "is written twice"),
        (
            '{"States": {"A": {"Type": "Wait", "Seconds": NaN, "End": true}}, "StartAt": "A"}',
            "(definition)",
            "not JSON",
        ),
        ('{"Comment": Infinity}', "(definition)", "not JSON"),
        ('{"Comment": ' + "9" * 5000 + "}", "(definition)", "not JSON"),
        ("[" * 100_000, "(definition)", "not JSON"),
    ],
    ids=["empty", "quotes", "list", "number", "twice", "twice inside", "NaN", "Infinity", "long number", "deep"],
)
def test_a_text_that_is_no_definition_is_refused(text: str, state: str, reason: str) -> None:
    with pytest.raises(DefinitionRefused) as refused:
        read(text)
    assert refused.value.state == state
    assert reason in refused.value.reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
WORDS = sorted({field for fields in definition._FIELDS.values() for field in fields} | set(RETRY) | {"And", "Not"})


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_no_json_crashes_the_reader(anything: Any) -> None:
    try:
        read(json.dumps(anything))
    except DefinitionRefused as refused:
        assert refused.state and refused.reason  # noqa: PT017


@settings(max_examples=500, deadline=None)
@given(
    where=st.sampled_from(["Before", "Chosen", "Noted", "Rest", "TakePayment", "Good", "Bad"]),
    field=st.sampled_from(WORDS),
    deeper=st.sampled_from([(), ("Retry", 0), ("Catch", 0), ("Choices", 0), ("Parameters",)]),
    value=JSON,
)
def test_no_value_in_a_field_crashes_the_reader(where: str, field: str, deeper: tuple[Any, ...], value: Any) -> None:
    found: Any = sound()
    inner = found["States"][where]
    for name in deeper:
        if isinstance(inner, dict) and name not in inner:
            return
        inner = inner[name]
    inner[field] = value
    try:
        flow = read(json.dumps(found))
    except DefinitionRefused as refused:
        assert refused.state and refused.reason  # noqa: PT017
    else:
        # What it lets pass can be played: every wait is a number of seconds that a clock can hold.
        for state in flow.states.values():
            for retrier in getattr(state, "retry", ()):
                assert 0 <= retrier.wait(max(1, retrier.most), 1.0) < 1e9
