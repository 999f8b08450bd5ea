"""The queue of the embedded engine: put a job into it, in the transaction that makes the job necessary.

The jobs themselves stand in ``jobs.py``; here they are only known by their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import procrastinate
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app

from todoku.engines.models import Execution

PLAY, PLAYS = "todoku.play", "plays"


def defer_play(execution: Execution, *, after: timedelta | None) -> None:
    """Enqueue the play of an execution, in the caller's transaction: now, or after some time."""
    later = timezone.now() + after if after else None
    with _in_djangos_words():
        app.configure_task(PLAY, queue=PLAYS, lock=f"order-{execution.order_id}", schedule_at=later).defer(
            execution=execution.pk
        )


def hasten(order: int) -> None:
    """Have the order's play done now if it was to wait for a later try."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET scheduled_at = NULL"
            " WHERE lock = %s AND status = 'todo' AND scheduled_at > now()",
            [f"order-{order}"],
        )


def take_over(dead_after: float, *, me: int | None = None) -> list[int]:
    """Give the jobs of workers that show no sign of life to those that do; return the jobs' ids.

    Looking and giving are one statement: between the two another worker might do the same, a third one take the job,
    and it would be given away out of that one's hands. ``me`` is the caller's own worker: after a sleep of the whole
    machine its own sign of life is old too, but it is not dead.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH orphan AS MATERIALIZED (
                SELECT job.id FROM procrastinate_jobs AS job
                 WHERE job.status = 'doing' AND (%(me)s::bigint IS NULL OR job.worker_id IS DISTINCT FROM %(me)s)
                   AND (job.worker_id IS NULL OR EXISTS (
                        SELECT FROM procrastinate_workers AS worker WHERE worker.id = job.worker_id
                           AND worker.last_heartbeat < now() - make_interval(secs => %(dead_after)s)))
                   FOR NO KEY UPDATE OF job SKIP LOCKED
            )
            SELECT id, procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) FROM orphan
            """,
            {"me": me, "dead_after": dead_after},
        )
        return [row[0] for row in cursor.fetchall()]


@contextmanager
def _in_djangos_words() -> Iterator[None]:
    """The queue shares our connection and our transaction; its troubles are told as the database's always are."""
    try:
        yield
    except procrastinate.exceptions.ConnectorException as error:
        if error.__cause__ is None:
            raise
        with connection.wrap_database_errors:
            raise error.__cause__ from None
