"""An order's own page: it shows how the order stands, and never more than is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from todoku.cart import fill
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.order import links, withdraw
from todoku.order import messages as order_messages
from todoku.order.models import Order, Status
from todoku.payment.models import Attempt, Outcome, Voucher
from todoku.storefront import again, konbini, shopper
from todoku.storefront.csp import with_stripe
from todoku.storefront.given_back import given_back
from todoku.storefront.holding import hold
from todoku.storefront.page import SeeOther, go, show

#: What the page is called in each state; a state's own part is ``standing/<state>.html``.
TITLES: dict[str, Promise] = {
    "thanks": gettext_lazy("Thank you for your order"),
    "konbini": gettext_lazy("Please pay at a convenience store"),
    "konbini_late": gettext_lazy("We are waiting for the store's report"),
    "authenticate": gettext_lazy("Your card company asks you to confirm"),
    "processing": gettext_lazy("The bank is working on your payment"),
    "checking": gettext_lazy("We are checking your payment"),
    "canceling": gettext_lazy("We are canceling your order"),
    "not_paid": gettext_lazy("Your order was not paid"),
    "canceled": gettext_lazy("Your order has ended"),
    "written_off": gettext_lazy("The shop has ended this order"),
}
#: States that end by themselves: the page watches for it.
WATCHED = frozenset({"konbini", "konbini_late", "authenticate", "processing", "checking", "canceling"})
#: A cancel that takes longer than this is one that Stripe has refused for now.
SOON = timedelta(seconds=5)


def find(token: str, *fields: str) -> Order:
    """Find the order that a link's token opens; 404 for any other token."""
    order = links.find(token, *fields)
    if order is None:
        raise Http404("no such order")
    return order


#: What ``standing`` looks at.
LOOKED_AT = ("status", "recorded_at", "withdrawn_at", "attempts")


def standing(order: Order) -> str:
    """Say how the order stands, in one word for the page: a key of ``TITLES``."""
    if order.status == Status.WRITTEN_OFF:
        return "written_off"
    if order.recorded_at is not None:
        return "thanks"
    if order.status == Status.CANCELED or (order.status == Status.NOT_PAID and order.withdrawn_at is not None):
        return "canceled"
    if order.status == Status.NOT_PAID:
        return "not_paid"
    if order.status == Status.PLACED:
        return "canceling" if order.withdrawn_at is not None else _waits_for(order)
    return "checking"


def _waits_for(order: Order) -> str:
    """Say what a placed order waits for: the customer at a store or before their bank, the bank, or Stripe's word."""
    waiting = Attempt.objects.filter(order=order, number=order.attempts, outcome=Outcome.WAITING)
    for waits_for, expires_at in waiting.values_list("waits_for", "voucher__expires_at"):
        if waits_for == "konbini":
            return "konbini" if expires_at is None or expires_at > timezone.now() else "konbini_late"
        return "processing" if waits_for == "processing" else "authenticate"
    return "checking"


@with_stripe
@require_safe
def order(request: HttpRequest, token: str) -> HttpResponseBase:
    """Show how an order stands."""
    found = find(token)
    state = standing(found)
    mine = shopper.recognise(request) == found.shopper
    context: dict[str, Any] = {
        "order": found,
        "token": token,
        "state": state,
        "part": f"storefront/standing/{state}.html",
        "title": TITLES[state],
        "watched": state in WATCHED,
        "mine": mine,
    }
    if state in ("thanks", "konbini", "konbini_late", "canceled"):
        context["lines"] = _lines(found)
    if state == "thanks":
        context |= given_back(found)
    if state in ("konbini", "konbini_late"):
        context |= konbini.told(Voucher.objects.get(attempt__order=found, attempt__number=found.attempts))
        if settings.STRIPE.rehearsal and mine:
            # No store takes a rehearsal's voucher: whoever tries the shop pays it in the panel.
            context["panel"] = f"{settings.STRIPE.api}/payments/{found.intent.stripe_id}"
    if state == "canceling":
        context["late"] = found.withdrawn_at is not None and timezone.now() - found.withdrawn_at > SOON
    if state in ("not_paid", "canceled"):
        context |= _what_now(found, mine)
    if state == "authenticate" and mine:
        context["stripe"] = settings.STRIPE
        context["client_secret"] = found.intent.client_secret
    return show(request, "storefront/order.html", context)


def _lines(order: Order) -> list[dict[str, Any]]:
    language = get_language() or "ja"
    return [
        {"name": line.name_in(language), "quantity": line.quantity, "amount": line.amount}
        for line in order.lines.all()
    ]


def _what_now(order: Order, mine: bool) -> dict[str, Any]:
    """What an unpaid order's shopper is told, and what they can do."""
    setback = order.setback or {}
    cart = fill.current(order.shopper) if mine else None
    attempt = Attempt.objects.filter(order=order, number=order.attempts).first()
    if order.status == Status.CANCELED:
        why = order_messages.ended(setback)
    elif order.withdrawn_at is not None:
        why = order_messages.ended({"reason": "withdrawn"})
    else:
        why = order_messages.setback(setback, attempt.method if attempt is not None else "")
    return {
        "setback": why,
        "sold_out": setback.get("outcome") == "sold_out",
        "missing": _missing(setback.get("lines") or []),
        # The cart that was to be ordered is still in the shopper's hand: they may go on at once.
        "cart_kept": cart is not None and cart.pk == order.cart_id and cart.lines.exists(),
    }


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


@require_http_methods(["GET", "HEAD", "POST"])
def give_up(request: HttpRequest, token: str) -> HttpResponse:
    """Cancel an order that waits for its customer: asked once more on a page of its own, done by a POST."""
    found = find(token)
    name = shopper.recognise(request)
    if request.method != "POST":
        if name != found.shopper or not withdraw.may_withdraw(found):
            return go("storefront:order", token)
        return show(
            request, "storefront/give_up.html", {"order": found, "token": token, "state": standing(found)}
        )
    said = {
        "not_yours": _("Only the browser with which it was made can cancel this order. Please open it there."),
        "paid": _("This order has been paid, so it can no longer be canceled here. Please contact the shop."),
        "checking": _("We are still checking your payment, so the order cannot be canceled at this moment."),
    }.get(withdraw.withdraw(found, shopper=name))
    if said:
        messages.warning(request, said)
    return go("storefront:order", token)


@require_http_methods(["GET", "HEAD", "POST"])
def order_again(request: HttpRequest, token: str) -> SeeOther:
    """Put what an ended order was about into this browser's cart; says what could not be put back."""
    found = find(token)
    if request.method != "POST" or standing(found) != "canceled":
        return go("storefront:order", token)
    held = hold(request)
    if isinstance(held, SeeOther):
        return held
    secret = shopper.secret_of(request)
    back, trouble = again.put_back(shopper.fingerprint(secret), found)
    if back:
        messages.success(request, _("We have put the goods of that order into your cart."))
    for sentence in trouble:
        messages.warning(request, sentence)
    response = go("storefront:cart")
    shopper.remember(response, secret)
    return response
