"""What a state does to the data: the Amazon States Language, without a database and without a clock.

Paths are the subset's simple ones (``$.payment.outcome``, ``$$.Execution.Name``). Data are plain JSON.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping
from typing import Any

from todoku.flows.definition import Choice, Flow, Pass, Retrier, Task

#: Errors that ``States.TaskFailed`` does not stand for (Amazon States Language, Errors).
_NOT_TASK_FAILED = ("States.Timeout", "States.HeartbeatTimeout")


class RuntimeFailure(Exception):
    """The data and the definition do not fit (``States.Runtime``): never retried, never guessed at."""


def value_at(path: str, data: Any, context: Mapping[str, Any]) -> Any:
    """Read what a simple path points at. Raises RuntimeFailure when nothing is there."""
    found: Any = context if path.startswith("$$") else data
    for name in path.split(".")[1:]:
        if not isinstance(found, Mapping) or name not in found:
            raise RuntimeFailure(f"the data have nothing at {path}")
        found = found[name]
    return found


def fill(template: Any, data: Any, context: Mapping[str, Any]) -> Any:
    """Fill a Parameters template: every key that ends in ``.$`` becomes what its path points at."""
    if not isinstance(template, Mapping):
        return template
    return {
        (key[:-2] if key.endswith(".$") else key): (
            value_at(value, data, context) if key.endswith(".$") else fill(value, data, context)
        )
        for key, value in template.items()
    }


def put(data: Any, path: str | None, result: Any) -> Any:
    """Write a result into the data where ResultPath says; null throws it away, ``$`` takes the data's place."""
    if path is None:
        return data
    names = path.split(".")[1:]
    if not names:
        return result
    changed = copy.deepcopy(data)
    here = changed
    for name in names[:-1]:
        here = here.setdefault(name, {}) if isinstance(here, dict) else None
    if not isinstance(here, dict):
        raise RuntimeFailure(f"the data have no room at {path}")
    here[names[-1]] = result
    return changed


def choose(state: Choice, data: Any) -> str:
    """The name of the state that a Choice goes on to."""
    for test, target in state.rules:
        if holds(test, data):
            return target
    return state.default


def holds(test: Mapping[str, Any], data: Any) -> bool:
    """Say whether a Choice's rule is true of the data. Raises RuntimeFailure when its Variable is not there."""
    if "And" in test:
        return all(holds(part, data) for part in test["And"])
    if "Or" in test:
        return any(holds(part, data) for part in test["Or"])
    if "Not" in test:
        return not holds(test["Not"], data)
    [(comparison, expected)] = [(key, value) for key, value in test.items() if key != "Variable"]
    if comparison == "IsPresent":
        try:
            value_at(test["Variable"], data, {})
        except RuntimeFailure:
            return not expected
        return bool(expected)
    found = value_at(test["Variable"], data, {})
    if comparison == "StringEquals":
        return isinstance(found, str) and bool(found == expected)
    if comparison == "BooleanEquals":
        return isinstance(found, bool) and found == bool(expected)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return False
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "NumericEquals": operator.eq,
        "NumericGreaterThan": operator.gt,
        "NumericGreaterThanEquals": operator.ge,
        "NumericLessThan": operator.lt,
        "NumericLessThanEquals": operator.le,
    }
    return compare[comparison](found, expected)


def passed(state: Pass, data: Any, context: Mapping[str, Any]) -> Any:
    """What the data are after a Pass."""
    result = fill(state.parameters, data, context) if state.parameters is not None else state.result
    return put(data, state.result_path, result)


def stands_for(errors: tuple[str, ...], error: str) -> bool:
    """Say whether a list of error names (of a Retry or Catch) stands for this error."""
    return (
        any(
            name == error
            or name == "States.ALL"
            or (name == "States.TaskFailed" and error not in _NOT_TASK_FAILED and error != "States.Runtime")
            for name in errors
        )
        and error != "States.Runtime"
    )


def retrier(state: Task, error: str) -> tuple[int, Retrier] | None:
    """The Task's first retrier that stands for the error, with its place in the list."""
    for place, found in enumerate(state.retry):
        if stands_for(found.errors, error):
            return place, found
    return None


def context(*, name: str, started_at: str, order: int, flow: Flow, state: str) -> dict[str, Any]:
    """The context object (``$$``) of a state."""
    return {
        "Execution": {"Name": name, "StartTime": started_at, "Input": {"order": order}},
        "State": {"Name": state},
    }
