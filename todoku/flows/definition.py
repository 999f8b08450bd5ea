"""Read and check a flow's definition: a subset of the Amazon States Language, refused outside it.

The subset (JSONPath): Task, Choice with Default, Pass, Wait, Succeed, Fail; Parameters, ResultPath,
Retry, TimeoutSeconds; Catch only before the payment. Whatever is not understood is refused at load, with the
state's name and the reason, so that a flow never behaves here as it would not behave on AWS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: The steps after which money may have been taken: nothing from here on may have a Catch, because a
#: caught error that ends in Fail cannot be redriven on AWS.
MONEY: Final = frozenset({"TakePayment", "TakeBack"})

#: The greatest number of seconds, or of tries (docs.aws.amazon.com/step-functions, Wait and Retry).
_MOST: Final = 99_999_999
_PATH: Final = re.compile(r"\$(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_CONTEXT: Final = re.compile(r"\$\$(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
_ERROR_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_COMMON: Final = frozenset({"Type", "Comment"})
_FLOWING: Final = _COMMON | {"Next", "End"}
_FIELDS: Final[dict[str, frozenset[str]]] = {
    "Task": frozenset({*_FLOWING, "Resource", "Parameters", "ResultPath", "TimeoutSeconds", "Retry", "Catch"}),
    "Choice": frozenset({*_COMMON, "Choices", "Default"}),
    "Pass": frozenset({*_FLOWING, "Parameters", "Result", "ResultPath"}),
    "Wait": frozenset({*_FLOWING, "Seconds", "SecondsPath"}),
    "Succeed": _COMMON,
    "Fail": frozenset({*_COMMON, "Error", "Cause"}),
}
_TESTS: Final[dict[str, type | tuple[type, ...]]] = {
    "StringEquals": str,
    "BooleanEquals": bool,
    "NumericEquals": (int, float),
    "NumericGreaterThan": (int, float),
    "NumericGreaterThanEquals": (int, float),
    "NumericLessThan": (int, float),
    "NumericLessThanEquals": (int, float),
    "IsPresent": bool,
}


class DefinitionRefused(Exception):
    """A definition that this house does not play; names the state and says why."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(f"{state}: {reason}")
        self.state = state
        self.reason = reason


@dataclass(frozen=True)
class Retrier:
    """When and how often a failed Task is tried again. Times in seconds."""

    errors: tuple[str, ...]
    interval: float = 1.0
    most: int = 3
    backoff: float = 2.0
    longest: float | None = None
    jitter: bool = False

    def wait(self, tries: int, luck: float) -> float:
        """Seconds before the next try, after ``tries`` failed ones; ``luck`` in 0..1 draws the full jitter."""
        try:
            seconds = self.interval * self.backoff ** (tries - 1)
        except OverflowError:
            seconds = float("inf")
        if self.longest is not None:
            seconds = min(seconds, self.longest)
        return seconds * luck if self.jitter else seconds


@dataclass(frozen=True)
class Catcher:
    """Where a Task goes on when it has failed for good; allowed only before the payment."""

    errors: tuple[str, ...]
    next: str
    result_path: str | None


@dataclass(frozen=True)
class Task:
    """A state that performs a step."""

    name: str
    resource: str
    parameters: Any
    result_path: str | None
    timeout: int
    retry: tuple[Retrier, ...]
    catch: tuple[Catcher, ...]
    next: str | None


@dataclass(frozen=True)
class Choice:
    """A state that goes on by what the data say."""

    name: str
    rules: tuple[tuple[Mapping[str, Any], str], ...]
    default: str


@dataclass(frozen=True)
class Pass:
    """A state that writes something into the data and goes on."""

    name: str
    parameters: Any
    result: Any
    result_path: str | None
    next: str | None


@dataclass(frozen=True)
class Wait:
    """A state that lets some seconds pass."""

    name: str
    seconds: float | None
    seconds_path: str | None
    next: str | None


@dataclass(frozen=True)
class Succeed:
    """A good end."""

    name: str


@dataclass(frozen=True)
class Fail:
    """A bad end, with an error's name and its cause."""

    name: str
    error: str
    cause: str


State = Task | Choice | Pass | Wait | Succeed | Fail


