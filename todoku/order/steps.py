"""What a flow may ask of the order."""

from __future__ import annotations

from typing import Any

from django.db.models import Sum
from django.utils import timezone

from todoku.bad_news import NeedsOperator
from todoku.fulfilment.steps import write_slips
from todoku.order.models import MyPageEntry, Order, Status
from todoku.order.moves import move
from todoku.payment.received import received
from todoku.stock import take

#: A refund in one of these states has been given back, or will be.
_GIVEN = ("approved", "asked", "requires_action", "pending", "succeeded")


def record_order(order: Order, _: None) -> dict[str, Any]:
    """Record the paid order: sell its stock and write its delivery slips.

    When the hold was given back before a late payment came through and the shelf is empty by now, a person must
    find the goods: the order stays paid, is never dropped, and no stock goes below zero.
    """
    given_back = order.refunds.filter(state__in=_GIVEN).aggregate(whole=Sum("amount", default=0))["whole"]
    if given_back and given_back >= received(order):
        raise NeedsOperator(
            "refunded_before_recorded",
            "The whole payment has been refunded, so the order does not go on. Nothing is shipped; write it off.",
        )
    lines = list(order.lines.all())
    short = take.sell(order, {line.product_id: line.quantity for line in lines})
    if short:
        missing = ", ".join(
            f"{line.sku} ({line.quantity} ordered, {short[line.product_id]} in stock)"
            for line in lines
            if line.product_id in short
        )
        raise NeedsOperator(
            "paid_unallocated",
            f"The order is paid, but its goods are no longer in stock: {missing}. Add stock, then press Resume. "
            "If the goods cannot be had any more, talk to the customer and refund by hand.",
        )
    parcels = write_slips(order)
    move(order, Status.RECORDED, recorded_at=timezone.now())
    return {"outcome": "recorded", "parcels": parcels}


def publish_to_my_page(order: Order, _: None) -> dict[str, Any]:
    """Publish the order to its shopper's my page."""
    MyPageEntry.objects.bulk_create([MyPageEntry(order=order, shopper=order.shopper)], ignore_conflicts=True)
    return {"outcome": "published"}
