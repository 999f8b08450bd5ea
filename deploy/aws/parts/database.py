"""The database: Aurora PostgreSQL, or the one that is there already."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secrets
from constructs import Construct

from parts.choices import Choices
from parts.network import Network


class Database(Construct):
    """Aurora PostgreSQL Serverless v2, encrypted, in subnets without a way out; its password is a secret."""

    def __init__(self, scope: Construct, id_: str, *, network: Network, choices: Choices, key: kms.IKey) -> None:
        super().__init__(scope, id_)
        self.cluster = rds.DatabaseCluster(
            self, "Aurora",
            engine=rds.DatabaseClusterEngine.aurora_postgres(version=rds.AuroraPostgresEngineVersion.of("17.7", "17")),
            credentials=rds.Credentials.from_generated_secret("todoku", encryption_key=key),
            default_database_name="todoku",
            writer=rds.ClusterInstance.serverless_v2("Writer", publicly_accessible=False),
            serverless_v2_min_capacity=choices.least_capacity,
            serverless_v2_max_capacity=choices.greatest_capacity,
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
            storage_encrypted=True, storage_encryption_key=key,
            backup=rds.BackupProps(retention=Duration.days(14), preferred_window="18:00-19:00"),
            deletion_protection=True,
            removal_policy=RemovalPolicy.SNAPSHOT,
            cloudwatch_logs_exports=["postgresql"],
            parameters={"rds.force_ssl": "1"},
        )  # fmt: skip
        self.cluster.connections.allow_default_port_from(network.functions, "the shop's functions")
        assert self.cluster.secret is not None
        self.secret: secrets.ISecret = self.cluster.secret
