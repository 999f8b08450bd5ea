"""The reconciliation comes round by itself: every five minutes and every Japanese night, once for all workers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from asgiref.sync import sync_to_async
from django.db import connection, connections
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.periodic import PeriodicDeferrer

from rehearsal.api import Rehearsal
from tests import shop
from todoku.catalog.models import Product
from todoku.reconciliation.models import Run

NAMES = {"todoku.reconcile_window", "todoku.reconcile_in_full"}


async def _two_workers_come_to(moment: datetime) -> None:
    assert isinstance(app.connector, DjangoConnector)
    # The thread in which it is done may keep a connection of another test, and it may be a dead one.
    await sync_to_async(connections.close_all)()
    async with app.with_connector(app.connector.get_worker_connector()).open_async() as worker:
        for _ in range(2):
            deferrer = PeriodicDeferrer(registry=worker.periodic_registry, max_delay=600)
            await deferrer.defer_jobs(deferrer.get_previous_tasks(at=moment.timestamp()))


def test_each_moment_s_run_is_put_into_the_queue_once_and_done(rehearsal: Rehearsal, crab: Product) -> None:
    shop.order_one(rehearsal, crab)
    night = datetime(2026, 11, 22, 18, 41, tzinfo=UTC)
    assert night.astimezone(ZoneInfo("Asia/Tokyo")).hour == 3
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_periodic_defers CASCADE")
    asyncio.run(_two_workers_come_to(night))
    with connection.cursor() as cursor:
        cursor.execute("SELECT task_name FROM procrastinate_jobs")
        jobs = [name for (name,) in cursor.fetchall() if name in NAMES]
    assert sorted(jobs) == sorted(NAMES)

    shop.work_off()

    assert sorted(Run.objects.values_list("kind", flat=True)) == ["full", "window"]
    assert not Run.objects.filter(ended_at=None).exists()
