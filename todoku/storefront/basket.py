"""The cart's page, and what can be done on it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from todoku.cart import fill
from todoku.cart.models import MOST_OF_ONE, Cart
from todoku.order import links
from todoku.order.place import in_payment
from todoku.stock.check import short
from todoku.storefront import shopper
from todoku.storefront.page import SeeOther, go, show


def order_under_way(request: HttpRequest, cart: Cart | None) -> SeeOther | None:
    """Send the shopper to the order of this cart that is being paid, if there is one: never a second charge."""
    order = in_payment(cart) if cart is not None else None
    if order is None:
        return None
    messages.info(request, _("An order from this cart is being paid already. Here is how it stands."))
    return go("storefront:order", links.token(order))


@require_safe
def cart(request: HttpRequest) -> HttpResponse:
    """Show what the shopper is holding, and what of it the stock cannot serve."""
    held = fill.current(shopper.recognise(request))
    away = order_under_way(request, held)
    if away is not None:
        return away
    lines = fill.held(held) if held is not None else []
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


@require_POST
def put(request: HttpRequest) -> HttpResponse:
    """Put something into the cart."""
    secret = shopper.secret_of(request)
    name = shopper.fingerprint(secret)
    away = order_under_way(request, fill.current(name))
    if away is not None:
        return away
    try:
        fill.put(name, request.POST.get("sku", ""), request.POST.get("quantity", "1"))
    except fill.CannotHold as refusal:
        messages.error(request, refusal.message)
        return go("storefront:cart")
    messages.success(request, _("We have put it into your cart."))
    response = go("storefront:cart")
    shopper.remember(response, secret)
    return response


@require_POST
def change(request: HttpRequest) -> HttpResponse:
    """Set a line's quantity."""
    name = shopper.recognise(request)
    away = order_under_way(request, fill.current(name))
    if away is not None:
        return away
    try:
        fill.change(name, request.POST.get("sku", ""), request.POST.get("quantity", ""))
    except fill.CannotHold as refusal:
        messages.error(request, refusal.message)
    return go("storefront:cart")


@require_POST
def take_out(request: HttpRequest) -> HttpResponse:
    """Take a product out."""
    name = shopper.recognise(request)
    away = order_under_way(request, fill.current(name))
    if away is not None:
        return away
    fill.take_out(name, request.POST.get("sku", ""))
    return go("storefront:cart")
