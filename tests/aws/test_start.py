"""What is wrong with the way to AWS is said at start, in a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.aws import street
from todoku.engines import aws, machines, step_functions

GOOD = "arn:aws:states:ap-northeast-1:123456789012:stateMachine:todoku-checkout"


def test_state_machines_are_read_by_flow() -> None:
    assert machines.read(f"checkout={GOOD}, refund={GOOD}2", needed=True) == {"checkout": GOOD, "refund": f"{GOOD}2"}
    assert machines.read("", needed=False) == {}


@pytest.mark.parametrize(
    "text", ["", "checkout", "checkout=arn:aws:states", f"refund={GOOD}", f"={GOOD}", "checkout=\0"]
)
def test_what_is_missing_or_malformed_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="TODOKU_STATE_MACHINES"):
        machines.read(text, needed=True)


@pytest.mark.parametrize("more", ["", ":live", ":7"])
def test_an_executions_address_has_no_version_in_it(more: str) -> None:
    expected = "arn:aws:states:ap-northeast-1:123456789012:execution:todoku-checkout:checkout-42-1"
    assert step_functions.arn_of(GOOD + more, "checkout-42-1") == expected


def test_a_shop_opens_only_when_aws_shows_its_own_flows(at_aws: str, settings: Any) -> None:
    step_functions.check()

    right = settings.STATE_MACHINES
    settings.STATE_MACHINES = {**right, "checkout": right["checkout"] + "-gone"}
    with pytest.raises(ImproperlyConfigured, match="does not show the state machine of the flow checkout"):
        step_functions.check()
    settings.STATE_MACHINES = {}
    with pytest.raises(ImproperlyConfigured, match="names no state machine for the flow"):
        step_functions.check()
    settings.STATE_MACHINES = right
    client = aws.client("stepfunctions")
    other = json.loads(client.describe_state_machine(stateMachineArn=right["checkout"])["definition"])
    other["States"]["SendMail"]["TimeoutSeconds"] = 61
    client.update_state_machine(
        stateMachineArn=right["checkout"], definition=json.dumps(other).replace("${Step}", street.STEP)
    )
    with pytest.raises(ImproperlyConfigured, match="another version"):
        step_functions.check()
