"""The webhooks' job: every few minutes one worker looks whether an event has not come."""

from __future__ import annotations

import logging

from procrastinate.contrib.django import app

from todoku.bad_news import Unavailable
from todoku.database import let_go
from todoku.webhooks.catch_up import catch_up

log = logging.getLogger(__name__)

CATCH_UP = "todoku.catch_up"


# One at a time, and at most one more waiting: a long catch-up is not joined by the next ones.
@app.periodic(cron="*/5 * * * *")
@app.task(name=CATCH_UP, queue="events", lock="events", queueing_lock="events")
def read_events(timestamp: int) -> None:
    """Fetch the events that have not come; ``timestamp`` is the round's, in seconds since 1970."""
    try:
        catch_up()
    except Unavailable as error:
        log.warning("Stripe's events could not be read to the end; they are at the next round: %s", error)
    finally:
        let_go()