@dataclass(frozen=True)
class Flow:
    """A definition that has been read and found sound."""

    start: str
    states: Mapping[str, State]
    comment: str = ""
    tasks: tuple[str, ...] = field(default=())


def read(text: str, *, steps: Iterable[str] | None = None, money: Iterable[str] = MONEY) -> Flow:
    """Read a definition. Raises DefinitionRefused for anything outside the subset.

    ``steps`` are the names that a Task's ``step`` parameter may have; None leaves that open (an old definition
    may name a step that this version no longer has: then the play fails and a person decides).
    """
    try:
        found = json.loads(text, object_pairs_hook=_no_doubles, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits and a nest of thousands of brackets end here too.
        raise DefinitionRefused("(definition)", f"not JSON: {error}") from error
    _known(found, "(definition)", {"Comment", "StartAt", "States", "QueryLanguage", "TimeoutSeconds", "Version"})
    if found.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise DefinitionRefused("(definition)", "QueryLanguage must be JSONPath")
    if "TimeoutSeconds" in found:
        raise DefinitionRefused(
            "(definition)", "TimeoutSeconds for the whole flow is not played: a paid order does not time out"
        )
    bodies = found.get("States")
    if not isinstance(bodies, dict) or not bodies:
        raise DefinitionRefused("(definition)", "States must name at least one state")
    states = {name: _state(name, body) for name, body in bodies.items()}
    start = found.get("StartAt")
    if not isinstance(start, str) or start not in states:
        raise DefinitionRefused("(definition)", f"StartAt names {start!r}, which is not a state")
    for state in states.values():
        for target in _targets(state):
            if target not in states:
                raise DefinitionRefused(state.name, f"goes on to {target!r}, which is not a state")
    lost = set(states) - _reachable(states, start)
    if lost:
        raise DefinitionRefused(min(lost), "no other state leads to it")
    if not any(isinstance(state, Succeed) or getattr(state, "next", "") is None for state in states.values()):
        raise DefinitionRefused("(definition)", "it has no end")
    _no_catch_after(states, money)
    if steps is not None:
        known = set(steps)
        for state in states.values():
            if isinstance(state, Task) and state.parameters.get("step") not in known:
                raise DefinitionRefused(state.name, f"no step is called {state.parameters.get('step')!r}")
    return Flow(
        start=start,
        states=states,
        comment=str(found.get("Comment", "")),
        tasks=tuple(name for name, state in states.items() if isinstance(state, Task)),
    )


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise DefinitionRefused(name, "is written twice")
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _known(body: Any, name: str, fields: Iterable[str]) -> None:
    if not isinstance(body, dict):
        raise DefinitionRefused(name, "must be an object")
    strange = sorted(set(body) - set(fields))
    if strange:
        raise DefinitionRefused(name, f"{strange[0]} is outside the subset this house plays")


def _state(name: str, body: Any) -> State:
    if not 0 < len(name) <= 80:
        raise DefinitionRefused(name[:80], "a state's name has 1 to 80 characters")
    kind = body.get("Type") if isinstance(body, dict) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise DefinitionRefused(name, f"Type {kind!r} is outside the subset this house plays")
    _known(body, name, _FIELDS[kind])
    if kind == "Choice":
        return _choice(name, body)
    if kind == "Succeed":
        return Succeed(name)
    if kind == "Fail":
        return Fail(name, _string(name, body, "Error"), _string(name, body, "Cause"))
    goes_on = _next(name, body)
    if kind == "Task":
        return _task(name, body, goes_on)
    if kind == "Wait":
        return _wait(name, body, goes_on)
    if ("Result" in body) == ("Parameters" in body):
        raise DefinitionRefused(name, "a Pass has either Result or Parameters")
    _check_template(name, body.get("Parameters", {}))
    return Pass(name, body.get("Parameters"), body.get("Result"), _result_path(name, body), goes_on)


def _task(name: str, body: dict[str, Any], goes_on: str | None) -> Task:
    resource = _string(name, body, "Resource")
    if not resource.startswith(("${", "arn:aws:lambda:")):
        raise DefinitionRefused(name, "Resource must be a substitution such as ${Step}, or a Lambda function's ARN")
    parameters = body.get("Parameters")
    if not isinstance(parameters, dict) or not isinstance(parameters.get("step"), str):
        raise DefinitionRefused(name, "Parameters must name the step to perform")
    _check_template(name, parameters)
    timeout = body.get("TimeoutSeconds")
    if not isinstance(timeout, int) or isinstance(timeout, bool) or not 1 <= timeout <= 900:
        raise DefinitionRefused(name, "every Task has TimeoutSeconds, 1 to 900")
    retriers = body.get("Retry")
    if not isinstance(retriers, list) or not retriers:
        raise DefinitionRefused(name, "every Task has Retry")
    retry = tuple(_retrier(name, found) for found in retriers)
    catchers = body.get("Catch", [])
    if not isinstance(catchers, list):
        raise DefinitionRefused(name, "Catch must be a list")
    catch = tuple(_catcher(name, found) for found in catchers)
    for errors in ([r.errors for r in retry], [c.errors for c in catch]):
        if any("States.ALL" in each for each in errors[:-1]):
            raise DefinitionRefused(name, "States.ALL must come last: what stands behind it is never reached")
    return Task(name, resource, parameters, _result_path(name, body), timeout, retry, catch, goes_on)


def _retrier(name: str, body: Any) -> Retrier:
    fields = {"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy"}
    _known(body, name, fields)
    errors = _errors(name, body)
    interval = _number(name, body, "IntervalSeconds", 1, least=1, whole=True)
    most = _number(name, body, "MaxAttempts", 3, least=0, whole=True)
    backoff = _number(name, body, "BackoffRate", 2.0, least=1)
    longest = _number(name, body, "MaxDelaySeconds", None, least=1, whole=True)
    jitter = body.get("JitterStrategy", "NONE")
    if jitter not in ("FULL", "NONE"):
        raise DefinitionRefused(name, f"JitterStrategy is FULL or NONE, not {jitter!r}")
    assert interval is not None and most is not None and backoff is not None
    if most > 0 and (longest is None or jitter != "FULL"):
        raise DefinitionRefused(name, "a Retry that tries again has MaxDelaySeconds and JitterStrategy FULL")
    if longest is not None and longest <= interval:
        raise DefinitionRefused(name, "MaxDelaySeconds must be greater than IntervalSeconds")
    return Retrier(errors, interval, int(most), backoff, longest, jitter == "FULL")


def _catcher(name: str, body: Any) -> Catcher:
    _known(body, name, {"ErrorEquals", "Next", "ResultPath"})
    return Catcher(_errors(name, body), _string(name, body, "Next"), _result_path(name, body))


def _errors(name: str, body: dict[str, Any]) -> tuple[str, ...]:
    errors = body.get("ErrorEquals")
    if not isinstance(errors, list) or not errors or not all(
        isinstance(e, str) and _ERROR_NAME.fullmatch(e) for e in errors
    ):
        raise DefinitionRefused(name, "ErrorEquals must be a list of error names")
    if "States.ALL" in errors and len(errors) > 1:
        raise DefinitionRefused(name, "States.ALL must stand alone")
    return tuple(errors)


def _choice(name: str, body: dict[str, Any]) -> Choice:
    rules = body.get("Choices")
    if not isinstance(rules, list) or not rules:
        raise DefinitionRefused(name, "Choices must be a list of rules")
    if "Default" not in body:
        raise DefinitionRefused(name, "a Choice has a Default: an outcome nobody thought of must go somewhere")
    read_rules = []
    for rule in rules:
        if not isinstance(rule, dict):
            raise DefinitionRefused(name, "a rule must be an object")
        test = {key: value for key, value in rule.items() if key not in ("Next", "Comment")}
        _check_test(name, test)
        read_rules.append((test, _string(name, rule, "Next")))
    return Choice(name, tuple(read_rules), _string(name, body, "Default"))


def _check_test(name: str, test: Any) -> None:
    if not isinstance(test, dict):
        raise DefinitionRefused(name, "a rule must be an object")
    for joined in ("And", "Or"):
        if joined in test:
            _known(test, name, {joined})
            if not isinstance(test[joined], list) or not test[joined]:
                raise DefinitionRefused(name, f"{joined} must be a list of rules")
            for part in test[joined]:
                _check_test(name, part)
            return
    if "Not" in test:
        _known(test, name, {"Not"})
        _check_test(name, test["Not"])
        return
    _known(test, name, {"Variable", *_TESTS})
    if not isinstance(test.get("Variable"), str) or not _PATH.fullmatch(test["Variable"]):
        raise DefinitionRefused(name, "Variable must be a simple path such as $.payment.outcome")
    compared = [key for key in test if key != "Variable"]
    if len(compared) != 1:
        raise DefinitionRefused(name, "a rule compares exactly one thing")
    expected = _TESTS[compared[0]]
    value = test[compared[0]]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        raise DefinitionRefused(name, f"{compared[0]} cannot compare with {value!r}")


def _wait(name: str, body: dict[str, Any], goes_on: str | None) -> Wait:
    if ("Seconds" in body) == ("SecondsPath" in body):
        raise DefinitionRefused(name, "a Wait has either Seconds or SecondsPath")
    path = body.get("SecondsPath")
    if path is not None and not (isinstance(path, str) and _PATH.fullmatch(path)):
        raise DefinitionRefused(name, "SecondsPath must be a simple path")
    return Wait(name, _number(name, body, "Seconds", None, least=1, whole=True), path, goes_on)


def _next(name: str, body: dict[str, Any]) -> str | None:
    if body.get("End") is True and "Next" not in body:
        return None
    if "End" in body:
        raise DefinitionRefused(name, "has either Next or End: true")
    return _string(name, body, "Next")


def _string(name: str, body: dict[str, Any], field_name: str) -> str:
    value = body.get(field_name)
    if not isinstance(value, str) or not value:
        raise DefinitionRefused(name, f"{field_name} must be a text")
    return value


def _number(
    name: str, body: dict[str, Any], field_name: str, default: float | None, *, least: float, whole: bool = False
) -> float | None:
    if field_name not in body:
        return default
    value = body[field_name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MOST or (
        whole and not isinstance(value, int)
    ):
        kind = "whole number" if whole else "number"
        raise DefinitionRefused(name, f"{field_name} must be a {kind} from {least:g} to {_MOST}")
    return float(value) if isinstance(value, float) else value


def _result_path(name: str, body: dict[str, Any]) -> str | None:
    if "ResultPath" in body and body["ResultPath"] is None:
        return None
    path = body.get("ResultPath", "$")
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise DefinitionRefused(name, "ResultPath must be a simple path such as $.payment, or null")
    return path


def _check_template(name: str, template: Any) -> None:
    if not isinstance(template, dict):
        raise DefinitionRefused(name, "Parameters must be an object")
    for key, value in template.items():
        if key.endswith(".$"):
            if not isinstance(value, str) or not (_PATH.fullmatch(value) or _CONTEXT.fullmatch(value)):
                raise DefinitionRefused(name, f"{key} must be a simple path; intrinsic functions are not played")
        elif isinstance(value, dict):
            _check_template(name, value)
        elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
            raise DefinitionRefused(name, f"{key}: lists of objects are outside the subset this house plays")


def _targets(state: State) -> list[str]:
    if isinstance(state, Choice):
        return [*(target for _test, target in state.rules), state.default]
    goes_on = [state.next] if not isinstance(state, Succeed | Fail) and state.next is not None else []
    if isinstance(state, Task):
        goes_on += [catcher.next for catcher in state.catch]
    return goes_on


def _reachable(states: Mapping[str, State], start: str) -> set[str]:
    seen, ahead = {start}, [start]
    while ahead:
        for target in _targets(states[ahead.pop()]):
            if target not in seen:
                seen.add(target)
                ahead.append(target)
    return seen


def _no_catch_after(states: Mapping[str, State], money: Iterable[str]) -> None:
    paying = set(money)
    for name in [n for n, s in states.items() if isinstance(s, Task) and s.parameters["step"] in paying]:
        for after in sorted(_reachable(states, name)):
            state = states[after]
            if isinstance(state, Task) and state.catch:
                raise DefinitionRefused(
                    after, "has a Catch although the customer may have paid: a caught failure cannot be redriven"
                )
