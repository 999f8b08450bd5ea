"""The cart's page, and what can be done on it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from todoku.cart import fill
from todoku.cart.models import MOST_OF_ONE
from todoku.stock.check import short
from todoku.storefront import shopper
from todoku.storefront.holding import hold
from todoku.storefront.page import SeeOther, form_of, go, show


@require_safe
def cart(request: HttpRequest) -> HttpResponse:
    """Show what the shopper is holding, and what of it the stock cannot serve."""
    held = hold(request)
    if isinstance(held, SeeOther):
        return held
    lines = fill.held(held.cart) if held is not None else []
    scarce = {missing.product.pk: missing for missing in short(lines)} if lines else {}
    rows = [
        {
            "line": line,
            "product": line.product,
            "amount": line.product.price * line.quantity,
            "short": scarce.get(line.product_id),
            "quantities": _quantities(line.quantity),
        }
        for line in lines
    ]
    buyable = all(line.product.on_sale for line in lines)
    return show(
        request,
        "storefront/cart.html",
        {
            "rows": rows,
            "goods_total": sum(line.product.price * line.quantity for line in lines),
            "ready": bool(lines) and not scarce and buyable,
            "short": list(scarce.values()),
        },
        pieces=sum(line.quantity for line in lines),
    )


def _quantities(held: int) -> list[int]:
    """The choices of a quantity box: the first twenty, and what is held already."""
    return sorted({*range(1, 21), held} & set(range(1, MOST_OF_ONE + 1)))


@form_of("storefront:cart")
def put(request: HttpRequest) -> HttpResponse:
    """Put something into the cart."""
    held = hold(request)
    if isinstance(held, SeeOther):
        return held
    secret = shopper.secret_of(request)
    try:
        fill.put(shopper.fingerprint(secret), request.POST.get("sku", ""), request.POST.get("quantity", "1"))
    except fill.CannotHold as refusal:
        messages.error(request, refusal.message)
        return go("storefront:cart")
    messages.success(request, _("We have put it into your cart."))
    response = go("storefront:cart")
    shopper.remember(response, secret)
    return response


@form_of("storefront:cart")
def change(request: HttpRequest) -> HttpResponse:
    """Set a line's quantity."""
    held = hold(request)
    if isinstance(held, SeeOther):
        return held
    try:
        fill.change(shopper.recognise(request), request.POST.get("sku", ""), request.POST.get("quantity", ""))
    except fill.CannotHold as refusal:
        messages.error(request, refusal.message)
    return go("storefront:cart")


@form_of("storefront:cart")
def take_out(request: HttpRequest) -> HttpResponse:
    """Take a product out."""
    held = hold(request)
    if isinstance(held, SeeOther):
        return held
    fill.take_out(shopper.recognise(request), request.POST.get("sku", ""))
    return go("storefront:cart")
