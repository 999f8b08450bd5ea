"""The front: AWS's HTTP API before the web function, and with a domain of one's own CloudFront before both."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Duration, Fn, RemovalPolicy
from aws_cdk import aws_apigatewayv2 as http
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_deployment as deployment
from constructs import Construct

from parts.choices import Choices

STATIC = Path(__file__).resolve().parent.parent / "build" / "static"


class Front(Construct):
    """Where browsers and Stripe arrive. The API stands before its function, so the function can know its address."""

    def __init__(self, scope: Construct, id_: str, *, choices: Choices) -> None:
        super().__init__(scope, id_)
        self._choices = choices
        self.api = http.HttpApi(self, "Api", api_name=choices.name, create_default_stage=False)
        self.pictures = s3.Bucket(
            self, "Pictures",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL, encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True, versioned=True, removal_policy=RemovalPolicy.RETAIN,
        )  # fmt: skip

    @property
    def host(self) -> str:
        """The API's own host name, which is what the web function sees."""
        return Fn.select(2, Fn.split("/", self.api.api_endpoint))

    @property
    def address(self) -> str:
        """The shop's public address."""
        return f"https://{self._choices.domain}" if self._choices.domain else self.api.api_endpoint

    def serve(self, web: lambda_.IFunction, *, key: kms.IKey) -> None:
        """Let the web function answer."""
        group = logs.LogGroup(
            self, "Access", retention=logs.RetentionDays.ONE_MONTH, encryption_key=key,
            removal_policy=RemovalPolicy.DESTROY,
        )  # fmt: skip
        for path, id_ in (("/{proxy+}", "Pages"), ("/", "Home")):
            self.api.add_routes(
                path=path, methods=[http.HttpMethod.ANY], integration=integrations.HttpLambdaIntegration(id_, web)
            )
        stage = http.HttpStage(
            self, "Stage", http_api=self.api, stage_name="$default", auto_deploy=True,
            throttle=http.ThrottleSettings(rate_limit=500, burst_limit=1000),
        )  # fmt: skip
        cfn = stage.node.default_child
        # No path: an order's address opens the order, and belongs into no log.
        cfn.access_log_settings = {
            "destinationArn": group.log_group_arn,
            "format": '{"requestId":"$context.requestId","status":"$context.status","method":"$context.httpMethod",'
            '"latency":"$context.responseLatency","error":"$context.integrationErrorMessage"}',
        }
        if self._choices.domain:
            self._in_front()

    def _in_front(self) -> None:
        static = s3.Bucket(
            self, "Static",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL, encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True, removal_policy=RemovalPolicy.DESTROY, auto_delete_objects=False,
        )  # fmt: skip
        to_shop = origins.HttpOrigin(self.host, protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY)
        kept = cloudfront.CachePolicy.CACHING_OPTIMIZED
        self.distribution = cloudfront.Distribution(
            self, "Distribution",
            domain_names=[self._choices.domain],
            certificate=certificates.Certificate.from_certificate_arn(self, "Certificate", self._choices.certificate),
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            default_behavior=cloudfront.BehaviorOptions(
                origin=to_shop,
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
            ),
            additional_behaviors={
                "/static/*": cloudfront.BehaviorOptions(
                    origin=origins.S3BucketOrigin.with_origin_access_control(static), cache_policy=kept,
                    viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                ),
                "/media/*": cloudfront.BehaviorOptions(
                    origin=to_shop, cache_policy=kept,
                    viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.REDIRECT_TO_HTTPS,
                ),
            },
        )  # fmt: skip
        if STATIC.is_dir():
            deployment.BucketDeployment(
                self, "StaticFiles", destination_bucket=static, destination_key_prefix="static",
                sources=[deployment.Source.asset(str(STATIC))], prune=False,
                # A bucket that holds something cannot be removed with the stack.
                retain_on_delete=False,
                cache_control=[
                    deployment.CacheControl.max_age(Duration.days(365)), deployment.CacheControl.immutable(),
                ],
            )  # fmt: skip
