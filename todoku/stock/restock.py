"""A file of deliveries and corrections: read whole, shown, and then applied as a whole, once.

Columns: ``sku``, ``delta`` (10, +10 or -1), ``reason`` (one of the known words, or a sentence).
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Sequence

from django.utils import timezone, translation
from django.utils.translation import gettext as _

from todoku.catalog.csv_table import Column, Problem, Refused, Table, code, read, text
from todoku.catalog.models import Product
from todoku.stock.count import adjust_each
from todoku.stock.models import Level, Reason, Restock

#: More than so many pieces of one product at once are a slip of the finger.
MOST = 100_000
#: The largest file that is read (bytes), and the most rows: a day's deliveries, not a whole catalogue of years.
GREATEST_FILE, MOST_ROWS = 1024 * 1024, 2000


def signed(most: int) -> Callable[[str], int]:
    """A reader of differences: whole, not nothing, with or without a sign, in digits of either width."""

    def read_cell(cell: str) -> int:
        plain = unicodedata.normalize("NFKC", cell).replace("−", "-").replace("‐", "-").replace("ー", "-")
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", plain):
            raise ValueError(
                _("%(value)s is not a difference: write 10 when ten came in, -1 when one is broken")
                % {"value": cell[:40] or "“”"}
            )
        if not 0 < abs(int(plain)) <= most:
            raise ValueError(
                _("%(value)s must be between 1 and %(most)s, or between -%(most)s and -1")
                % {"value": cell[:40], "most": most}
            )
        return int(plain)

    return read_cell


def reason(cell: str) -> tuple[str, str]:
    """Read a reason: a known word in either language, or words of the person's own."""
    words = text(200)(cell)
    for known in Reason:
        named = {str(known.value)}
        for language in ("ja", "en"):
            with translation.override(language):
                named.add(str(known.label))
        if words in named:
            return known.value, ""
    return Reason.OTHER.value, words


COLUMNS: Sequence[Column] = (
    Column("sku", code(64)),
    Column("delta", signed(MOST)),
    Column("reason", reason),
)


def look(file: str, data: bytes, *, who: str) -> Restock:
    """Read a file and keep what it says; nothing moves. Raises Refused with everything that is wrong, by line."""
    if len(data) > GREATEST_FILE:
        raise Refused(file, [Problem(None, "", _("The file is larger than %(limit)s MB.") % {"limit": 1})])
    table = read(file, data, COLUMNS)
    if len(table.rows) > MOST_ROWS:
        many = _("The file has %(rows)s rows; at most %(most)s are read at once.")
        table.refuse(None, "", many % {"rows": len(table.rows), "most": MOST_ROWS})
        table.checked()
    table.refuse_doubles("sku")
    products = {p.sku: p for p in Product.objects.filter(sku__in=[row.values.get("sku") for row in table.rows])}
    on_hand = dict(Level.objects.filter(product__in=products.values()).values_list("product_id", "on_hand"))
    _refuse_unknown(table, products, on_hand)
    rows = [
        {
            "product": products[row.values["sku"]].pk,
            "sku": row.values["sku"],
            "delta": row.values["delta"],
            "reason": row.values["reason"][0],
            "why": row.values["reason"][1],
        }
        for row in table.checked()
    ]
    return Restock.objects.create(
        file=file[:255], digest=hashlib.sha256(data).hexdigest(), encoding=table.encoding, rows=rows, who=who[:150]
    )


def _refuse_unknown(table: Table, products: dict[str, Product], on_hand: dict[int, int]) -> None:
    for row in table.rows:
        sku, delta = row.values.get("sku"), row.values.get("delta")
        if sku is not None and sku not in products:
            table.refuse(row, "sku", _("the shop has no product %(sku)s") % {"sku": sku})
        elif sku is not None and delta is not None and on_hand.get(products[sku].pk, 0) + delta < 0:
            there = on_hand.get(products[sku].pk, 0)
            table.refuse(row, "delta", _("only %(there)s are on hand") % {"there": there})


def twin(restock: Restock) -> Restock | None:
    """The very same file, applied before."""
    return (
        Restock.objects.filter(digest=restock.digest, applied_at__isnull=False)
        .exclude(pk=restock.pk)
        .order_by("-id")
        .first()
    )


class AppliedAlready(Exception):
    """This file, or the very same bytes under another upload, has been applied; names which."""

    def __init__(self, before: Restock) -> None:
        super().__init__(str(before))
        self.before = before


def apply(restock_id: int, *, who: str, again: bool = False) -> Restock:
    """Apply a file as a whole, once, in the caller's transaction.

    Raises AppliedAlready when this was done before, or when another upload of the very same bytes was and the person
    has not said that it is to be counted in ``again``; and NotEnough when something has been sold meanwhile that the
    file takes away. Then nothing moves.
    """
    # One file at a time: two uploads of the same bytes would each find that the other has not been applied.
    held = list(Restock.objects.select_for_update().filter(digest=_digest(restock_id)).order_by("id"))
    restock = next(one for one in held if one.pk == restock_id)
    if restock.applied_at is not None:
        raise AppliedAlready(restock)
    before = twin(restock)
    if before is not None and not again:
        raise AppliedAlready(before)
    adjust_each(
        {row["product"]: (row["delta"], row["reason"], row["why"]) for row in restock.rows}, who=who, restock=restock
    )
    restock.applied_at, restock.applied_by = timezone.now(), who[:150]
    restock.save(update_fields=["applied_at", "applied_by"])
    return restock


def _digest(restock_id: int) -> str:
    return Restock.objects.values_list("digest", flat=True).get(pk=restock_id)

