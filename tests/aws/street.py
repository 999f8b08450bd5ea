"""An AWS for tests: moto's server on this machine, with the shop's state machines, topic and functions in it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import pytest
from django.db import connections
from moto.server import ThreadedMotoServer
from moto.sns import sns_backends
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

from tests.aws import moto_plugin
from todoku import lambdas
from todoku.engines import aws
from todoku.engines.models import Execution, State
from todoku.flows import registry

REGION = "ap-northeast-1"
ACCOUNT = "123456789012"
STEP = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:todoku-step:live"


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[str]:
    """Open the street, let the shop's engine use it, and close it again; gives the server's address."""
    moto_plugin.install()
    moto_plugin.forget()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    config = {"stepfunctions": {"execute_state_machine": True}}
    urlopen(Request(f"{url}/moto-api/config", json.dumps(config).encode(), {"Content-Type": "application/json"}))
    for name, value in {
        "AWS_ENDPOINT_URL": url, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    aws.forget()
    moto_plugin.functions[STEP] = lambdas.step
    moto_plugin.listeners[:] = [lambdas.ended]
    moto_plugin.delivers_events[0] = True
    settings.ENGINE = "todoku.engines.step_functions.StepFunctions"
    settings.STATE_MACHINES = {flow: make(flow) for flow in registry.names()}
    try:
        yield url
    finally:
        rest()
        moto_plugin.functions.clear()
        moto_plugin.listeners.clear()
        server.stop()
        stepfunctions_parser_backends.reset()
        aws.forget()


def make(flow: str) -> str:
    """Make the state machine of a flow, from the shop's own file; return its ARN."""
    machine = aws.client("stepfunctions").create_state_machine(
        name=f"todoku-{flow}",
        definition=registry.flow(flow).text.replace("${Step}", STEP),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/todoku-flow",
    )
    return str(machine["stateMachineArn"])


def make_topic() -> str:
    """Make a topic at Amazon SNS; return its ARN."""
    return str(aws.client("sns").create_topic(Name="todoku-bell")["TopicArn"])


def published(topic: str, seconds: float = 10.0) -> list[tuple[str, str]]:
    """What was published at a topic, in order: subject and text. Waits for the first, for so long."""
    until = time.monotonic() + seconds
    while True:
        sent = sns_backends[ACCOUNT][REGION].topics[topic].sent_notifications
        if sent or time.monotonic() > until:
            return [(subject, text) for _id, text, subject, *_ in sent]
        time.sleep(0.05)


def executions() -> list[Any]:
    """Every execution that AWS has, in the order of their starts."""
    backend = stepfunctions_parser_backends[ACCOUNT][REGION]
    return [execution for machine in backend.state_machines for execution in machine.executions]


def forget_executions() -> None:
    """Forget what AWS has played, and keep its state machines."""
    for machine in stepfunctions_parser_backends[ACCOUNT][REGION].state_machines:
        machine.executions.clear()
    moto_plugin.forget()


def rest(seconds: float = 20.0) -> None:
    """Wait until AWS plays nothing and the shop knows how everything has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        busy = any(str(getattr(one.exec_status, "value", one.exec_status)) == "RUNNING" for one in executions())
        unsettled = moto_plugin.delivers_events[0] and Execution.objects.filter(status=State.RUNNING).exclude(arn="")
        if not busy and not (unsettled and unsettled.exists()):
            return
        time.sleep(0.02)
    connections.close_all()
    raise AssertionError("the executions do not come to rest")
