"""The jobs of the embedded engine, as procrastinate knows them."""

from __future__ import annotations

import logging
from datetime import timedelta

import procrastinate
from django.utils import timezone
from procrastinate.contrib.django import app

from todoku.bad_news import Unavailable
from todoku.engines import embedded, engine
from todoku.engines.models import Execution
from todoku.notify import bell
from todoku.order.models import Order

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
    embedded.run(execution)


@app.task(name="todoku.ring", queue="bell", retry=_PATIENT)
def ring(case: int) -> None:
    """Ring the operator's bell for a case."""
    try:
        bell.ring(case)
    except Unavailable as error:
        log.warning("the bell could not be rung for case %s: %s", case, error)
        raise


@app.periodic(cron="* * * * * */15")
@app.task(name="todoku.look_again", queue="plays", queueing_lock="look_again", pass_context=False)
def look_again(timestamp: int) -> None:
    """Play every order whose next look is due, in case nobody knocked."""
    due = Order.objects.filter(next_look_at__lte=timezone.now()).order_by("next_look_at")[:200]
    for order in due:
        # Later rather than never, should this play itself come to nothing; the flow sets its own next look.
        Order.objects.filter(pk=order.pk).update(next_look_at=timezone.now() + timedelta(minutes=1))
        engine.play("checkout", order, knock="poller")


def defer_play(execution: Execution, *, after: timedelta | None) -> None:
    """Enqueue the play of an execution, in the caller's transaction: now, or after some time."""
    later = {"seconds": after.total_seconds()} if after else None
    play.configure(lock=f"order-{execution.order_id}", schedule_in=later).defer(execution=execution.pk)


def defer_ring(case: int) -> None:
    """Enqueue the bell's ringing, in the caller's transaction."""
    ring.defer(case=case)
