"""A recovery's next moment, put into the queue; the job itself stands in ``jobs.py``."""

from __future__ import annotations

from datetime import timedelta

import procrastinate
from django.db import transaction
from django.utils import timezone
from procrastinate.contrib.django import app

QUEUE = "recovery"
GO_ON = "todoku.recover"


def defer(recovery_id: int, *, after: float = 0) -> None:
    """Have a worker go on with a recovery; of many wishes one is kept, so that its pace never doubles."""
    later = timezone.now() + timedelta(seconds=after) if after else None
    try:
        with transaction.atomic():
            app.configure_task(
                GO_ON, queue=QUEUE, lock=QUEUE, queueing_lock=f"recovery-{recovery_id}", schedule_at=later
            ).defer(recovery=recovery_id)
    except procrastinate.exceptions.AlreadyEnqueued:
        pass
