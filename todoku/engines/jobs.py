"""The jobs of the embedded engine, as procrastinate knows them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import procrastinate
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django import app

from todoku.bad_news import Unavailable
from todoku.database import let_go
from todoku.engines import embedded
from todoku.engines.models import Execution
from todoku.notify import bell

log = logging.getLogger(__name__)


class Until(procrastinate.BaseRetryStrategy):
    """Try again for as long as it takes, at doubling intervals up to a longest one (seconds)."""

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def get_retry_decision(
        self, *, exception: BaseException, job: procrastinate.jobs.Job
    ) -> procrastinate.RetryDecision:
        """Say when to try the job again."""
        return procrastinate.RetryDecision(retry_in={"seconds": min(self.longest, 2 ** min(job.attempts + 1, 12))})


#: A play that could not even be marked (the database was away) is done again, for as long as it takes.
_FOR_EVER = Until(longest=60)
#: A mail server that is down does not silence the bell.
_PATIENT = Until(longest=600)


@app.task(name="todoku.play", queue="plays", retry=_FOR_EVER)
def play(execution: int) -> None:
    """Play an execution."""
    try:
        embedded.run(execution)
    finally:
        # A worker has many more threads than the pool has connections.
        let_go()


@app.task(name="todoku.ring", queue="bell", retry=_PATIENT)
def ring(case: int) -> None:
    """Ring the operator's bell for a case."""
    try:
        bell.ring(case)
    except Unavailable as error:
        log.warning("the bell could not be rung for case %s: %s", case, error)
        raise
    finally:
        let_go()


def defer_play(execution: Execution, *, after: timedelta | None) -> None:
    """Enqueue the play of an execution, in the caller's transaction: now, or after some time."""
    later = timezone.now() + after if after else None
    with _in_djangos_words():
        play.configure(lock=f"order-{execution.order_id}", schedule_at=later).defer(execution=execution.pk)


def hasten(order: int) -> None:
    """Have the order's play done now if it was to wait for a later try."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET scheduled_at = NULL"
            " WHERE lock = %s AND status = 'todo' AND scheduled_at > now()",
            [f"order-{order}"],
        )


def defer_ring(case: int) -> None:
    """Enqueue the bell's ringing, in the caller's transaction."""
    with _in_djangos_words():
        ring.defer(case=case)


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
