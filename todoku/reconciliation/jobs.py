"""The jobs of the reconciliation: every few minutes and every night, once, however many workers there are.

procrastinate's workers put periodic jobs into the queue themselves, and the database lets each moment's job in
only once. The hours are UTC: 18:40 is 3:40 in the Japanese night.
"""

from __future__ import annotations

from procrastinate.contrib.django import app

from todoku.database import let_go
from todoku.notify import low_stock
from todoku.reconciliation import run as reconciliation
from todoku.reconciliation.models import Run
from todoku.reconciliation.queue import QUEUE
from todoku.reconciliation.queue import RUN as BY_HAND


@app.periodic(cron="*/5 * * * *")
@app.task(name="todoku.reconcile_window", queue=QUEUE, lock=QUEUE, queueing_lock="reconcile-window")
def reconcile_window(timestamp: int) -> None:
    """Reconcile the last hours, and look what is running out."""
    try:
        low_stock.look()
        reconciliation.reconcile_window()
    finally:
        let_go()


@app.periodic(cron="40 18 * * *")
@app.task(name="todoku.reconcile_in_full", queue=QUEUE, lock=QUEUE, queueing_lock="reconcile-in-full")
def reconcile_in_full(timestamp: int) -> None:
    """Reconcile everything."""
    try:
        reconciliation.reconcile_in_full()
    finally:
        let_go()


@app.task(name=BY_HAND, queue=QUEUE, lock=QUEUE, queueing_lock="reconcile-by-hand")
def reconcile_by_hand(run: int) -> None:
    """Do the run that an operator has asked for."""
    try:
        row = Run.objects.get(pk=run)
        reconciliation.reconcile(Run.Kind.HAND, since=row.since, who=row.who, row=row)
    finally:
        let_go()
