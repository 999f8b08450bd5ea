"""What an order's customer is told of the money that they get back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from todoku.order.models import Order

#: How each state of a refund reads to the customer; one that is not here is the shop's own affair.
SAID: dict[str, Promise] = {
    "approved": gettext_lazy("being refunded"),
    "asked": gettext_lazy("being refunded"),
    "requires_action": gettext_lazy("waiting for your bank account: please answer the mail from Stripe"),
    "pending": gettext_lazy("on its way to you"),
    "succeeded": gettext_lazy("given back"),
}


@dataclass(frozen=True)
class GivenBack:
    """One refund as its customer sees it."""

    amount: int
    said: Promise
    done: bool
    at: Any


def given_back(order: Order) -> dict[str, Any]:
    """Gather an order's refunds for a page, and what remains paid; nothing when there are none."""
    refunds = [
        GivenBack(refund.amount, SAID[refund.state], refund.state == "succeeded", refund.approved_at)
        for refund in order.refunds.filter(state__in=list(SAID)).order_by("number")
    ]
    return {"given_back": refunds, "remains": order.total - sum(one.amount for one in refunds)} if refunds else {}
