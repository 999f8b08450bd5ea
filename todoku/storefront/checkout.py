"""From the cart to the order: 在庫チェック, the details page, the confirm page, the press.

Every amount comes from the database; what a form says of money is only ever compared with it.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from todoku.bad_news import Unavailable
from todoku.cart import fill
from todoku.cart.models import Cart
from todoku.catalog.models import Temperature
from todoku.gateways import breaker
from todoku.gateways.gateway import NotAsked
from todoku.gateways.gateway import Refused as GatewayRefused
from todoku.money import spoken
from todoku.order import in_doubt, links, place
from todoku.order import messages as order_messages
from todoku.order.models import Order
from todoku.payment.models import Attempt
from todoku.payment.prepare import prepare
from todoku.quote import ask
from todoku.quote import messages as quote_messages
from todoku.quote.models import DETAIL_FIELDS, Draft, Quote
from todoku.stock.check import short
from todoku.storefront import details, earlier, konbini, places, shopper, typed
from todoku.storefront.csp import with_stripe
from todoku.storefront.holding import Holding, hold
from todoku.storefront.page import SeeOther, form_of, go, show
from todoku.telemetry import ties

log = logging.getLogger(__name__)


def _nothing_held(request: HttpRequest) -> SeeOther:
    messages.info(request, _("Your cart is empty. If you were away for long, please choose your goods once more."))
    return go("storefront:cart")


def _start(request: HttpRequest) -> Holding | SeeOther:
    """Find the shopper's cart for a checkout page, or the page to show instead."""
    return hold(request) or _nothing_held(request)


# 在庫チェック ----------------------------------------------------------------------------------------------------


@form_of("storefront:cart")
def begin(request: HttpRequest) -> HttpResponse:
    """Leave the cart: look whether the stock can serve every line, and name each that it cannot."""
    held = _start(request)
    if isinstance(held, SeeOther):
        return held
    lines = fill.held(held.cart)
    if not lines:
        return _nothing_held(request)
    if short(lines) or not all(line.product.on_sale for line in lines):
        # The cart's page says of each line how many remain and offers to change it.
        return go("storefront:cart")
    return go("storefront:details")


# 情報入力 -----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def fill_in(request: HttpRequest) -> HttpResponse:
    """The details page: who gets it and where. Leaving it prices the cart (送料計算)."""
    held = _start(request)
    if isinstance(held, SeeOther):
        return held
    cart = held.cart

    def again(form: details.DetailsForm, status: int = 200, **more: object) -> HttpResponse:
        lines = fill.held(cart)
        if not lines:
            return _nothing_held(request)
        context = {
            "form": form,
            "lines": lines,
            "goods_total": sum(line.product.price * line.quantity for line in lines),
            **more,
        }
        pieces = sum(line.quantity for line in lines)
        return show(request, "storefront/details.html", context, status=status, pieces=pieces)

    if request.method != "POST":
        return again(details.DetailsForm(initial=details.of_draft(held.draft)))
    if "find_place" in request.POST:
        return again(_with_place(request))
    form = details.DetailsForm(request.POST)
    if not form.is_valid():
        return again(form, 422)
    try:
        ask.keep_details(
            cart, {name: form.cleaned_data[name] for name in DETAIL_FIELDS}, language=get_language() or "ja"
        )
        quote = ask.quote(cart)
        prepare(quote)
    except ask.CannotQuote as error:
        return again(form, 422, trouble=quote_messages.explain(error))
    except (Unavailable, GatewayRefused) as error:
        return again(form, 503, trouble=_payment_is_away(error))
    seen = request.POST.get("seen", "")
    if seen.isascii() and seen.isdigit() and len(seen) <= 8 and int(seen) != quote.goods_total:
        language = get_language() or "ja"
        messages.warning(
            request,
            _("The total of the goods is now %(now)s; it was %(before)s when you last looked.")
            % {"now": spoken(quote.goods_total, language), "before": spoken(int(seen), language)},
        )
    return go("storefront:confirm")


