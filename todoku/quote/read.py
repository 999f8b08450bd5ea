"""Read all that a cart's price depends on: one statement, so one round trip and one moment in time.

The confirm page and the order button both ask, for every shopper, and building seven small queries took
Django several times longer than PostgreSQL takes to answer them. Nothing is cached: a price that an operator
changes is seen by the next look.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from django.db import connection

from todoku.quote import rules


class Held(NamedTuple):
    """One line of the cart with its product as it is now (price in yen including tax)."""

    quantity: int
    product_id: int
    sku: str
    name_ja: str
    name_en: str
    price: int
    tax_class: str
    temperature: str
    parcel_size: int
    on_sale: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """A cart's version and lines, where it goes, and the shop's tables as far as they matter there."""

    version: int
    closed: bool
    #: None while the shopper has given no details.
    prefecture: str | None
    postal_code: str
    lines: list[Held]
    rates: list[rules.DatedRate]
    fees: Mapping[tuple[str, int, str], int]
    islands: Mapping[str, int]
    free_above: int | None
    #: The newest of the owner's choices (shop/chosen.py).
    chosen: int


_STATEMENT = """
SELECT cart.version,
       cart.closed_at IS NOT NULL,
       draft.prefecture,
       coalesce(draft.postal_code, ''),
       (SELECT json_agg(json_build_array(
                   line.quantity, product.id, product.sku, product.name_ja, product.name_en, product.price,
                   product.tax_class, product.temperature, product.parcel_size, product.on_sale) ORDER BY line.id)
          FROM cart_line AS line JOIN catalog_product AS product ON product.id = line.product_id
         WHERE line.cart_id = cart.id)::text,
       (SELECT json_agg(json_build_array(tax_class, starts_on, percent)) FROM quote_taxrate)::text,
       (SELECT json_agg(json_build_array(fee.region, fee.size, fee.temperature, fee.fee))
          FROM unnest(%(prefectures)s::text[], %(regions)s::text[]) AS home (prefecture, region)
          JOIN quote_shippingfee AS fee ON fee.region = home.region
         WHERE home.prefecture = draft.prefecture)::text,
       (SELECT json_agg(json_build_array(postal_prefix, fee))
          FROM quote_remoteisland WHERE starts_with(draft.postal_code, postal_prefix))::text,
       (SELECT free_above FROM quote_shippingrule WHERE id = 1),
       (SELECT coalesce(max(id), 0) FROM shop_choice)
  FROM cart_cart AS cart LEFT JOIN quote_draft AS draft ON draft.cart_id = cart.id
 WHERE cart.id = %(cart)s
"""
_HOMES = {
    "prefectures": [prefecture.name_ja for prefecture in rules.PREFECTURES],
    "regions": [prefecture.region for prefecture in rules.PREFECTURES],
}


def facts(cart_id: int) -> Facts | None:
    """Read everything that the cart's price depends on, as it is at this moment; None when there is no cart."""
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, {**_HOMES, "cart": cart_id})
        row = cursor.fetchone()
    if row is None:
        return None
    version, closed, prefecture, postal_code, lines, rates, fees, islands, free_above, newest = row
    return Facts(
        version=version,
        closed=closed,
        prefecture=prefecture,
        postal_code=postal_code,
        lines=[Held(*line) for line in _rows(lines)],
        rates=[
            rules.DatedRate(tax_class, date.fromisoformat(starts_on), percent)
            for tax_class, starts_on, percent in _rows(rates)
        ],
        fees={(region, size, temperature): fee for region, size, temperature, fee in _rows(fees)},
        islands=dict(_rows(islands)),
        free_above=free_above,
        chosen=newest,
    )


def _rows(value: str | None) -> list[list[Any]]:
    # json_agg of no rows is NULL.
    rows: list[list[Any]] = json.loads(value) if value else []
    return rows
