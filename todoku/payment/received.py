"""How much of an order's money there was to begin with: its total, or what a person has accepted in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from todoku.payment.models import AcceptedAmount

if TYPE_CHECKING:
    from todoku.order.models import Order


def received(order: Order) -> int:
    """Say how many yen of a paid order could be given back by the shop: what was kept when a person accepted it."""
    accepted = AcceptedAmount.objects.filter(order=order, currency="jpy").order_by("-id").first()
    return order.total if accepted is None else accepted.received - accepted.refunded