def _with_place(request: HttpRequest) -> details.DetailsForm:
    """The form with the address that its postal code names filled in: the way without JavaScript."""
    filled = {name: request.POST.get(name, "") for name in DETAIL_FIELDS}
    try:
        place = places.find(typed.postal_code(filled["postal_code"]))
    except typed.Unreadable as error:
        messages.error(request, str(details.UNREADABLE[error.code]))
        return details.DetailsForm(initial=filled)
    if place is None:
        messages.error(request, _("We do not know that postal code. Please fill in the address yourself."))
    else:
        filled["prefecture"] = place.prefecture or filled["prefecture"]
        filled["city"] = place.city or filled["city"]
        filled["street"] = place.street or filled["street"]
    return details.DetailsForm(initial=filled)


@require_safe
def find_place(request: HttpRequest, code: str) -> HttpResponse:
    """Tell the details page's script which place a postal code names."""
    place = places.find(code)
    if place is None:
        return JsonResponse({"found": False}, status=404)
    response = JsonResponse({"found": True, "prefecture": place.prefecture, "city": place.city, "street": place.street})
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


def _payment_is_away(error: Exception) -> str:
    # A gate that is shut has told the log once; every page that it turns away need not.
    level = logging.INFO if isinstance(error, NotAsked) else logging.ERROR
    log.log(level, "The payment intent could not be prepared: %s", error)
    return _(
        "We cannot reach the payment service just now. You have not been charged and your details are kept. "
        "Please try again in a few minutes."
    )


# 確認画面 -----------------------------------------------------------------------------------------------------------


@with_stripe
@require_safe
def confirm(request: HttpRequest) -> HttpResponseBase:
    """The confirm page: everything that the shopper agrees to, priced at this moment, and the payment form."""
    held = hold(request)
    if held is None:
        # Back from an order whose cart is closed or set aside: that order is what this browser wants to see.
        return earlier.just_placed(request) or _nothing_held(request)
    if isinstance(held, SeeOther):
        return held
    cart, draft, version = held.cart, held.draft, held.cart.version
    try:
        quote = ask.quote(cart)
    except ask.CannotQuote as error:
        return _cannot_quote(request, error)
    if draft is None or (draft.wished_on is not None and draft.wished_on not in details.days()):
        messages.warning(request, _("The delivery date you chose can no longer be kept. Please choose another one."))
        return go("storefront:details")
    shown = _shown(request, cart)
    if shown is None and quote.cart_version != version:
        # Something we sell, or what it costs to send it, changed between the last look and this one.
        shown = Quote.objects.filter(cart=cart, cart_version=version).first()
    changes = ask.changes(shown, quote) if shown is not None else []
    another = request.GET.get("another", "")[: earlier.LONGEST]
    if in_doubt.find(quote, cart.shopper, answered=another):
        return go("storefront:earlier")
    trouble = ""
    try:
        prepare(quote)
    except (Unavailable, GatewayRefused) as unreachable:
        trouble = _payment_is_away(unreachable)
    lines = list(quote.lines.all())
    return show(
        request,
        "storefront/confirm.html",
        {
            "quote": quote,
            "another": another,
            "lines": [_line(line.name_in(get_language() or "ja"), line) for line in lines],
            "pieces": sum(line.quantity for line in lines),
            "parcels": parcels(quote.parcels),
            "taxes": quote.taxes,
            "has_reduced": any(line.tax_class == "reduced" for line in lines),
            "details": draft,
            "wished_on": details.spoken_day(draft.wished_on) if draft.wished_on else "",
            "changes": [quote_messages.tell(change) for change in changes if change.kind != "details"],
            "setback": _setback(held) if held.unpaid_quote == quote.pk else "",
            "trouble": trouble,
            "stripe": settings.STRIPE,
            "billing": _billing(draft),
            **konbini.offered(quote.total),
        },
        status=503 if trouble else 200,
        pieces=sum(line.quantity for line in lines),
    )


def _setback(held: Holding) -> str:
    """Say why the last attempt to pay this quote did not go through."""
    last = Attempt.objects.filter(order__quote=held.unpaid_quote).order_by("-number").first()
    return order_messages.setback(held.setback, last.method if last is not None else "")


