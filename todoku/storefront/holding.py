"""What a page of the checkout has to know of the shopper's cart, in one question to the database."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.cart.models import Cart
from todoku.order import links
from todoku.order.models import Order, Status
from todoku.order.place import in_payment
from todoku.order.rules import PAID
from todoku.quote.models import Draft
from todoku.storefront import shopper
from todoku.storefront.page import SeeOther, go


@dataclass(frozen=True)
class Holding:
    """A shopper's open cart with its details page's draft, and what became of its order if there is one."""

    cart: Cart
    draft: Draft | None
    #: The quote of the unpaid order, and what its shopper must be told.
    unpaid_quote: uuid.UUID | None
    setback: dict[str, Any] | None


def hold(request: HttpRequest) -> Holding | SeeOther | None:
    """Find the shopper's open cart.

    The way out instead when an order of this cart is being paid: that order's page, before anything new may be
    charged.
    """
    name = shopper.recognise(request)
    if not name:
        return None
    orders = Order.objects.filter(cart=OuterRef("pk")).order_by("-id")
    unpaid = orders.filter(status=Status.NOT_PAID, withdrawn_at=None)
    cart = (
        Cart.objects.select_related("draft")
        .annotate(
            being_paid=Subquery(orders.filter(status__in=[Status.PLACED, *PAID]).values("pk")[:1]),
            unpaid_quote=Subquery(unpaid.values("quote_id")[:1]),
            setback=Subquery(unpaid.values("setback")[:1]),
        )
        .filter(shopper=name, closed_at=None)
        .first()
    )
    if cart is None:
        return None
    if cart.being_paid is not None:
        order = in_payment(cart)
        if order is not None:
            messages.info(request, _("An order from this cart is being paid already. Here is how it stands."))
            return go("storefront:order", links.token(order))
    return Holding(cart, getattr(cart, "draft", None), cart.unpaid_quote, cart.setback)
