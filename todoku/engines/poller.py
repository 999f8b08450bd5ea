"""The poller: every order that is not at rest has a next look in the database, and gets it.

It is what brings an order home when no webhook ever comes and the customer never returns, and a refund to its end.
"""

from __future__ import annotations

import random
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from todoku.engines import engine
from todoku.flows import registry

#: How many orders one round looks at, for each flow.
AT_ONCE = 200
#: When an order is looked at again, should the play come to nothing; the flow sets its own next look.
OTHERWISE_AGAIN = timedelta(minutes=1)
#: After a failure an order is looked at again after this long, after each further one twice as long, up to the longest.
AFTER_FAILURE, LONGEST_AFTER_FAILURE = timedelta(minutes=1), timedelta(minutes=10)


def look_again() -> int:
    """Play every order whose next look is due by the database's clock; return how many.

    Several workers may do this at once: each takes orders that no other has in hand.
    """
    looked = 0
    for flow in registry.names():
        with transaction.atomic():
            due = registry.flow(flow).looks.take_due(AT_ONCE, OTHERWISE_AGAIN)
            for order in due:
                engine.play(flow, order, knock="poller")
        looked += len(due)
    return looked


def look_later(flow: str, order_id: int, failures: int) -> None:
    """Have an order that has failed so many times, with nothing settled, played again without anybody's doing."""
    pause = min(AFTER_FAILURE * 2 ** min(failures - 1, 10), LONGEST_AFTER_FAILURE)
    # Many orders fail at once when Stripe does; they need not all come back at once.
    pause *= 1 + random.random() / 4  # noqa: S311 - jitter
    registry.flow(flow).looks.look_at(order_id, timezone.now() + pause)
