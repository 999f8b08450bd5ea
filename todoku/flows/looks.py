"""When a flow is played although nobody has pressed anything: what is worth a play, and when the next look is due.

Each flow says it for itself, so that the engine and the poller know orders and flows and nothing of either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import Now

from todoku.order.models import Order, Status
from todoku.order.rules import AT_REST, PAID


@dataclass(frozen=True)
class Looks:
    """What a flow answers when the engine asks whether to play it for an order."""

    #: Say whether there may be news for this order, given what knocked.
    worth_playing: Callable[[int, str], bool]
    #: Say whether to play once more after a play during which somebody knocked; True: it had failed.
    plays_again: Callable[[int, bool], bool]
    #: Say whether a play that failed may be tried again by the machine, because nothing is settled yet.
    mends_itself: Callable[[int], bool]
    #: Take the orders whose next look is due, at most so many; each is given another look after the pause, should
    #: the play come to nothing. Must run in a transaction; no other worker takes the same ones.
    take_due: Callable[[int, timedelta], list[Order]]
    #: Set when an order is looked at next.
    look_at: Callable[[int, datetime], None]


def _worth_playing(order_id: int, knock: str) -> bool:
    """Say whether there may be news.

    A complete order has none, and a paid one that failed waits for a person. A canceled one may have been paid
    after all (a till tells late), but only Stripe's word is worth a look.
    """
    status = _status(order_id)
    if status in AT_REST:
        return status == Status.CANCELED and knock in ("webhook", "reconciliation")
    if status not in PAID:
        return True
    order = Order(pk=order_id)
    return not order.cases.filter(closed_at=None, execution__isnull=False, flow="checkout").exists()


def _plays_again(order_id: int, failed: bool) -> bool:
    """Say whether a knock during a play may have been news.

    Also for an order that this play has canceled: it may have been Stripe's word that it is paid after all.
    """
    status = _status(order_id)
    return status not in PAID and not (failed and status in AT_REST)


def _mends_itself(order_id: int) -> bool:
    status, withdrawn = Order.objects.values_list("status", "withdrawn_at").get(pk=order_id)
    return status == Status.PLACED or (status == Status.NOT_PAID and withdrawn is not None)


def _take_due(most: int, otherwise: timedelta) -> list[Order]:
    due = list(
        Order.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(next_look_at__lte=Now())
        .order_by("next_look_at")[:most]
    )
    Order.objects.filter(pk__in=[order.pk for order in due]).update(next_look_at=Now() + otherwise)
    return due


def _look_at(order_id: int, at: datetime) -> None:
    Order.objects.filter(pk=order_id).update(next_look_at=at)


def _status(order_id: int) -> str:
    return str(Order.objects.values_list("status", flat=True).get(pk=order_id))


CHECKOUT = Looks(
    worth_playing=_worth_playing,
    plays_again=_plays_again,
    mends_itself=_mends_itself,
    take_due=_take_due,
    look_at=_look_at,
)
