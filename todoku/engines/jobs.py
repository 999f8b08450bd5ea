"""The jobs of the embedded engine: what a worker does when it takes one from the queue."""

from __future__ import annotations

import procrastinate
from django.conf import settings
from procrastinate.contrib.django import app

from todoku.database import let_go
from todoku.engines import embedded, queue
from todoku.telemetry import ties, tracing


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


@app.task(name=queue.PLAY, queue=queue.PLAYS, retry=_FOR_EVER)
def play(execution: int) -> None:
    """Play an execution."""
    if settings.ENGINE != "todoku.engines.embedded.Embedded":
        # The shop has moved to another engine meanwhile, and its look_after sends the play there.
        return
    try:
        with ties.fresh(), tracing.span("play"):
            embedded.run(execution)
    finally:
        # A worker has many more threads than the pool has connections.
        let_go()
