"""Is the shop alive, and is it ready to take orders? For whatever watches over it."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from todoku.gateways import breaker

log = logging.getLogger(__name__)

#: A worker shows itself four times within WORKER_DEAD_AFTER; this much later than that it is missed.
MISSED_AFTER = timedelta(seconds=10)
#: Whether this process has seen that the database is as this version of the shop needs it; it stays so.
_tables_are_right = False


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether the shop is ready: 200, or 503 with the reasons, which tell nothing that a stranger may not know."""
    reasons = why_not()
    away = breaker.is_shut() if "database" not in reasons else None
    answer = {"ok": not reasons, "reasons": reasons, "stripe": {True: "away", False: "answers", None: "unknown"}[away]}
    return JsonResponse(answer, status=503 if reasons else 200, headers={"Cache-Control": "no-store"})


def why_not() -> list[str]:
    """Why the shop is not ready: ``database``, ``migrations``, ``worker``; an empty list when it is."""
    try:
        reasons = [] if _migrated() else ["migrations"]
        if reasons:
            return reasons
        return [] if _is_a_worker_alive() else ["worker"]
    except Error as error:
        log.error("the database does not answer: %s", type(error).__name__)
        return ["database"]


def _migrated() -> bool:
    global _tables_are_right
    if not _tables_are_right:
        executor = MigrationExecutor(connection)
        _tables_are_right = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return _tables_are_right


def _is_a_worker_alive() -> bool:
    since = timezone.now() - timedelta(seconds=settings.WORKER_DEAD_AFTER) - MISSED_AFTER
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM procrastinate_workers WHERE last_heartbeat > %s)", [since])
        return bool(cursor.fetchone()[0])
