"""``make aws-smoke``, for a person with an AWS account and Stripe's test keys: the whole story once, and all removed.

It deploys a shop of its own (TodokuSmoke), buys with a test card, breaks the mail, sees the execution fail and the
alarm ring, mends the mail, resumes, and removes everything. It costs about a dollar and takes about forty minutes.

    STRIPE_SECRET_KEY=sk_test_… STRIPE_PUBLISHABLE_KEY=pk_test_… TODOKU_SMTP_HOST=… TODOKU_SMTP_USER=… \
    TODOKU_SMTP_PASSWORD=… TODOKU_MAIL_FROM=shop@example.jp make aws-smoke ARGS="--operators you@example.jp"

The mail server takes STARTTLS on port 587, as Amazon SES does; the mail goes to SES's mailbox simulator.

It has not been run against AWS by its authors, who had no account: each stage says what it is about to do, so that
you can go on by hand where it stops. ``--keep`` leaves the shop there.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import boto3
from botocore.config import Config

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))
from bench.shopper import ADDRESSES, Browser, buy  # noqa: E402

NAME, SECRET = "TodokuSmoke", "todoku-smoke/settings"
CDK = ["npx", "--yes", "aws-cdk@2.1148.1"]


class Secured(Browser):
    """The bench's shopper, over HTTPS."""

    def _send(self, page: str, method: str, path: str, body: bytes | None = None) -> Any:
        import http.client

        if self._line is None:
            self._line = http.client.HTTPSConnection(self.host, self.port, timeout=60)
        return super()._send(page, method, path, body)


def stage(what: str) -> None:
    """Say what comes next."""
    print(f"— {what}", flush=True)


def cdk(*words: str, operators: str, mail: str) -> None:
    """Call CDK for the smoke test's own stack."""
    chosen = [f"name={NAME}", f"settings_secret={SECRET}", f"operators={operators}", f"smtp_host={mail}"]
    chosen.append("steps_at_once=5")
    context = [word for choice in chosen for word in ("-c", choice)]
    subprocess.run([*CDK, *words, *context], cwd=HERE, check=True)


def token(secret_key: str) -> str:
    """A confirmation token of a test card, from Stripe's own test helpers."""
    request = urllib.request.Request(
        "https://api.stripe.com/v1/test_helpers/confirmation_tokens",
        urlencode({"payment_method": "pm_card_visa"}).encode(),
        {"Authorization": f"Bearer {secret_key}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["id"])


def until(what: str, seconds: float, holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    stage(f"waiting until {what}")
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds:.0f} seconds: {what}")
        time.sleep(5)


def with_mail_server(host: str) -> None:
    """Give the step's function another mail server, in a new version behind its alias."""
    functions, name = boto3.client("lambda"), f"{NAME.lower()}-step"
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {**environment, "TODOKU_SMTP_HOST": host}}
    )
    functions.get_waiter("function_updated_v2").wait(FunctionName=name)
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


def manage(*command: str) -> None:
    """Run one of the shop's commands at AWS."""
    # The function may take five minutes; asked again meanwhile, AWS would refuse, for it runs once at a time.
    patient = Config(read_timeout=310, retries={"total_max_attempts": 1})
    answer = boto3.client("lambda", config=patient).invoke(
        FunctionName=f"{NAME.lower()}-manage", Payload=json.dumps({"command": command}).encode()
    )
    said = json.load(answer["Payload"])
    if "FunctionError" in answer:
        raise SystemExit(f"{command}: {said}")


def main() -> int:
    """Play the whole story."""
    reader = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    reader.add_argument("--operators", default="", help="mail addresses for the bell")
    reader.add_argument("--keep", action="store_true", help="remove nothing")
    asked = reader.parse_args()
    keys = {name: os.environ.get(name, "") for name in ("STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY")}
    if not keys["STRIPE_SECRET_KEY"].startswith(("sk_test_", "rk_test_")):
        raise SystemExit("Give Stripe's TEST keys: STRIPE_SECRET_KEY=sk_test_… STRIPE_PUBLISHABLE_KEY=pk_test_…")
    letters = {
        name: os.environ.get(name, "") for name in ("TODOKU_SMTP_USER", "TODOKU_SMTP_PASSWORD", "TODOKU_MAIL_FROM")
    }
    mail = os.environ.get("TODOKU_SMTP_HOST", "")
    if not mail or not all(letters.values()):
        raise SystemExit(f"Give a mail server, or the story cannot end: TODOKU_SMTP_HOST, {', '.join(letters)}")
    vault = boto3.client("secretsmanager")
    stage("the settings' secret")
    ours = {"STRIPE_WEBHOOK_SECRET": "whsec_none0000", "TODOKU_SECRET_KEY": secrets.token_urlsafe(64)}
    held = {**keys, **letters, **ours}
    vault.create_secret(Name=SECRET, SecretString=json.dumps(held))
    try:
        stage("deploying (about 20 minutes, most of it for the database)")
        cdk("deploy", "--require-approval", "never", operators=asked.operators, mail=mail)
        stacks = boto3.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
        said = {output["OutputKey"]: output["OutputValue"] for output in stacks[0]["Outputs"]}
        shop = urlsplit(said["Address"])
        manage("import_demo")
        stage("a mail server that nobody finds, and a customer who buys")
        with_mail_server("mail.invalid")
        browser = Secured(shop.hostname or "", shop.port or 443)
        key = held["STRIPE_SECRET_KEY"]
        bought = buy(browser, "KANI-KEGANI-500", ADDRESSES[0], "success@simulator.amazonses.com", lambda: token(key))
        print(f"  order {bought.number}: thanked after {bought.thanked - bought.pressed:.1f} s")
        flows, machine = boto3.client("stepfunctions"), _machine(said)
        until("the execution has failed at the mail", 900, lambda: _last(flows, machine) == "FAILED")
        alarms = boto3.client("cloudwatch")
        # This one, of this shop: others ring before its first round.
        asks = {"AlarmNamePrefix": f"{NAME}-BellCheckoutFailed", "StateValue": "ALARM"}
        until("the alarm rings", 600, lambda: bool(alarms.describe_alarms(**asks)["MetricAlarms"]))
        stage("the mail server is back, and the execution is redriven")
        with_mail_server(mail)
        [failed, *_] = flows.list_executions(stateMachineArn=machine)["executions"]
        flows.redrive_execution(executionArn=failed["executionArn"])
        until("the execution has succeeded", 900, lambda: _last(flows, machine) == "SUCCEEDED")
        print("The story went well from the press to the mail.")
    finally:
        if not asked.keep:
            stage("removing everything")
            for cluster in boto3.client("rds").describe_db_clusters()["DBClusters"]:
                if cluster["DBClusterIdentifier"].startswith(NAME.lower()):
                    boto3.client("rds").modify_db_cluster(
                        DBClusterIdentifier=cluster["DBClusterIdentifier"], DeletionProtection=False
                    )
            cdk("destroy", "--force", operators=asked.operators, mail=mail)
            vault.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    return 0


def _machine(said: dict[str, str]) -> str:
    return said["BellTopic"].replace(":sns:", ":states:").rpartition(":")[0] + f":stateMachine:{NAME.lower()}-checkout"


def _last(flows: Any, machine: str) -> str:
    found = flows.list_executions(stateMachineArn=machine, maxResults=1)["executions"]
    return str(found[0]["status"]) if found else ""


if __name__ == "__main__":
    sys.exit(main())
