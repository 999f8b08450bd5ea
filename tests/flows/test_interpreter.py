"""What a state does to the data, and which retrier and catcher stand for an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.flows.test_definition import RETRY, sound
from todoku.engines import interpreter
from todoku.engines.interpreter import RuntimeFailure, choose, fill, holds, passed, put, stands_for, value_at
from todoku.flows.definition import Choice, Pass, Retrier, Task, read

CONTEXT = interpreter.context(
    name="checkout-42-1", started_at="2026-11-22T10:00:00+09:00", order=42, flow=read(json.dumps(sound())), state="A"
)
DATA = {"order": 42, "payment": {"outcome": "paid", "sums": {"total": 5400}}, "nothing": None}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DATA),
        ("$.order", 42),
        ("$.payment.outcome", "paid"),
        ("$.payment.sums.total", 5400),
        ("$.nothing", None),
        ("$$.Execution.Name", "checkout-42-1"),
        ("$$.Execution.StartTime", "2026-11-22T10:00:00+09:00"),
        ("$$.Execution.Input.order", 42),
        ("$$.State.Name", "A"),
    ],
)
def test_a_path_reads_what_it_points_at(path: str, found: Any) -> None:
    assert value_at(path, DATA, CONTEXT) == found


@pytest.mark.parametrize("path", ["$.stock", "$.order.id", "$.nothing.more", "$$.Task.Token", "$.payment.outcome.x"])
def test_a_path_to_nothing_is_a_runtime_failure(path: str) -> None:
    with pytest.raises(RuntimeFailure, match="the data have nothing at"):
        value_at(path, DATA, CONTEXT)


def test_parameters_are_filled_at_every_depth_and_the_rest_is_left_alone() -> None:
    template = {"step": "A", "order.$": "$.order", "more": {"name.$": "$$.Execution.Name", "list": [1, "$.order"]}}
    assert fill(template, DATA, CONTEXT) == {
        "step": "A",
        "order": 42,
        "more": {"name": "checkout-42-1", "list": [1, "$.order"]},
    }


@pytest.mark.parametrize(
    ("path", "after"),
    [
        (None, {"a": {"b": 1}}),
        ("$", "new"),
        ("$.c", {"a": {"b": 1}, "c": "new"}),
        ("$.a", {"a": "new"}),
        ("$.a.b", {"a": {"b": "new"}}),
        ("$.x.y.z", {"a": {"b": 1}, "x": {"y": {"z": "new"}}}),
    ],
)
def test_a_result_goes_where_result_path_says_and_the_data_before_stay_as_they_were(
    path: str | None, after: Any
) -> None:
    before = {"a": {"b": 1}}
    assert put(before, path, "new") == after
    assert before == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("data", "path"), [({"a": 1}, "$.a.b"), ("text", "$.a"), ([1], "$.a"), (None, "$.a.b"), (7, "$.a")]
)
def test_a_result_that_finds_no_room_is_a_runtime_failure(data: Any, path: str) -> None:
    with pytest.raises(RuntimeFailure, match="no room"):
        put(data, path, "new")


@pytest.mark.parametrize(
    ("test", "data", "answer"),
    [
        ({"Variable": "$.a", "StringEquals": "x"}, {"a": "x"}, True),
        ({"Variable": "$.a", "StringEquals": "x"}, {"a": "y"}, False),
        ({"Variable": "$.a", "StringEquals": "1"}, {"a": 1}, False),
        ({"Variable": "$.a", "BooleanEquals": True}, {"a": True}, True),
        ({"Variable": "$.a", "BooleanEquals": True}, {"a": 1}, False),
        ({"Variable": "$.a", "BooleanEquals": False}, {"a": False}, True),
        ({"Variable": "$.a", "NumericEquals": 1}, {"a": 1.0}, True),
        ({"Variable": "$.a", "NumericEquals": 1}, {"a": True}, False),
        ({"Variable": "$.a", "NumericEquals": 1}, {"a": "1"}, False),
        ({"Variable": "$.a", "NumericGreaterThan": 5}, {"a": 5}, False),
        ({"Variable": "$.a", "NumericGreaterThan": 5}, {"a": 6}, True),
        ({"Variable": "$.a", "NumericGreaterThanEquals": 5}, {"a": 5}, True),
        ({"Variable": "$.a", "NumericLessThan": 5}, {"a": 5}, False),
        ({"Variable": "$.a", "NumericLessThan": 5}, {"a": 4}, True),
        ({"Variable": "$.a", "NumericLessThanEquals": 5}, {"a": 5}, True),
        ({"Variable": "$.a", "IsPresent": True}, {"a": None}, True),
        ({"Variable": "$.a", "IsPresent": True}, {}, False),
        ({"Variable": "$.a.b", "IsPresent": False}, {"a": 1}, True),
        ({"Variable": "$.a", "IsPresent": False}, {"a": 1}, False),
        ({"Not": {"Variable": "$.a", "StringEquals": "x"}}, {"a": "y"}, True),
        (
            {
                "And": [
                    {"Variable": "$.a", "IsPresent": True},
                    {"Or": [{"Variable": "$.a", "NumericEquals": n} for n in (1, 2)]},
                ]
            },
            {"a": 2},
            True,
        ),
        (
            {"And": [{"Variable": "$.a", "IsPresent": True}, {"Variable": "$.a", "StringEquals": "x"}]},
            {},
            False,
        ),
        ({"Or": [{"Variable": "$.a", "NumericEquals": n} for n in (1, 2)]}, {"a": 3}, False),
    ],
)
def test_a_rule_holds_or_not(test: dict[str, Any], data: Any, answer: bool) -> None:
    assert holds(test, data) is answer


def test_a_rule_about_what_is_not_there_is_a_runtime_failure() -> None:
    with pytest.raises(RuntimeFailure):
        holds({"Variable": "$.a", "StringEquals": "x"}, {})


def test_the_first_rule_that_holds_is_taken_and_the_default_else() -> None:
    rules = tuple(({"Variable": "$.a", "NumericLessThan": n}, f"below {n}") for n in (1, 5, 3))
    state = Choice("C", rules, "above")
    assert [choose(state, {"a": a}) for a in (0, 2, 4, 9)] == ["below 1", "below 5", "below 5", "above"]


def test_a_pass_writes_its_result_or_its_parameters() -> None:
    assert passed(Pass("P", None, {"x": 1}, "$.p", "N"), DATA, CONTEXT) == {**DATA, "p": {"x": 1}}
    assert passed(Pass("P", {"id.$": "$.order"}, None, "$", "N"), DATA, CONTEXT) == {"id": 42}
    assert passed(Pass("P", None, "gone", None, "N"), DATA, CONTEXT) == DATA


# Errors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "error", "answer"),
    [
        (("Unavailable",), "Unavailable", True),
        (("Unavailable",), "NeedsOperator", False),
        (("States.ALL",), "Unavailable", True),
        (("States.ALL",), "States.Timeout", True),
        (("States.ALL",), "States.Runtime", False),
        (("States.TaskFailed",), "Unavailable", True),
        (("States.TaskFailed",), "States.Timeout", False),
        (("States.TaskFailed",), "States.Runtime", False),
        (("States.Timeout",), "States.Timeout", True),
        (("States.Runtime",), "States.Runtime", False),
        (("A", "Unavailable"), "Unavailable", True),
    ],
)
def test_which_names_stand_for_an_error(names: tuple[str, ...], error: str, answer: bool) -> None:
    assert stands_for(names, error) is answer


def _state(*retry: Retrier) -> Task:
    return Task("T", "${Step}", {"step": "T"}, "$", 30, retry, (), "N")


def test_the_first_retrier_that_stands_for_the_error_is_used_even_when_it_never_tries() -> None:
    never = Retrier(("NeedsOperator",), most=0)
    timeouts = Retrier(("States.Timeout",), most=1)
    tasks = Retrier(("States.TaskFailed",), most=2)
    everything = Retrier(("States.ALL",), most=3)
    state = _state(never, timeouts, tasks, everything)
    assert interpreter.retrier(state, "NeedsOperator") == (0, never)
    assert interpreter.retrier(state, "States.Timeout") == (1, timeouts)
    assert interpreter.retrier(state, "Unavailable") == (2, tasks)
    assert interpreter.retrier(state, "States.Runtime") is None
    assert interpreter.retrier(_state(never, everything), "States.Timeout") == (1, everything)
    assert interpreter.retrier(_state(never), "Unavailable") is None


def test_the_waits_double_up_to_the_longest_one() -> None:
    retrier = Retrier(("States.ALL",), interval=2, most=8, backoff=2.0, longest=60, jitter=True)
    assert [retrier.wait(n, 1.0) for n in range(1, 9)] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert [retrier.wait(n, 0.0) for n in range(1, 9)] == [0] * 8
    assert retrier.wait(3, 0.25) == 2
    calm = Retrier(("States.ALL",), interval=2, most=8, backoff=1.5, longest=60)
    assert [calm.wait(n, 0.0) for n in (1, 2, 3)] == [2, 3, 4.5]


@given(
    interval=st.integers(1, 99_999_999),
    backoff=st.floats(1, 1e300),
    longest=st.integers(2, 99_999_999),
    tries=st.integers(1, 1_000_000),
    luck=st.floats(0, 1),
)
def test_full_jitter_lies_between_nothing_and_the_longest_wait(
    interval: int, backoff: float, longest: int, tries: int, luck: float
) -> None:
    retrier = Retrier(("States.ALL",), interval=interval, backoff=backoff, longest=longest, jitter=True)
    assert 0 <= retrier.wait(tries, luck) <= longest


def test_the_small_definitions_defaults_are_amazons() -> None:
    found = sound()
    found["States"]["Before"]["Retry"] = [{**RETRY, "MaxDelaySeconds": 9}]
    del found["States"]["Before"]["Retry"][0]["MaxAttempts"]
    state = read(json.dumps(found)).states["Before"]
    assert isinstance(state, Task)
    assert state.retry == (Retrier(("States.ALL",), 1, 3, 2.0, 9, True),)
