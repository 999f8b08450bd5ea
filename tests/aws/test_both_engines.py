"""The same stories on both engines: a cut here, five hundred in ``make aws-test``; planted differences are seen."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.aws import differential, moto_plugin, street
from todoku import lambdas
from todoku.engines import aws

pytestmark = pytest.mark.usefixtures("at_aws")
#: How many stories; ``make aws-test`` asks for more.
STORIES = int(os.environ.get("TODOKU_STORIES", "12"))


@pytest.mark.timeout(3000)
def test_random_stories_end_the_same_on_both_engines() -> None:
    wrong: list[str] = []
    for seed in range(1, STORIES + 1):
        wrong += differential.differences(differential.draw(seed))
    assert wrong == []


def _patient() -> Callable[[], None]:
    """AWS tries as often as it likes."""
    return _machine('"MaxAttempts": 6', '"MaxAttempts": 9')


def _jumps() -> Callable[[], None]:
    """At AWS the cart is not closed."""
    return _machine('"Next": "CloseCart"', '"Next": "PublishToMyPage"')


def _tries_again() -> Callable[[], None]:
    """At AWS what needs a person is tried again."""
    return _machine('{"ErrorEquals": ["NeedsOperator"], "MaxAttempts": 0},', "")


def _machine(old: str, new: str) -> Callable[[], None]:
    from django.conf import settings

    from todoku.flows import registry

    arn = settings.STATE_MACHINES["checkout"]
    right = registry.flow("checkout").text.replace("${Step}", street.STEP)
    assert old in right
    client = aws.client("stepfunctions")
    client.update_state_machine(stateMachineArn=arn, definition=right.replace(old, new))
    return lambda: client.update_state_machine(stateMachineArn=arn, definition=right) and None


def _unnamed() -> Callable[[], None]:
    """At AWS every error has one name."""

    def step(event: Any, context: object) -> Any:
        try:
            return lambdas.step(event, context)
        except Exception as error:
            raise RuntimeError(str(error)) from None

    moto_plugin.functions[street.STEP] = step
    return lambda: moto_plugin.functions.__setitem__(street.STEP, lambdas.step)


def _forgetful() -> Callable[[], None]:
    """At AWS nobody hears how an execution ended badly."""
    kept = list(moto_plugin.listeners)
    settle = kept[0]

    def ended(event: Any, context: object) -> None:
        if event["detail"]["status"] == "SUCCEEDED":
            settle(event, context)
        else:
            from todoku.engines.models import Execution

            Execution.objects.filter(arn=event["detail"]["executionArn"]).update(status="SUCCEEDED")

    moto_plugin.listeners[:] = [ended]
    return lambda: moto_plugin.listeners.__setitem__(slice(None), kept)


@pytest.mark.parametrize("spoil", [_patient, _jumps, _tries_again, _unnamed, _forgetful])
def test_a_planted_difference_is_seen(spoil: Callable[[], Callable[[], None]]) -> None:
    for trouble in ({"RecordOrder": ("person",)}, {"RecordOrder": ("unavailable",) * 12}):
        story = differential.Story(
            seed=1, ways=("good",), quantity=1, stock=3, troubles=trouble, faults=(), resumes=1
        )
        assert differential.differences(story) == []
        if differential.differences(story, spoil):
            return
    pytest.fail(f"nobody has seen it: {spoil.__doc__}")
