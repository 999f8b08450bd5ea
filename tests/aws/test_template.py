"""The drawn stack (``make aws-test``): linted, no wildcard without a reason, no secret, no public database."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).resolve().parents[2]
DRAWS = HOUSE / ".venv-aws" / "bin" / "python"
pytestmark = [
    pytest.mark.skipif(os.environ.get("TODOKU_AWS") != "1", reason="slow: make aws-test"),
    pytest.mark.timeout(900),
]

#: Actions that AWS lets nobody narrow to a resource, and why each is needed.
WITHOUT_RESOURCE = {
    "xray:PutTraceSegments": "X-Ray has no resource for it",
    "xray:PutTelemetryRecords": "X-Ray has no resource for it",
    "xray:GetSamplingRules": "X-Ray has no resource for it",
    "xray:GetSamplingTargets": "X-Ray has no resource for it",
    "logs:CreateLogDelivery": "Step Functions' own log delivery; AWS knows no resource for it",
    "logs:GetLogDelivery": "as above",
    "logs:UpdateLogDelivery": "as above",
    "logs:DeleteLogDelivery": "as above",
    "logs:ListLogDeliveries": "as above",
    "logs:PutResourcePolicy": "as above",
    "logs:DescribeResourcePolicies": "as above",
    "logs:DescribeLogGroups": "as above",
}
#: Actions with a star, and why.
STARRED = {
    "kms:GenerateDataKey*": "two actions of one meaning, on the shop's own key",
    "kms:ReEncrypt*": "as above",
    "kms:*": "the key's own policy: the account may manage its key",
    "s3:GetObject*": "CDK's own deployment of static files, on its own bucket",
    "s3:GetBucket*": "as above",
    "s3:List*": "as above",
    "s3:DeleteObject*": "as above",
    "s3:Abort*": "as above",
    "s3:*": "a bucket's own policy: refuses whatever comes without TLS",
    "sqs:*": "a queue's own policy: refuses whatever comes without TLS",
}


def draw(folder: Path, **chosen: str) -> dict[str, Any]:
    """Draw the stack with these choices."""
    context = json.dumps(chosen)
    subprocess.run(
        [str(DRAWS), "app.py"], cwd=HOUSE / "deploy" / "aws", check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, "CDK_OUTDIR": str(folder), "CDK_CONTEXT_JSON": context},
    )  # fmt: skip
    read: dict[str, Any] = json.loads((folder / "Todoku.template.json").read_text())
    return read


@pytest.fixture(scope="module", params=["plain", "with a domain", "own database"])
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The stack as it is drawn with the usual choices."""
    folder = tmp_path_factory.mktemp("drawn")
    chosen = {
        "plain": {},
        "with a domain": {
            "domain": "shop.example.jp",
            "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-0000-0000-000000000000",
        },
        "own database": {"database_secret": "todoku/database"},
    }[request.param]
    return folder, draw(folder, operators="you@example.jp", smtp_host="smtp.example.jp", **chosen)


