"""The recovery's job: a second of work, and then the next job. A worker that dies loses none of it."""

from __future__ import annotations

from procrastinate.contrib.django import app

from todoku.database import let_go
from todoku.engines.jobs import Until
from todoku.recovery import queue
from todoku.recovery.run import go_on


@app.task(name=queue.GO_ON, queue=queue.QUEUE, lock=queue.QUEUE, retry=Until(longest=30))
def recover(recovery: int) -> None:
    """Resume the next few of a recovery's cases."""
    try:
        again_in = go_on(recovery)
        if again_in is not None:
            queue.defer(recovery, after=again_in)
    finally:
        let_go()
