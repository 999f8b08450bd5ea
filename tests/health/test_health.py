"""Ready or not, and the numbers: told to whom they belong, by any host name, without anything about anybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.gateways import breaker
from todoku.health import ready
from todoku.notify.models import Case


def numbers(client: Client, **asked: Any) -> dict[str, float]:
    """What /metrics says, by name and labels."""
    answer = client.get("/metrics", **asked)
    assert answer.status_code == 200, answer.content
    return {
        sample.name + "".join(f" {value}" for _name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def a_worker(ago: float = 0) -> None:
    """A worker that showed itself so many seconds ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => %s))", [ago]
        )


def test_ready_when_the_tables_are_right_and_a_worker_is_alive(transactional_db: None, settings: Any) -> None:
    client = Client()
    assert client.get("/readyz").json() == {"ok": False, "reasons": ["worker"], "stripe": "answers"}
    a_worker(ago=31)
    assert client.get("/readyz").status_code == 503
    a_worker(ago=5)
    answer = client.get("/readyz", headers={"Host": "10.0.0.9:8000"})
    assert (answer.status_code, answer.json()) == (200, {"ok": True, "reasons": [], "stripe": "answers"})
    assert answer.headers["Cache-Control"] == "no-store"
    for _ in range(breaker.SHUT_AFTER):
        breaker.failed()
    assert client.get("/readyz").json() == {"ok": True, "reasons": [], "stripe": "away"}
    breaker.heard()
    assert client.get("/healthz", headers={"Host": "10.0.0.9:8000"}).status_code == 200
    assert client.get("/", headers={"Host": "10.0.0.9:8000"}).status_code == 400
    assert client.post("/readyz").status_code == 405


def test_not_ready_says_why_and_nothing_else(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "_tables_are_right", False)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'ringing'")
    try:
        assert Client().get("/readyz").json()["reasons"] == ["migrations"]
    finally:
        from django.db.migrations.recorder import MigrationRecorder

        MigrationRecorder(connection).record_applied("ringing", "0001_channels_and_rings")

    def away() -> bool:
        raise OperationalError('connection to server at "db.internal", user "todoku" failed')

    monkeypatch.setattr(ready, "_migrated", away)
    answer = Client().get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503, {"ok": False, "reasons": ["database"], "stripe": "unknown"}
    )  # fmt: skip


def test_the_numbers_are_the_shops(rehearsal: Rehearsal, crab: Product, django_assert_max_num_queries: Any) -> None:
    client = Client()
    empty = numbers(client)
    assert empty["todoku_open_cases"] == empty["todoku_queue_jobs_waiting"] == 0
    order = shop.order_one(rehearsal, crab)
    waiting = numbers(client)
    assert waiting["todoku_queue_jobs_waiting"] == 1 and 0 <= waiting["todoku_queue_oldest_job_seconds"] < 60
    assert waiting["todoku_orders_today placed"] == 1 and waiting["todoku_oldest_unsettled_order_seconds"] < 60
    shop.work_off()
    desk.stuck_order(crab)
    a_worker()
    with django_assert_max_num_queries(5):
        told = numbers(client)
    assert told["todoku_orders_today complete"] == told["todoku_orders_completed_last_hour"] == 1
    assert 0 < told["todoku_press_to_complete_seconds 0.95"] < 60
    assert told["todoku_orders_paid_unfinished"] == told["todoku_open_cases"] == 1
    assert told["todoku_cases_nobody_was_told_of"] == 1 and told["todoku_stripe_gate_shut"] == 0
    assert told["todoku_workers_alive"] >= 1 and told["process_resident_memory_bytes"] > 1e6
    text = client.get("/metrics").content.decode()
    assert order.number not in text and "hanako" not in text
    Case.objects.update(closed_at=timezone.now())
    assert numbers(client)["todoku_open_cases"] == 0


def test_the_numbers_are_for_this_machine_or_for_the_token_and_for_nobody_else(
    transactional_db: None, settings: Any
) -> None:
    settings.METRICS_TOKEN = "a-token-of-sixteen-signs"
    right = {"Authorization": "Bearer a-token-of-sixteen-signs"}
    client = Client()
    elsewhere: dict[str, Any] = {"REMOTE_ADDR": "203.0.113.9"}
    proxied = {"X-Forwarded-For": "127.0.0.1"}
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="::1").status_code == 200
    assert client.get("/metrics", **elsewhere).status_code == 403
    assert client.get("/metrics", **elsewhere, headers=right).status_code == 200
    assert (
        client.get("/metrics", **elsewhere, headers={"Authorization": "Bearer a-token-of-sixteen-sign"}).status_code
        == 403
    )
    assert client.get("/metrics", headers={"Authorization": "Bearer \u3042"}, REMOTE_ADDR="10.1.1.1").status_code == 403
    assert client.get("/metrics", headers=proxied).status_code == 403
    assert client.get("/metrics", headers={**proxied, **right}).status_code == 200
    settings.BEHIND_PROXY = True
    assert client.get("/metrics").status_code == 403
    assert client.get("/metrics", headers=right).status_code == 200
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 403
