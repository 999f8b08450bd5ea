"""When the flow ``refund`` is played although nobody presses: only for a refund that a person has asked for."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models.functions import Now
from django.utils import timezone

from todoku.flows.looks import Looks
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.refund.models import Refund, State
from todoku.refund.rules import GIVEN, MAY_FAIL_FOR, OPEN

_STRIPES_WORD = ("webhook", "reconciliation")


def _in_hand(order_id: int) -> str:
    """The state of the refund that the order's flow is about; empty when there is none."""
    unfinished = Refund.objects.filter(order_id=order_id, state__in=GIVEN, finished_at=None)
    return unfinished.values_list("state", flat=True).first() or ""


def _worth_playing(order_id: int, knock: str) -> bool:
    state = _in_hand(order_id)
    if not state:
        # A refund that has ended well may still fail later, but only Stripe's word is worth a look.
        late = Refund.objects.filter(
            order_id=order_id, state=State.SUCCEEDED, finished_at__gte=timezone.now() - MAY_FAIL_FOR
        )
        return knock in _STRIPES_WORD and late.exists()
    if state in OPEN or not _has_case(order_id):
        return True
    # The money is settled or on its way, and something else has failed: that waits for a person.
    return state != State.SUCCEEDED and knock in _STRIPES_WORD


def _has_case(order_id: int) -> bool:
    return Case.objects.filter(order=order_id, flow="refund", closed_at=None, execution__isnull=False).exists()


def _plays_again(order_id: int, failed: bool) -> bool:
    state = _in_hand(order_id)
    return state in OPEN if failed else bool(state)


def _mends_itself(order_id: int) -> bool:
    return _in_hand(order_id) in OPEN


def _take_due(most: int, otherwise: timedelta) -> list[Order]:
    found = Refund.objects.filter(next_look_at__lte=Now()).order_by("next_look_at").values_list("order", flat=True)
    # The order's row first, as everywhere.
    orders = list(Order.objects.select_for_update(skip_locked=True, no_key=True).filter(pk__in=list(found[:most])))
    still = Refund.objects.filter(order__in=orders, next_look_at__lte=Now())
    due = set(still.values_list("order", flat=True))
    still.update(next_look_at=Now() + otherwise)
    return [order for order in orders if order.pk in due]


def _look_at(order_id: int, at: datetime) -> None:
    Refund.objects.filter(order_id=order_id, state__in=GIVEN, finished_at=None).update(next_look_at=at)


REFUND = Looks(
    worth_playing=_worth_playing,
    plays_again=_plays_again,
    mends_itself=_mends_itself,
    take_due=_take_due,
    look_at=_look_at,
)
