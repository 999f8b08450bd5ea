"""The functions: one package, six doors (todoku/lambdas.py), each with the rights that it needs and no more."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from parts.choices import Choices
from parts.network import Network

HERE = Path(__file__).resolve().parent.parent
#: What ``make aws-build`` puts together: the shop and its libraries, for Lambda's Linux.
BUILT = HERE / "build" / "package"
#: How long the migrations of one deployment may take (seconds).
PREPARING = 600


def package() -> lambda_.Code:
    """The functions' code: what was built, or, to draw only, a file that says so."""
    return lambda_.Code.from_asset(str(BUILT if BUILT.is_dir() else HERE / "not_built"))


class Functions(Construct):
    """The shop's functions on AWS Lambda."""

    def __init__(
        self, scope: Construct, id_: str, *, choices: Choices, network: Network | None, key: kms.IKey,
        environment: dict[str, str], held: list[secrets.ISecret],
    ) -> None:  # fmt: skip
        super().__init__(scope, id_)
        self._choices, self._network, self._key = choices, network, key
        self._environment, self._held = environment, held
        code = package()
        # A step may take as long as the flow's longest TimeoutSeconds (150); AWS ends it a little later.
        self.step = self._function("Step", "step", code, seconds=160, at_once=choices.steps_at_once)
        self.ended = self._function("Ended", "ended", code, seconds=120, at_once=10)
        self.rounds = self._function("Rounds", "rounds", code, seconds=600, at_once=2)
        self.web = self._function("Web", "web", code, seconds=29, at_once=choices.pages_at_once)
        self.prepare = self._function("Prepare", "prepare", code, seconds=PREPARING, at_once=1)
        #: A flow names an alias, never a version: a redriven execution then runs the mended code.
        self.live = lambda_.Alias(self, "StepLive", alias_name="live", version=self.step.current_version)

        self.manage = self._function("Manage", "manage", code, seconds=300, at_once=1)

    def _function(self, id_: str, door: str, code: lambda_.Code, *, seconds: int, at_once: int) -> lambda_.Function:
        prefix = self._choices.name.lower()
        group = logs.LogGroup(
            self, f"{id_}Logs",
            log_group_name=f"/aws/lambda/{prefix}-{door}",
            retention=logs.RetentionDays.THREE_MONTHS,
            encryption_key=self._key,
            removal_policy=RemovalPolicy.DESTROY,
        )  # fmt: skip
        placed = {}
        if self._network is not None:
            placed = {
                "vpc": self._network.vpc,
                "vpc_subnets": ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS),
                "security_groups": [self._network.functions],
            }
        function = lambda_.Function(
            self, id_,
            function_name=f"{prefix}-{door}",
            runtime=lambda_.Runtime.PYTHON_3_12,
            architecture=lambda_.Architecture.X86_64,
            handler=f"todoku.lambdas.{door}",
            code=code,
            memory_size=self._choices.memory,
            timeout=Duration.seconds(seconds),
            reserved_concurrent_executions=at_once,
            environment=self._environment,
            environment_encryption=self._key,
            log_group=group,
            logging_format=lambda_.LoggingFormat.JSON,
            tracing=lambda_.Tracing.ACTIVE,
            **placed,
        )  # fmt: skip
        for secret in self._held:
            secret.grant_read(function)
        return function

    def all(self) -> list[lambda_.Function]:
        """Every function."""
        return [self.step, self.ended, self.rounds, self.web, self.prepare, self.manage]
