"""The whole shop on AWS: what belongs to what, and who may do what."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack, triggers
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from parts import flows
from parts.bell import Bell
from parts.choices import Choices
from parts.database import Database
from parts.flows import Flows
from parts.front import Front
from parts.functions import PREPARING, Functions
from parts.network import Network


class ShopStack(Stack):
    """The shop: database, functions, flows, bell and front."""

    def __init__(self, scope: Construct, id_: str, *, choices: Choices, **more: Any) -> None:
        super().__init__(scope, id_, **more)
        key = kms.Key(
            self, "Key", alias=f"{choices.name.lower()}-shop", enable_key_rotation=True,
            removal_policy=RemovalPolicy.RETAIN,
        )  # fmt: skip
        logs = iam.ServicePrincipal(f"logs.{self.region}.amazonaws.com")
        key.grant_encrypt_decrypt(logs)
        # CloudWatch Logs looks at the key before it takes it for a group.
        key.grant(logs, "kms:DescribeKey")
        # Stripe's keys, the secret key, the mail server's login: put there by a person before the first deployment.
        settings = secrets.Secret.from_secret_name_v2(self, "Settings", choices.settings_secret)
        network, database, held = None, None, [settings]
        if choices.database_secret:
            held.append(secrets.Secret.from_secret_name_v2(self, "DatabaseUrl", choices.database_secret))
        else:
            network = Network(self, "Network")
            database = Database(self, "Database", network=network, choices=choices, key=key)
            held.append(database.secret)
        front = Front(self, "Front", choices=choices)
        bell = Bell(self, "Bell", choices=choices, key=key)
        functions = Functions(
            self, "Functions", choices=choices, network=network, key=key, held=held,
            environment=self._environment(choices, front, bell, held),
        )  # fmt: skip
        machines = Flows(self, "Flows", choices=choices, step=functions.live, key=key)
        bell.hear(list(machines.machines.values()), ended=functions.ended, rounds=functions.rounds, key=key)
        front.serve(functions.web, key=key)
        self._rights(choices, functions, front, bell)
        # As long as the function itself may take, and no new code before the tables are as it needs them.
        ready = triggers.Trigger(self, "Prepared", handler=functions.prepare, timeout=Duration.seconds(PREPARING))
        # The functions themselves only: the key, and so the database, knows their roles.
        ready.execute_before(*(one.node.default_child for one in functions.all() if one is not functions.prepare))
        if network is not None and database is not None:
            ready.execute_after(network, database)
        CfnOutput(self, "Address", value=front.address)
        CfnOutput(self, "Webhook", value=f"{front.address}/webhooks/stripe/")
        CfnOutput(self, "Pictures", value=front.pictures.bucket_name)
        CfnOutput(self, "BellTopic", value=bell.topic.topic_arn)

    def _environment(
        self, choices: Choices, front: Front, bell: Bell, held: list[secrets.ISecret]
    ) -> dict[str, str]:
        machines = ",".join(f"{flow}={flows.machine_arn(self, choices, flow)}" for flow in flows.names())
        return {
            "TODOKU_ENV": "production",
            "TODOKU_ENGINE": "step-functions",
            "TODOKU_STATE_MACHINES": machines,
            "TODOKU_SECRETS": ",".join(secret.secret_name for secret in held),
            "TODOKU_SITE_URL": front.address,
            "TODOKU_ALLOWED_HOSTS": ",".join(filter(None, (front.host, choices.domain))),
            "TODOKU_BEHIND_PROXY": "on",
            "TODOKU_SSL_REDIRECT": "off",
            "TODOKU_MEDIA_BUCKET": front.pictures.bucket_name,
            "TODOKU_DB_POOL_MAX": "4",
            "TODOKU_BELL": f"sns:{bell.topic.topic_arn}",
            "TODOKU_LOG_FORMAT": "json",
            # AWS lets nothing out on port 25.
            "TODOKU_SMTP_PORT": "587",
            **json.loads(choices.environment),
            **({"TODOKU_SMTP_HOST": choices.smtp_host, "TODOKU_SMTP_TLS": "on"} if choices.smtp_host else {}),
        }

    def _rights(self, choices: Choices, functions: Functions, front: Front, bell: Bell) -> None:
        """Who plays, who asks how a play ended, who rings, who keeps pictures: each right is used by its owner."""
        machines = [flows.machine_arn(self, choices, flow) for flow in flows.names()]
        executions = [flows.execution_arns(self, choices, flow) for flow in flows.names()]
        for function in (functions.web, functions.ended, functions.rounds, functions.manage):
            function.add_to_role_policy(
                iam.PolicyStatement(actions=["states:StartExecution"], resources=machines)
            )
            function.add_to_role_policy(
                iam.PolicyStatement(
                    actions=["states:RedriveExecution", "states:DescribeExecution"], resources=executions
                )
            )
            bell.topic.grant_publish(function)
        for function in (functions.ended, functions.rounds):
            function.add_to_role_policy(
                iam.PolicyStatement(actions=["states:GetExecutionHistory"], resources=executions)
            )
        functions.prepare.add_to_role_policy(
            iam.PolicyStatement(actions=["states:DescribeStateMachine"], resources=machines)
        )
        pictures = front.pictures
        for function in (functions.web, functions.manage):
            function.add_to_role_policy(
                iam.PolicyStatement(
                    actions=["s3:GetObject", "s3:PutObject"], resources=[pictures.arn_for_objects("products/*")]
                )
            )
            # To learn that a picture is not there yet; without it AWS answers "forbidden" instead of "not found".
            function.add_to_role_policy(iam.PolicyStatement(actions=["s3:ListBucket"], resources=[pictures.bucket_arn]))
