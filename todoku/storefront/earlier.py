"""Have you bought this already? The earlier orders, shown before anything new is charged."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from todoku.order import in_doubt, links
from todoku.order.models import Order, Status
from todoku.order.rules import PAID
from todoku.quote import ask
from todoku.storefront import shopper
from todoku.storefront.holding import hold
from todoku.storefront.page import SeeOther, go, show

#: How long an answer ("this is another purchase") can be, in characters.
LONGEST = 400


@require_safe
def earlier(request: HttpRequest) -> HttpResponse:
    """Show the earlier orders that this purchase may be a repeat of, and let the shopper say what it is."""
    held = hold(request)
    if held is None:
        return go("storefront:cart")
    if isinstance(held, SeeOther):
        return held
    try:
        quote = ask.quote(held.cart)
    except ask.CannotQuote:
        # The confirm page knows what to say of it.
        return go("storefront:confirm")
    doubts = in_doubt.find(quote, held.cart.shopper)
    if not doubts:
        return go("storefront:confirm")
    return show(
        request,
        "storefront/earlier.html",
        {
            "mine": [
                {"order": doubt.order, "kind": doubt.kind, "token": links.token(doubt.order)}
                for doubt in doubts
                if doubt.mine
            ],
            "elsewhere": not all(doubt.mine for doubt in doubts),
            "another": in_doubt.seals(quote, doubts),
        },
    )


def just_placed(request: HttpRequest) -> SeeOther | None:
    """Lead a shopper without a cart to the order that they have just placed; None when there is none."""
    name = shopper.recognise(request)
    since = timezone.now() - in_doubt.JUST_NOW
    order = (
        Order.objects.filter(shopper=name, status__in=[Status.PLACED, *PAID], placed_at__gt=since).first()
        if name
        else None
    )
    if order is None:
        return None
    messages.info(request, _("This order has been received already; it is not charged twice."))
    return go("storefront:order", links.token(order))
