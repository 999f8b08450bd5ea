"""The poller: every order that is not at rest has a next look in the database, and gets it.

It is what brings an order home when no webhook ever comes and the customer never returns.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from todoku.engines import engine
from todoku.order.models import Order

#: How many orders one round looks at.
AT_ONCE = 200
#: When an order is looked at again, should the play come to nothing; the flow sets its own next look.
OTHERWISE_AGAIN = timedelta(minutes=1)


def look_again(flow: str = "checkout") -> int:
    """Play every order whose next look is due by the database's clock; return how many.

    Several workers may do this at once: each takes orders that no other has in hand.
    """
    with transaction.atomic():
        due = list(
            Order.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(next_look_at__lte=Now())
            .order_by("next_look_at")[:AT_ONCE]
        )
        Order.objects.filter(pk__in=[order.pk for order in due]).update(next_look_at=Now() + OTHERWISE_AGAIN)
        for order in due:
            engine.play(flow, order, knock="poller")
    return len(due)
