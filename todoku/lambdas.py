"""The shop's doors on AWS Lambda: a function that performs any step, and those that settle, do the rounds, serve pages.

Each handler is named in the CDK app (deploy/aws). Settings come from the environment, secrets from AWS Secrets
Manager, read once when the function starts and never written anywhere.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

Event = Mapping[str, Any]


def step(event: Event, _context: object) -> dict[str, Any]:
    """Perform the step that a state's Parameters name, and return its outcome.

    Raises what the flow knows by name: ``Unavailable``, ``NeedsOperator``, or the class of what went wrong.
    """
    _open()
    from todoku.engines.performing import perform

    return perform(event)


def ended(event: Event, _context: object) -> dict[str, Any]:
    """Hear from EventBridge that an execution has ended: ask AWS how, write it down, and ring if a person is needed."""
    _open()
    from todoku.engines import step_functions
    from todoku.engines.management.commands.worker import once

    settled = step_functions.settle(str(event["detail"]["executionArn"]))
    if settled and event["detail"].get("status") != "SUCCEEDED":
        once()
    return {"settled": settled}


def rounds(_event: Event, context: object) -> dict[str, Any]:
    """Do once what a worker does every few seconds: looks, mails, bells, catch-up, reconciliation."""
    _open()
    from todoku.engines.management.commands.worker import once

    failed = once()
    _measure(context)
    return {"failed": failed}


def _measure(context: object) -> None:
    """Tell CloudWatch, in a line that it reads as numbers (its embedded metric format), how long the oldest waits."""
    import time

    from django.db.models import Min
    from django.utils import timezone

    from todoku.notify.models import Case
    from todoku.order.models import Order, Status

    paid = Order.objects.filter(status__in=[Status.PAID, Status.RECORDED]).aggregate(at=Min("paid_at"))["at"]
    names = ("OldestUnsettledSeconds", "OpenCases")
    line = {
        "_aws": {
            "Timestamp": int(time.time() * 1000),
            "CloudWatchMetrics": [
                {"Namespace": "Todoku", "Dimensions": [["Shop"]], "Metrics": [{"Name": name} for name in names]}
            ],
        },
        "Shop": getattr(context, "function_name", "todoku-rounds"),
        "OldestUnsettledSeconds": max(0.0, (timezone.now() - paid).total_seconds()) if paid else 0.0,
        "OpenCases": Case.objects.filter(closed_at=None).count(),
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def web(event: Event, context: object) -> Any:
    """Serve a page behind AWS's HTTP API."""
    _open()
    return _wsgi()(event, context)


def prepare(_event: Event, _context: object) -> dict[str, Any]:
    """Bring the database's tables up to date; called once for each deployment, before traffic moves."""
    _open()
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)
    return {"prepared": True}


#: What may be asked of the shop by whoever AWS lets call this function: no act that a person must answer for.
MANAGED = ("import_demo", "import_catalog", "createsuperuser", "reconcile", "ring", "check", "verify_audit")


def manage(event: Event, _context: object) -> dict[str, Any]:
    """Run one of the shop's own commands, given as ``{"command": [name, …], "environment": {…}}``; say what it said.

    Raises ValueError for any other command.
    """
    _open()
    import io

    from django.core.management import call_command

    name, *arguments = [str(word) for word in event["command"]]
    if name.replace("-", "_") not in MANAGED:
        raise ValueError(f"this function runs {', '.join(MANAGED)} and nothing else")
    said = io.StringIO()
    for key, value in dict(event.get("environment", {})).items():
        if str(key).startswith("DJANGO_SUPERUSER_"):
            os.environ[str(key)] = str(value)
    try:
        call_command(name.replace("-", "_"), *arguments, stdout=said, stderr=said)
    finally:
        for key in [key for key in os.environ if key.startswith("DJANGO_SUPERUSER_")]:
            del os.environ[key]
    return {"said": said.getvalue()[-10_000:]}


_doors: dict[str, Callable[..., Any]] = {}


def _wsgi() -> Callable[..., Any]:
    if "web" not in _doors:
        from apig_wsgi import make_lambda_handler
        from django.core.wsgi import get_wsgi_application

        _doors["web"] = make_lambda_handler(get_wsgi_application(), binary_support=True)
    return _doors["web"]


def _open() -> None:
    """Read the secrets and set Django up, once for each function instance."""
    from django.apps import apps

    if apps.ready:
        return
    for name in filter(None, os.environ.get("TODOKU_SECRETS", "").split(",")):
        for key, value in _secret(name.strip()).items():
            os.environ.setdefault(key, value)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todoku.settings")
    import django

    django.setup()


def _secret(name: str) -> dict[str, str]:
    """Read a secret as settings; one that a database keeps (host, username, password) becomes DATABASE_URL."""
    from todoku.engines import aws

    held = json.loads(aws.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    if {"host", "username", "password"} <= held.keys():
        user, password = quote(str(held["username"]), safe=""), quote(str(held["password"]), safe="")
        place = f"{held['host']}:{held.get('port', 5432)}/{held.get('dbname', 'todoku')}"
        return {"DATABASE_URL": f"postgresql://{user}:{password}@{place}?sslmode=require"}
    return {str(key): str(value) for key, value in held.items()}