def _shown(request: HttpRequest, cart: Cart) -> Quote | None:
    """Find the quote that the shopper says they were shown; another cart's is not looked at."""
    try:
        return Quote.objects.filter(pk=uuid.UUID(request.GET["shown"]), cart=cart).first()
    except (KeyError, ValueError):
        return None


def _cannot_quote(request: HttpRequest, error: ask.CannotQuote) -> SeeOther:
    if error.code == "empty":
        return _nothing_held(request)
    messages.warning(request, quote_messages.explain(error))
    return go("storefront:cart" if error.code in ("withdrawn", "amount") else "storefront:details")


def _line(name: str, line: Any) -> dict[str, Any]:
    return {
        "name": name,
        "unit_price": line.unit_price,
        "quantity": line.quantity,
        "amount": line.amount,
        "percent": line.percent,
        "reduced": line.tax_class == "reduced",
        "temperature": Temperature(line.temperature).label,
        "sku": line.sku,
    }


def parcels(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum equal parcels up for a page: so many of this kind, what they cost, the island surcharge in it."""
    counted = Counter((p["temperature"], p["size"], p["fee"], p["remote"]) for p in kept)
    return [
        {
            "temperature": Temperature(temperature).label,
            "size": size,
            "number": number,
            "fee": fee * number,
            "remote": remote * number,
            "amount": (fee + remote) * number,
        }
        for (temperature, size, fee, remote), number in counted.items()
    ]


def _billing(draft: Draft) -> Mapping[str, Any]:
    """What Stripe.js is told of the payer, as Stripe writes an address (the bank's 3-D Secure asks for it)."""
    return {
        "name": draft.name,
        "email": draft.email,
        "phone": f"+81{draft.phone[1:]}",
        "address": {
            "country": "JP",
            "postal_code": draft.postal_code,
            "state": draft.prefecture,
            "city": draft.city,
            "line1": draft.street,
            "line2": draft.building,
        },
    }


# 購入する -----------------------------------------------------------------------------------------------------------


@form_of("storefront:confirm")
def press(request: HttpRequest) -> HttpResponse:
    """The press of the order button. Whatever comes of it, the shopper is shown the truth."""
    name = shopper.recognise(request)
    quote_id = request.POST.get("quote", "")[:64]
    another = request.POST.get("another", "")[: earlier.LONGEST]
    cart = fill.current(name)
    if cart is None:
        # Pressed again after the order was done and its cart closed: that order is the answer.
        order = _order_of(name, quote_id)
        return go("storefront:order", links.token(order)) if order is not None else _nothing_held(request)
    if breaker.is_shut() and place.in_payment(cart) is None:
        # Nobody could find out whether it was paid. The confirm page says so; nothing was ordered or held.
        return go("storefront:confirm")
    answer = place.place(
        cart=cart,
        quote_id=quote_id,
        confirmation_token=request.POST.get("confirmation_token", "")[:255],
        shopper=name,
        language=get_language() or settings.LANGUAGE_CODE,
        another=another,
    )
    match answer:
        case place.Placed(order):
            ties.note(order=order.number)
            return go("storefront:order", links.token(order))
        case place.InPayment(order):
            messages.info(request, _("This order has been received already; it is not charged twice."))
            return go("storefront:order", links.token(order))
        case place.InDoubt():
            return go("storefront:earlier")
        case place.Changed(shown, _now):
            response = go("storefront:confirm")
            known = {"another": another} if another else {}
            response.headers["Location"] += "?" + urlencode({"shown": shown.pk, **known})
            return response
        case place.Refused("stale") if (order := _order_of(name, quote_id)) is not None:
            # An old page of an order whose cart was set aside or closed, pressed with a new cart in hand.
            messages.info(request, _("This order has been received already; it is not charged twice."))
            return go("storefront:order", links.token(order))
        case place.Refused(code):
            messages.warning(request, order_messages.refused(code))
            return go("storefront:cart" if code in ("sold_out", "empty", "withdrawn") else "storefront:confirm")


def _order_of(name: str, quote_id: str) -> Order | None:
    try:
        return Order.objects.filter(quote_id=uuid.UUID(quote_id), shopper=name).first() if name else None
    except ValueError:
        return None
