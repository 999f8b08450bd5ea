"""The bell on AWS: a topic, what rings it, and a second net of alarms under the first."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from parts.choices import Choices

#: How an execution ends badly, in AWS's words.
BADLY = ["FAILED", "TIMED_OUT", "ABORTED"]


class Bell(Construct):
    """The topic that rings people."""

    def __init__(self, scope: Construct, id_: str, *, choices: Choices, key: kms.Key) -> None:
        super().__init__(scope, id_)
        self.topic = sns.Topic(
            self, "Topic", topic_name=f"{choices.name.lower()}-bell", master_key=key, enforce_ssl=True
        )
        for place, address in enumerate(filter(None, (part.strip() for part in choices.operators.split(",")))):
            self.topic.add_subscription(subscriptions.EmailSubscription(address))
            assert place < 10, "at most ten mail addresses: use a mailing list"
        for service in ("events.amazonaws.com", "cloudwatch.amazonaws.com"):
            principal = iam.ServicePrincipal(service)
            key.grant(principal, "kms:Decrypt", "kms:GenerateDataKey*")
            self.topic.grant_publish(principal)

    def hear(
        self, machines: list[sfn.StateMachine], *, ended: lambda_.Function, rounds: lambda_.Function, key: kms.IKey
    ) -> None:
        """Ring when an execution ends badly, tell the shop how each one ended, and do the rounds every minute."""
        arns = [machine.state_machine_arn for machine in machines]
        lost = sqs.Queue(
            self, "Lost", encryption=sqs.QueueEncryption.KMS, encryption_master_key=key, enforce_ssl=True,
            retention_period=Duration.days(14),
        )  # fmt: skip
        events.Rule(
            self, "EndedBadly",
            description="A flow stopped and waits for a person",
            event_pattern=events.EventPattern(
                source=["aws.states"], detail_type=["Step Functions Execution Status Change"],
                detail={"status": BADLY, "stateMachineArn": arns},
            ),
            targets=[targets.SnsTopic(self.topic, message=events.RuleTargetInput.from_text(
                # The execution's name holds the order's number in our rows; nothing else of it is told here.
                f"[Todoku] {events.EventField.from_path('$.detail.name')} has stopped: "
                f"{events.EventField.from_path('$.detail.status')}. Open the console's cases, mend the cause, press "
                "Resume. / 注文の処理が止まりました。管理画面で原因を確かめ、取り除いてから「再開」を押してください。"
            ))],
        )  # fmt: skip
        events.Rule(
            self, "EndedAnyhow",
            description="How a flow has ended is written down by the shop",
            event_pattern=events.EventPattern(
                source=["aws.states"], detail_type=["Step Functions Execution Status Change"],
                detail={"status": ["SUCCEEDED", *BADLY], "stateMachineArn": arns},
            ),
            targets=[targets.LambdaFunction(
                ended, dead_letter_queue=lost, max_event_age=Duration.hours(2), retry_attempts=10
            )],
        )  # fmt: skip
        events.Rule(
            self, "EveryMinute",
            description="Looks, mails, bells, catch-up and reconciliation",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            # A round that was missed is made up for by the next.
            targets=[targets.LambdaFunction(rounds, max_event_age=Duration.minutes(5), retry_attempts=0)],
        )
        self._alarms(machines, rounds, lost)

    def _alarms(self, machines: list[sfn.StateMachine], rounds: lambda_.Function, lost: sqs.Queue) -> None:
        ring = actions.SnsAction(self.topic)

        def alarm(
            id_: str, metric: cloudwatch.IMetric, limit: float, why: str, *, periods: int = 1, below: bool = False
        ) -> None:
            made = cloudwatch.Alarm(
                self, id_, metric=metric, threshold=limit, evaluation_periods=periods, alarm_description=why,
                comparison_operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
                if below
                else cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
                treat_missing_data=cloudwatch.TreatMissingData.BREACHING
                if below
                else cloudwatch.TreatMissingData.NOT_BREACHING,
            )  # fmt: skip
            made.add_alarm_action(ring)
            made.add_ok_action(ring)

        minute = Duration.minutes(1)
        for flow, machine in ((machine.node.id, machine) for machine in machines):
            alarm(f"{flow}Failed", machine.metric_failed(period=minute), 0, f"A {flow} execution failed.")
            alarm(f"{flow}TimedOut", machine.metric_timed_out(period=minute), 0, f"A {flow} execution timed out.")
        alarm(
            "Unsettled",
            cloudwatch.Metric(
                namespace="Todoku", metric_name="OldestUnsettledSeconds", statistic="Maximum",
                period=Duration.minutes(5), dimensions_map={"Shop": rounds.function_name},
            ),
            900, "A paid order has been unfinished for more than 15 minutes.", periods=1,
        )  # fmt: skip
        alarm(
            "RoundsFail", rounds.metric_errors(period=Duration.minutes(5)), 1,
            "The rounds fail: waiting orders are not looked at, mails and bells wait.",
        )  # fmt: skip
        alarm(
            "RoundsStopped",
            rounds.metric_invocations(period=Duration.minutes(5)), 1,
            "Nobody does the rounds any more.", periods=3, below=True,
        )  # fmt: skip
        alarm(
            "EventsLost", lost.metric_approximate_number_of_messages_visible(period=minute), 0,
            "The shop could not write down how an execution ended; the rounds will ask AWS.",
        )  # fmt: skip
