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