def of_type(template: dict[str, Any], kind: str) -> dict[str, Any]:
    """The properties of every resource of a type."""
    return {
        name: resource.get("Properties", {})
        for name, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def statements(template: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every statement of every policy, with the name of its resource."""
    found = []
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for policy in (
            properties.get("PolicyDocument"), properties.get("KeyPolicy"), properties.get("ResourcePolicy"),
            *(inline.get("PolicyDocument") for inline in properties.get("Policies", [])),
        ):  # fmt: skip
            if policy:
                found += [(name, statement) for statement in policy["Statement"]]
    return found


def listed(value: Any) -> list[Any]:
    """A list of what may stand alone."""
    return value if isinstance(value, list) else [value]


def test_cfn_lint_has_nothing_to_say(drawn: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = drawn
    said = subprocess.run(
        [str(DRAWS.parent / "cfn-lint"), "--config-file", "deploy/aws/.cfnlintrc", folder / "Todoku.template.json"],
        cwd=HOUSE, capture_output=True, text=True,
    )  # fmt: skip
    assert said.stdout + said.stderr == ""


def test_no_right_is_wider_than_it_must_be(drawn: tuple[Path, dict[str, Any]]) -> None:
    wide = []
    for name, statement in statements(drawn[1]):
        if statement["Effect"] == "Deny":
            continue
        for action in listed(statement["Action"]):
            if "*" in action and action not in STARRED:
                wide.append(f"{name}: {action}")
            own_policy = "Principal" in statement
            if listed(statement.get("Resource", "x")) == ["*"] and not own_policy and action not in WITHOUT_RESOURCE:
                wide.append(f"{name}: {action} on everything")
    assert wide == []


def test_only_a_person_gives_money_back_so_no_function_may_do_more_at_aws_than_play(
    drawn: tuple[Path, dict[str, Any]],
) -> None:
    states = {
        (name.partition("ServiceRole")[0], action)
        for name, statement in statements(drawn[1])
        for action in listed(statement["Action"])
        if str(action).startswith("states:")
    }
    assert {action for name, action in states if name == "FunctionsStep"} == set()
    assert {action for _, action in states} <= {
        "states:StartExecution", "states:RedriveExecution", "states:DescribeExecution", "states:GetExecutionHistory",
        "states:DescribeStateMachine",
    }  # fmt: skip


def test_the_database_is_encrypted_and_nobody_outside_reaches_it(drawn: tuple[Path, dict[str, Any]]) -> None:
    for cluster in of_type(drawn[1], "AWS::RDS::DBCluster").values():
        assert cluster["StorageEncrypted"] is True
        assert cluster["DeletionProtection"] is True
    for instance in of_type(drawn[1], "AWS::RDS::DBInstance").values():
        assert instance["PubliclyAccessible"] is False
    for rule in of_type(drawn[1], "AWS::EC2::SecurityGroupIngress").values():
        assert "CidrIp" not in rule
    for group in of_type(drawn[1], "AWS::EC2::SecurityGroup").values():
        assert not group.get("SecurityGroupIngress")
    for bucket in of_type(drawn[1], "AWS::S3::Bucket").values():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}


def test_no_secret_stands_in_the_template(drawn: tuple[Path, dict[str, Any]]) -> None:
    text = json.dumps(drawn[1])
    for sign in ("sk_test", "sk_live", "rk_live", "whsec_", "-----BEGIN"):
        assert sign not in text
    for function in of_type(drawn[1], "AWS::Lambda::Function").values():
        names = set(function.get("Environment", {}).get("Variables", {}))
        assert not {name for name in names if "PASSWORD" in name or "SECRET_KEY" in name or name == "DATABASE_URL"}


def test_every_flow_has_its_state_machine_out_of_the_shops_own_file(drawn: tuple[Path, dict[str, Any]]) -> None:
    machines = of_type(drawn[1], "AWS::StepFunctions::StateMachine")
    files = sorted((HOUSE / "todoku" / "flows").glob("*.asl.json"))
    assert len(machines) == len(files) >= 1
    for machine in machines.values():
        name = machine["StateMachineName"].removeprefix("todoku-")
        ours = json.loads((HOUSE / "todoku" / "flows" / f"{name}.asl.json").read_text())
        assert json.loads(machine["DefinitionString"]) == ours
        assert set(machine["DefinitionSubstitutions"]) == {"Step"}
        assert machine["StateMachineType"] == "STANDARD"
        logging = machine["LoggingConfiguration"]
        assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)


def test_logs_end_and_functions_leave_the_database_its_connections(drawn: tuple[Path, dict[str, Any]]) -> None:
    for group in of_type(drawn[1], "AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"] <= 92
    ours = {
        name: function
        for name, function in of_type(drawn[1], "AWS::Lambda::Function").items()
        if str(function.get("Handler", "")).startswith("todoku.")
    }
    assert len(ours) == 6
    for function in ours.values():
        assert function["ReservedConcurrentExecutions"] > 0


def test_no_new_code_runs_before_the_tables_are_as_it_needs_them(drawn: tuple[Path, dict[str, Any]]) -> None:
    resources = drawn[1]["Resources"]
    [(name, prepared)] = [(name, one) for name, one in resources.items() if one["Type"] == "Custom::Trigger"]
    functions = of_type(drawn[1], "AWS::Lambda::Function").values()
    [preparing] = [one for one in functions if one.get("Handler") == "todoku.lambdas.prepare"]
    assert int(prepared["Properties"]["Timeout"]) == preparing["Timeout"] * 1000
    for one in resources.values():
        handler = str(one.get("Properties", {}).get("Handler", ""))
        if handler.startswith("todoku.") and handler != "todoku.lambdas.prepare":
            assert name in one["DependsOn"], handler


def test_mail_leaves_by_a_port_that_aws_lets_out(drawn: tuple[Path, dict[str, Any]]) -> None:
    for function in of_type(drawn[1], "AWS::Lambda::Function").values():
        if str(function.get("Handler", "")).startswith("todoku."):
            settings = function["Environment"]["Variables"]
            mail = (settings["TODOKU_SMTP_HOST"], settings["TODOKU_SMTP_PORT"], settings["TODOKU_SMTP_TLS"])
            assert mail == ("smtp.example.jp", "587", "on")


def test_a_flow_that_ends_badly_rings_and_is_written_down(drawn: tuple[Path, dict[str, Any]]) -> None:
    rules = of_type(drawn[1], "AWS::Events::Rule").values()
    told = {tuple(rule["EventPattern"]["detail"]["status"]) for rule in rules if "EventPattern" in rule}
    assert told == {("FAILED", "TIMED_OUT", "ABORTED"), ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")}
    alarms = of_type(drawn[1], "AWS::CloudWatch::Alarm").values()
    assert all(alarm["AlarmActions"] for alarm in alarms)
    assert "OldestUnsettledSeconds" in json.dumps(list(alarms))
