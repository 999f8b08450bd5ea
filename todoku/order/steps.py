"""What a flow may ask of the order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Sum
from django.utils import timezone

from todoku.bad_news import NeedsOperator
from todoku.fulfilment.steps import write_slips
from todoku.order.models import MyPageEntry, Order, Status
from todoku.order.moves import move
from todoku.payment.received import received
from todoku.stock import take

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from todoku.order.models import OrderLine

#: A refund in one of these states has been given back, or will be.
_GIVEN = ("approved", "asked", "requires_action", "pending", "succeeded")


def record_order(order: Order, _: None) -> dict[str, Any]:
    """Record the paid order: sell its stock and write its delivery slips.

    When the hold was given back before a late payment came through and the shelf is empty by now, a person must
    find the goods: the order stays paid, is never dropped, and no stock goes below zero.
    """
    lines = list(order.lines.all())
    given = order.refunds.filter(state__in=_GIVEN)
    given_back = given.aggregate(whole=Sum("amount", default=0))["whole"]
    if given_back and (given_back >= received(order) or _all_on_the_shelf(given, lines)):
        raise NeedsOperator(
            "refunded_before_recorded",
            "The whole payment has been refunded, or a refund has put its goods back on the shelf, so the order does"
            " not go on. Nothing is shipped; write it off.",
        )
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


def _all_on_the_shelf(given: QuerySet[Any], lines: list[OrderLine]) -> bool:
    """Say whether refunds put all of the order's goods back on the shelf: they are not sold to it after all."""
    back = given.filter(lines__back=True).aggregate(n=Sum("lines__quantity", default=0))["n"]
    return bool(back >= sum(line.quantity for line in lines))


def publish_to_my_page(order: Order, _: None) -> dict[str, Any]:
    """Publish the order to its shopper's my page."""
    MyPageEntry.objects.bulk_create([MyPageEntry(order=order, shopper=order.shopper)], ignore_conflicts=True)
    return {"outcome": "published"}
