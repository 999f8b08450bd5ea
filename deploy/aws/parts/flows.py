"""The flows: one state machine for each definition of the shop, out of the very same files."""

from __future__ import annotations

import json
from pathlib import Path

from aws_cdk import ArnFormat, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from parts.choices import Choices

_COLON = ArnFormat.COLON_RESOURCE_NAME
DEFINITIONS = Path(__file__).resolve().parents[3] / "todoku" / "flows"


def names() -> list[str]:
    """The names of all flows, from their files."""
    return sorted(path.name.removesuffix(".asl.json") for path in DEFINITIONS.glob("*.asl.json"))


def machine_name(choices: Choices, flow: str) -> str:
    """The state machine's name; its ARN is known before it is there, so functions and flows need not wait in a ring."""
    return f"{choices.name.lower()}-{flow}"


def machine_arn(scope: Construct, choices: Choices, flow: str) -> str:
    """The state machine's ARN."""
    return Stack.of(scope).format_arn(
        service="states", resource="stateMachine", resource_name=machine_name(choices, flow), arn_format=_COLON
    )


def execution_arns(scope: Construct, choices: Choices, flow: str) -> str:
    """The ARNs of all executions of a flow."""
    return Stack.of(scope).format_arn(
        service="states", resource="execution", resource_name=f"{machine_name(choices, flow)}:*", arn_format=_COLON
    )


class Flows(Construct):
    """The state machines. They may call the step's function, and nothing else."""

    def __init__(
        self, scope: Construct, id_: str, *, choices: Choices, step: lambda_.Alias, key: kms.IKey
    ) -> None:
        super().__init__(scope, id_)
        self.machines: dict[str, sfn.StateMachine] = {}
        for flow in names():
            text = (DEFINITIONS / f"{flow}.asl.json").read_text(encoding="utf-8")
            group = logs.LogGroup(
                self, f"{flow.title()}Logs",
                # The prefix spares the account's resource policy for log delivery.
                log_group_name=f"/aws/vendedlogs/states/{machine_name(choices, flow)}",
                retention=logs.RetentionDays.THREE_MONTHS,
                encryption_key=key,
                removal_policy=RemovalPolicy.DESTROY,
            )  # fmt: skip
            machine = sfn.StateMachine(
                self, flow.title(),
                state_machine_name=machine_name(choices, flow),
                state_machine_type=sfn.StateMachineType.STANDARD,
                definition_body=sfn.DefinitionBody.from_string(json.dumps(json.loads(text), separators=(",", ":"))),
                definition_substitutions={"Step": step.function_arn},
                # Errors only, and never what an execution carried.
                logs=sfn.LogOptions(destination=group, level=sfn.LogLevel.ERROR, include_execution_data=False),
                tracing_enabled=True,
            )  # fmt: skip
            step.grant_invoke(machine)
            self.machines[flow] = machine
