"""Pages for paper: delivery slips, one order to a sheet, and picking lists. They are printed; none of them acts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from todoku.catalog.models import Temperature
from todoku.console import acts, masking
from todoku.console.typed import row_number
from todoku.fulfilment.models import Delivery
from todoku.order.models import Order
from todoku.shop import chosen

#: So many sheets are made at once: more make a browser slow, and a printer stop half-way.
MOST_SHEETS = 200
#: So many parcels are summed up in one picking list.
MOST_PICKED = 2_000


@dataclass
class Pick:
    """So many of one product, for so many parcels."""

    sku: str
    name: str
    quantity: int = 0
    parcels: int = 0


@dataclass
class Shelf:
    """What is taken from the shelf of one temperature."""

    temperature: str
    name: Any
    picks: list[Pick] = field(default_factory=list)

    @property
    def pieces(self) -> int:
        """How many pieces it is in all."""
        return sum(pick.quantity for pick in self.picks)


def go(
    request: HttpRequest, name: str, rows: Iterable[int], *, most: int = MOST_SHEETS, **more: str
) -> HttpResponse | None:
    """Go from ticked rows to a page about them; stay, with a word, when there are too many for it."""
    ids = list(dict.fromkeys(rows))
    if len(ids) > most:
        messages.warning(
            request, _("At most %(most)s at once, please: choose fewer, or filter the list.") % {"most": f"{most:,}"}
        )
        return None
    more["ids"] = ",".join(map(str, ids))
    return HttpResponseRedirect(f"{reverse(name)}?" + "&".join(f"{key}={value}" for key, value in more.items()))


def ids_of(request: HttpRequest, most: int) -> list[int]:
    """The rows that an address names, at most so many; anything that is no number is passed over."""
    named = request.GET.get("ids", "").split(",")[: most + 1]
    return [number for one in named if (number := row_number(one)) is not None]


def slips(request: HttpRequest) -> HttpResponse:
    """Show the delivery slips (納品書) of the parcels' orders, each on a sheet, with or without prices.

    Each is written in its customer's language.
    """
    if not (request.user.has_perm("fulfilment.view_delivery") and masking.may_see(request, "address")):
        raise PermissionDenied
    prices = request.GET.get("prices") == "1"
    if prices and not request.user.has_perm("order.view_order"):
        raise PermissionDenied
    ids = ids_of(request, MOST_SHEETS)
    orders = (
        Order.objects.filter(deliveries__in=ids[:MOST_SHEETS])
        .distinct()
        .prefetch_related("lines", "deliveries")
        .order_by("id")
    )
    acts.looked_at(request, None, [order.number for order in orders], what=_("Delivery slips"))
    return TemplateResponse(
        request,
        "console/paper/slips.html",
        {
            "title": _("Delivery slips"),
            "sheets": [_sheet(order) for order in orders],
            "prices": prices,
            "too_many": len(ids) > MOST_SHEETS,
            "most": MOST_SHEETS,
            "today": timezone.localdate(),
        },
    )


def _sheet(order: Order) -> dict[str, Any]:
    language = "ja" if order.language.startswith("ja") else "en"
    lines = list(order.lines.all())
    return {
        "order": order,
        "language": language,
        "seller": chosen.now().seller(language),
        "postal_code": f"{order.postal_code[:3]}-{order.postal_code[3:]}",
        "lines": [
            {
                "sku": line.sku,
                "name": line.name_in(language),
                "quantity": line.quantity,
                "unit_price": line.unit_price,
                "amount": line.amount,
                "reduced": line.tax_class == "reduced",
            }
            for line in lines
        ],
        "pieces": sum(line.quantity for line in lines),
        "has_reduced": any(line.tax_class == "reduced" for line in lines),
        "parcels": [parcel for parcel in order.deliveries.all() if parcel.state != Delivery.State.CANCELED],
    }


def picking(request: HttpRequest) -> HttpResponse:
    """Show what is to be taken from the shelves: the goods of the named parcels, or of all that are to be shipped."""
    if not request.user.has_perm("fulfilment.view_delivery"):
        raise PermissionDenied
    to_ship = Delivery.objects.filter(state=Delivery.State.TO_SHIP).order_by("id")
    if "ids" in request.GET:
        to_ship = to_ship.filter(pk__in=ids_of(request, MOST_PICKED))
    if request.GET.get("temperature") in Temperature.values:
        to_ship = to_ship.filter(temperature=request.GET["temperature"])
    parcels = list(_bare(to_ship)[: MOST_PICKED + 1])
    return TemplateResponse(
        request,
        "console/paper/picking.html",
        {
            "title": _("Picking list"),
            "shelves": shelves(parcels[:MOST_PICKED]),
            "parcels": parcels[:MOST_PICKED],
            "too_many": len(parcels) > MOST_PICKED,
            "most": MOST_PICKED,
            "now": timezone.now(),
        },
    )


def _bare(parcels: QuerySet[Delivery]) -> QuerySet[Delivery]:
    return parcels.select_related("order").only(
        "number", "temperature", "size", "contents", "wished_on", "order__number"
    )


def shelves(parcels: Iterable[Delivery]) -> list[Shelf]:
    """Sum up what goes into the parcels, for each temperature and SKU."""
    found = {value: Shelf(value, label) for value, label in Temperature.choices}
    picks: dict[tuple[str, str], Pick] = {}
    for parcel in parcels:
        for thing in parcel.contents:
            key = (parcel.temperature, str(thing.get("sku", "")))
            if key not in picks:
                picks[key] = Pick(key[1], str(thing.get("name_ja", "")))
                found[parcel.temperature].picks.append(picks[key])
            picks[key].quantity += int(thing.get("quantity", 0))
            picks[key].parcels += 1
    for shelf in found.values():
        shelf.picks.sort(key=lambda pick: pick.sku)
    return [shelf for shelf in found.values() if shelf.picks]
