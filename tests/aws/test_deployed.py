"""``cdk deploy`` of the real app into MiniStack on this machine, and an order through its HTTP API (``make aws-test``).

MiniStack is an AWS of loopback: CloudFormation, Lambda (in subprocesses), Step Functions, EventBridge, Secrets Manager.
What it does not prove is told in docs/deploy-aws.md. It is told to listen on loopback only.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import boto3
import psycopg
import pytest

from bench import shopper
from todoku import database

HOUSE = Path(__file__).resolve().parents[2]
MINISTACK = HOUSE / ".venv-ministack" / "bin" / "ministack"
REGION, ACCOUNT = "ap-northeast-1", "000000000000"
CDK = ["npx", "--yes", "aws-cdk@2.1148.1"]
pytestmark = [
    pytest.mark.skipif(os.environ.get("TODOKU_AWS") != "1", reason="slow: make aws-test"),
    pytest.mark.timeout(1800),
]


class Visitor(shopper.Browser):
    """The bench's shopper before MiniStack's HTTP API, which knows an API by its host name."""

    api: str = ""

    def _send(self, page: str, method: str, path: str, body: bytes | None = None) -> shopper.Answer:
        headers = {"Accept-Language": "ja", "Accept": "text/html", "Host": self.api}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if body is not None:
            headers |= {"Content-Type": shopper.FORM, "Origin": f"http://{self.api}"}
        line = http.client.HTTPConnection(self.host, self.port, timeout=120)
        # Without the stage's name MiniStack takes a path's only part for one; AWS does not.
        line.request(method, f"/$default{path}", body, headers)
        response = line.getresponse()
        answered = response.read()
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            if "max-age=0" in cookie.lower():
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = value
        return shopper.Answer(page, response.status, response.headers.get("Location", ""), answered)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def outside(**more: str) -> dict[str, str]:
    """The environment of a program that knows nothing of these tests: functions at AWS inherit none of our settings."""
    ours = ("DJANGO_", "TODOKU_", "PYTEST_", "DATABASE_", "STRIPE_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(ours)}, **more}


def start(words: list[str], log: Path, **environment: str) -> subprocess.Popen[bytes]:
    """Start a program with a group of its own."""
    return subprocess.Popen(
        words, stdout=log.open("wb"), stderr=subprocess.STDOUT, cwd=HOUSE, start_new_session=True,
        env=outside(**environment),
    )  # fmt: skip


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The shop, deployed by CDK into an AWS of this machine."""
    folder = tmp_path_factory.mktemp("aws")
    port, stripe, smtp = free_port(), free_port(), free_port()
    url = database.start_embedded(folder / "var")
    at = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}",
        "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test", "CDK_DEFAULT_ACCOUNT": ACCOUNT, "CDK_DEFAULT_REGION": REGION,
        "NO_PROXY": "127.0.0.1,localhost",
    }  # fmt: skip
    programs = [
        start([str(MINISTACK)], folder / "ministack.log", BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port),
              MINISTACK_HOST="localhost"),
        start([sys.executable, "-m", "rehearsal", "--port", str(stripe), "--smtp-port", str(smtp), "--quiet"],
              folder / "rehearsal.log"),
    ]  # fmt: skip
    try:
        for _ in range(120):
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=2):
                break
            time.sleep(0.5)
        subprocess.run([sys.executable, "deploy/aws/build.py", "--here"], cwd=HOUSE, check=True, env=outside())
        os.environ.update(at)
        vault = boto3.client("secretsmanager")
        key = json.dumps({"TODOKU_SECRET_KEY": secrets.token_urlsafe(64)})
        vault.create_secret(Name="todoku/settings", SecretString=key)
        vault.create_secret(Name="todoku/database", SecretString=json.dumps({"DATABASE_URL": url}))
        more = json.dumps({
            "TODOKU_ENV": "rehearsal", "TODOKU_REHEARSAL_URL": f"http://127.0.0.1:{stripe}",
            "TODOKU_SMTP_HOST": "127.0.0.1", "TODOKU_SMTP_PORT": str(smtp), "AWS_ENDPOINT_URL": at["AWS_ENDPOINT_URL"],
            "TODOKU_ALLOWED_HOSTS": "*",
        })  # fmt: skip
        for words in (
            ["bootstrap", f"aws://{ACCOUNT}/{REGION}"],
            ["deploy", "--require-approval", "never", "-c", "database_secret=todoku/database", "-c",
             f"environment={more}"],
        ):  # fmt: skip
            said = subprocess.run(
                [*CDK, *words], cwd=HOUSE / "deploy" / "aws", env=outside(**at), capture_output=True, text=True
            )
            assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]
        stack = boto3.client("cloudformation").describe_stacks(StackName="Todoku")["Stacks"][0]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        yield {"port": port, "stripe": stripe, "database": url, "address": outputs["Address"]}
    finally:
        for name in at:
            os.environ.pop(name, None)
        for program in programs:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGTERM)
            program.wait(timeout=20)
        shutil.rmtree(HOUSE / "deploy" / "aws" / "build", ignore_errors=True)


def test_an_order_is_bought_through_the_http_api_and_arrives(deployed: dict[str, Any]) -> None:
    functions = boto3.client("lambda")
    said = functions.invoke(FunctionName="todoku-manage", Payload=json.dumps({"command": ["import_demo"]}).encode())
    assert "FunctionError" not in said, said["Payload"].read()
    visitor = Visitor("127.0.0.1", deployed["port"])
    visitor.api = deployed["address"].partition("//")[2]
    # A function's first start takes longer here than at AWS, and the flow's patience with it.
    with suppress(shopper.Stumbled):
        visitor.get("home", "/")
    card = f"http://127.0.0.1:{deployed['stripe']}"
    with suppress(shopper.Stumbled):
        shopper.buy(
            visitor, "KANI-KEGANI-500", shopper.ADDRESSES[0], "a@example.com", lambda: shopper.type_card(card)
        )
    with psycopg.connect(deployed["database"], autocommit=True) as shop:
        for _ in range(300):
            row = shop.execute("SELECT status, stopped_at FROM engines_execution").fetchone()
            if row and row[0] != "RUNNING":
                break
            time.sleep(1)
        assert shop.execute("SELECT status FROM order_order").fetchall() == [("complete",)]
        assert [step for (step,) in shop.execute("SELECT step FROM flows_done ORDER BY id")] == [
            "TakeStock", "TakePayment", "RecordOrder", "CloseCart", "PublishToMyPage", "SendMail",
        ]  # fmt: skip
        assert shop.execute("SELECT status FROM engines_execution").fetchall() == [("SUCCEEDED",)]
    flows = boto3.client("stepfunctions")
    machine = next(one for one in flows.list_state_machines()["stateMachines"] if one["name"] == "todoku-checkout")
    [execution] = flows.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
    assert (execution["name"], execution["status"]) == ("checkout-1-1", "SUCCEEDED")
