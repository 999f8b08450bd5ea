"""My page: a shopper's orders. No login: the browser's cookie lists them, a link opens one."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from todoku.order import links
from todoku.order.models import Order, Status
from todoku.payment import stores
from todoku.payment.models import Attempt, Outcome
from todoku.storefront import details, konbini, shopper
from todoku.storefront.checkout import parcels
from todoku.storefront.given_back import given_back
from todoku.storefront.orders import find, standing
from todoku.storefront.page import go, show

#: How many orders the list shows.
MOST_SHOWN = 50


@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    """List this browser's orders: the published ones, and those that are still to be paid or being checked.

    What ended unpaid is left out: there is nothing to do about it.
    """
    name = shopper.recognise(request)
    mine = (
        Order.objects.filter(
            Q(my_page_entry__shopper=name) | Q(shopper=name, status__in=[Status.PLACED, Status.PAID, Status.RECORDED])
        )
        .prefetch_related("lines", "deliveries", "payment_attempts__voucher")
        .order_by("-id")[:MOST_SHOWN]
        if name
        else []
    )
    language = get_language() or "ja"
    rows = [
        {
            "order": order,
            "token": links.token(order),
            "done": order.recorded_at is not None and order.status != Status.WRITTEN_OFF,
            "written_off": order.status == Status.WRITTEN_OFF,
            "shipped": bool(order.deliveries.all())
            and all(parcel.state == parcel.State.SHIPPED for parcel in order.deliveries.all()),
            "called_off": bool(order.deliveries.all())
            and all(parcel.state == parcel.State.CANCELED for parcel in order.deliveries.all()),
            "names": [line.name_in(language) for line in order.lines.all()],
            "pieces": sum(line.quantity for line in order.lines.all()),
            **_to_pay(order),
        }
        for order in mine
    ]
    return show(request, "mypage/orders.html", {"rows": rows})


def _to_pay(order: Order) -> dict[str, Any]:
    """Until when an order is to be paid at a konbini; nothing for one that is not."""
    if order.status != Status.PLACED or order.withdrawn_at is not None:
        return {}
    for attempt in order.payment_attempts.all():
        if attempt.number == order.attempts and attempt.waits_for == "konbini" and hasattr(attempt, "voucher"):
            expires_at = attempt.voucher.expires_at
            if expires_at > timezone.now():
                return {"until": konbini.until(expires_at), "left": konbini.left(expires_at)}
    return {}


@require_safe
def order(request: HttpRequest, token: str) -> HttpResponse:
    """Show one order whole: lines, totals, address, delivery."""
    found = find(token)
    if standing(found) != "thanks":
        # Not (yet) an order to look at: its own page says how it stands.
        return go("storefront:order", token)
    language = get_language() or "ja"
    lines = list(found.lines.all())
    return show(
        request,
        "mypage/order.html",
        {
            "order": found,
            "lines": [
                {
                    "name": line.name_in(language),
                    "quantity": line.quantity,
                    "unit_price": line.unit_price,
                    "amount": line.amount,
                    "reduced": line.tax_class == "reduced",
                }
                for line in lines
            ],
            "has_reduced": any(line.tax_class == "reduced" for line in lines),
            "parcels": parcels(found.parcels),
            "taxes": found.taxes,
            "wished_on": details.spoken_day(found.wished_on) if found.wished_on else "",
            "deliveries": list(found.deliveries.order_by("number")),
            "paid": _how_paid(found),
            **given_back(found),
        },
    )


def _how_paid(order: Order) -> str:
    """Say how an order was paid."""
    attempt = Attempt.objects.filter(order=order, outcome=Outcome.PAID).order_by("-number").first()
    if attempt is None:
        return ""
    if attempt.method == "konbini":
        store = stores.name(attempt.chain)
        return _("Paid at %(store)s") % {"store": store} if store else _("Paid at a convenience store")
    return _("Paid by card")
