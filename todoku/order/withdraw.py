"""Give up an order that waits for its customer: a konbini voucher, or a question of the card's bank.

The wish is written under the order's row lock and the flow is played: it cancels at Stripe first, and only when
Stripe has confirmed that nothing can be paid any more do the goods go back. A payment that is quicker wins.
"""

from __future__ import annotations

from typing import Literal

from django.db import transaction
from django.utils import timezone

from todoku.engines import engine
from todoku.order.models import Order, Status
from todoku.order.moves import write
from todoku.order.rules import PAID
from todoku.payment.models import Attempt, Outcome

FLOW = "checkout"
#: What an order may wait for and still be given up by its customer.
GIVEN_UP_WHILE = ("konbini", "authentication")

#: withdrawing (the flow is at it), paid (too late), over (it has ended), checking (nobody knows yet how it stands),
#: not_yours (another shopper's).
Answer = Literal["withdrawing", "paid", "over", "checking", "not_yours"]


def may_withdraw(order: Order) -> bool:
    """Say whether the order waits for something that its customer may give up."""
    return (
        order.status == Status.PLACED
        and order.withdrawn_at is None
        and Attempt.objects.filter(
            order=order, number=order.attempts, outcome=Outcome.WAITING, waits_for__in=GIVEN_UP_WHILE
        ).exists()
    )


def withdraw(order: Order, *, shopper: str) -> Answer:
    """Write that the customer gives the order up, and play its flow; the same wish again changes nothing.

    ``shopper`` is who asks: only the browser that ordered may. Nothing is promised by "withdrawing": a customer who
    stands at the till of a store at this moment pays after all, and the flow tries the cancel again until then.
    """
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if not shopper or order.shopper != shopper:
            return "not_yours"
        return withdraw_held(order)


def withdraw_held(order: Order, *, who: str = "") -> Answer:
    """Do the same to an order whose row the caller has locked: the shopper's press, or the shop's (``who``)."""
    if order.status in PAID:
        return "paid"
    if order.status != Status.PLACED:
        return "over"
    if order.withdrawn_at is not None:
        return "withdrawing"
    if not may_withdraw(order):
        return "checking"
    write(order, withdrawn_at=timezone.now())
    engine.play(FLOW, order, knock="withdrawn", who=who)
    return "withdrawing"
