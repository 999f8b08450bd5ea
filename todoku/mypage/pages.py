"""My page: a shopper's orders. No login: the browser's cookie lists them, a link opens one."""

from __future__ import annotations

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from todoku.order import links
from todoku.order.models import Order, Status
from todoku.storefront import details, shopper
from todoku.storefront.checkout import parcels
from todoku.storefront.orders import find, standing
from todoku.storefront.page import go, show

#: How many orders the list shows.
MOST_SHOWN = 50


@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    """List this browser's orders: the published ones, and those whose payment is still being checked."""
    name = shopper.recognise(request)
    mine = (
        Order.objects.filter(
            Q(my_page_entry__shopper=name) | Q(shopper=name, status__in=[Status.PLACED, Status.PAID, Status.RECORDED])
        )
        .prefetch_related("lines", "deliveries")
        .order_by("-id")[:MOST_SHOWN]
        if name
        else []
    )
    language = get_language() or "ja"
    rows = [
        {
            "order": order,
            "token": links.token(order),
            "done": order.recorded_at is not None,
            "shipped": bool(order.deliveries.all())
            and all(parcel.state == parcel.State.SHIPPED for parcel in order.deliveries.all()),
            "names": [line.name_in(language) for line in order.lines.all()],
            "pieces": sum(line.quantity for line in order.lines.all()),
        }
        for order in mine
    ]
    return show(request, "mypage/orders.html", {"rows": rows})


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
        },
    )
