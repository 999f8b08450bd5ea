"""An order's own page: it shows how the order stands, and never more than is known."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import get_language
from django.views.decorators.http import require_http_methods, require_safe

from todoku.cart import fill
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.order import links
from todoku.order import messages as order_messages
from todoku.order.models import Order, Status
from todoku.payment.models import Attempt, Outcome
from todoku.storefront import shopper
from todoku.storefront.csp import with_stripe
from todoku.storefront.page import SeeOther, go, show


def find(token: str, *fields: str) -> Order:
    """Find the order that a link's token opens; 404 for any other token."""
    order = links.find(token, *fields)
    if order is None:
        raise Http404("no such order")
    return order


#: What ``standing`` looks at.
LOOKED_AT = ("status", "recorded_at", "withdrawn_at", "attempts")


def standing(order: Order) -> str:
    """Say how the order stands, in one word for the page: thanks, checking, authenticate, not_paid, canceled."""
    if order.recorded_at is not None:
        return "thanks"
    if order.status == Status.CANCELED or (order.status == Status.NOT_PAID and order.withdrawn_at is not None):
        return "canceled"
    if order.status == Status.NOT_PAID:
        return "not_paid"
    if order.status == Status.PLACED and _waits_for_bank(order):
        return "authenticate"
    return "checking"


def _waits_for_bank(order: Order) -> bool:
    """Say whether the card's bank is waiting for the shopper (3-D Secure)."""
    return Attempt.objects.filter(order=order, number=order.attempts, outcome=Outcome.WAITING).exists()


@with_stripe
@require_safe
def order(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show how an order stands."""
    found = find(token)
    state = standing(found)
    mine = shopper.recognise(request) == found.shopper
    context: dict[str, Any] = {"order": found, "token": token, "state": state, "mine": mine}
    if state == "thanks":
        context["lines"] = [
            {"name": line.name_in(get_language() or "ja"), "quantity": line.quantity, "amount": line.amount}
            for line in found.lines.all()
        ]
    if state == "not_paid":
        setback = found.setback or {}
        context["setback"] = order_messages.setback(found.setback)
        context["sold_out"] = setback.get("outcome") == "sold_out"
        context["missing"] = _missing(setback.get("lines") or [])
        cart = fill.current(found.shopper) if mine else None
        context["cart_kept"] = cart is not None and cart.pk == found.cart_id
    if state == "authenticate" and mine:
        context["stripe"] = settings.STRIPE
        context["client_secret"] = found.intent.client_secret
    return show(request, "storefront/order.html", context)


def _missing(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name the goods that were too few, with how many remain."""
    remaining = {str(line.get("sku")): line.get("remaining", 0) for line in lines}
    return [
        {"name": product.name, "remaining": remaining[product.sku]}
        for product in Product.objects.filter(sku__in=remaining)
    ]


@require_safe
def status(request: HttpRequest, token: str) -> HttpResponse:
    """Tell the order page's script how the order stands now."""
    response = JsonResponse({"state": standing(find(token, *LOOKED_AT))})
    response.headers["Cache-Control"] = "no-store"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
def back(request: HttpRequest, token: str) -> SeeOther:
    """Come back from the bank. Nothing the browser says is believed: the flow is played and asks Stripe itself."""
    found = find(token)
    if found.status == Status.PLACED:
        engine.play("checkout", found, knock="return")
    return go("storefront:order", token)
