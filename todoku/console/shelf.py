"""What a product's stock page shows: what there is, the sum that proves it, and why it moved."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.console.adjust import in_words
from todoku.console.readonly import Card, Fact, Table, link
from todoku.console.sidebar import may_see
from todoku.console.templatetags.console import jst
from todoku.notify.models import Case
from todoku.stock import low, proof
from todoku.stock.models import Level, Movement

#: The reconciliation's findings about a shelf.
FINDINGS = ("on_hand_off", "reserved_off", "sold_off", "reserved_not_held", "sold_less_than_recorded")
#: So many movements a page shows; all of them are behind the link.
MOST = 50


def tiles(level: Level) -> list[tuple[str, str, bool]]:
    """How many there are, at a glance; the last says whether it is a warning."""
    return [
        (_("On hand, free to sell"), f"{level.on_hand:,}", low.is_low(level)),
        (_("Held for orders"), f"{level.reserved:,}", False),
        (_("Sold and not shipped yet"), f"{to_ship(level.product.sku):,}", False),
        (_("Sold"), f"{level.sold:,}", False),
    ]


def stock_card(request: HttpRequest, level: Level) -> Card:
    """What is said of the product besides how many there are."""
    low_at = low.threshold(level)
    if level.low_at is None:
        warns = _("%(n)s (the shop's number)") % {"n": f"{low_at:,}"}
    else:
        warns = f"{low_at:,}"
    return Card(
        _("Stock"),
        [
            Fact(_("Warns from"), warns, number=True),
            *([Fact(_("Running out"), _("yes"), state="FAILED")] if low.is_low(level) else []),
            Fact(_("Product"), level.product.sku, link(request, "catalog", "product", level.product_id)),
        ],
    )


def proven(request: HttpRequest, level: Level) -> dict[str, Any]:
    """The proof of one shelf, for its page."""
    sums = proof.of_products([level.product_id]).get(level.product_id, proof.Sums())
    shelf = proof.Sums(level.on_hand, level.reserved, level.sold)
    return told(request, shelf, sums, sums.proves(level), level.product.sku)


def told(request: HttpRequest, shelves: proof.Sums, moved: proof.Sums, good: bool, *skus: str) -> dict[str, Any]:
    """What a page shows of a proof; one that fails leads to the reconciliation's findings."""
    cases = []
    if not good and may_see(request, "notify", "case"):
        found = Case.objects.filter(closed_at=None, execution=None, code__in=FINDINGS, about__in=skus)
        cases = list(found.order_by("id")[:10])
    return {"shelves": shelves, "moved": moved, "good": good, "skus": skus, "cases": cases}


def movements(request: HttpRequest, level: Level) -> Table:
    """The product's last movements, with who and why."""
    found = Movement.objects.filter(product_id=level.product_id).select_related("order").order_by("-id")[:MOST]
    return Table(
        _("Last movements"),
        [
            (
                Fact(_("At"), jst(movement.at), link(request, "stock", "movement", movement.pk)),
                Fact(_("Kind"), movement.get_kind_display(), state=movement.kind),
                Fact(_("On hand"), f"{movement.on_hand:+,}", number=True),
                Fact(_("Held for orders"), f"{movement.reserved:+,}", number=True),
                Fact(_("Sold"), f"{movement.sold:+,}", number=True),
                Fact(_("Who"), movement.who or "–"),
                Fact(
                    _("Why"),
                    movement.order.number if movement.order else in_words(movement.reason, movement.why),
                    link(request, "order", "order", movement.order_id)
                    or link(request, "stock", "restock", movement.restock_id),
                ),
            )
            for movement in found
        ],
        _("Nothing has moved yet."),
    )


_TO_SHIP = """
    SELECT coalesce(sum((line ->> 'quantity')::int), 0)
      FROM fulfilment_delivery, jsonb_array_elements(contents) AS line
     WHERE state = 'to_ship' AND line ->> 'sku' = %s
"""


def to_ship(sku: str) -> int:
    """How many of a product are sold and still lie here: what the slips of parcels to be shipped list."""
    with connection.cursor() as cursor:
        cursor.execute(_TO_SHIP, [sku])
        return int(cursor.fetchone()[0])
