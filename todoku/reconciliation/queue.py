"""A run that an operator asked for, put into the queue in the transaction that writes it down."""

from __future__ import annotations

import procrastinate
from procrastinate.contrib.django import app

from todoku.reconciliation.models import Run

QUEUE = "reconciliation"
RUN = "todoku.reconcile_by_hand"


class AlreadyWaiting(Exception):
    """A run that somebody has asked for has not begun yet."""


def defer_run(run: Run) -> None:
    """Have a worker do the run. Raises AlreadyWaiting; the caller's transaction is then to be rolled back."""
    try:
        app.configure_task(RUN, queue=QUEUE, lock=QUEUE, queueing_lock="reconcile-by-hand").defer(run=run.pk)
    except procrastinate.exceptions.AlreadyEnqueued as error:
        raise AlreadyWaiting from error
