"""Movements as the rows of a file: the newest last, a piece at a time, so that a year of them fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from todoku.database import let_go
from todoku.stock.models import Movement, Reason

JST = ZoneInfo("Asia/Tokyo")
#: So many rows are read at a time.
PIECE = 2000


def rows(*, sku: str = "", since: date | None = None, until: date | None = None) -> Iterator[tuple[object, ...]]:
    """Give the rows of the file, the columns' names first."""
    yield (
        _("at"), _("SKU"), _("product"), _("kind"), _("on hand"), _("held for orders"), _("sold"), _("order"), _("who"),
        _("reason"), _("In your own words"), _("file"),
    )  # fmt: skip
    reasons = {reason.value: str(reason.label) for reason in Reason}
    kinds = {kind: str(label) for kind, label in Movement._meta.get_field("kind").flatchoices}
    wanted = Movement.objects.order_by("id")
    if sku:
        wanted = wanted.filter(product__sku=sku)
    if since is not None:
        wanted = wanted.filter(at__gte=datetime.combine(since, time(), JST))
    if until is not None and until < date.max:
        wanted = wanted.filter(at__lt=datetime.combine(until + timedelta(days=1), time(), JST))
    columns = (
        "id", "at", "product__sku", "product__name_ja", "kind", "on_hand", "reserved", "sold", "order__number", "who",
        "reason", "why", "restock__file",
    )  # fmt: skip

    def told(code: str, name: str, kind: str, *more: object) -> tuple[object, ...]:
        on_hand, held, sold, order, who, reason, why, file = more
        reason = reasons.get(str(reason), reason)
        return code, name, kinds.get(kind, kind), on_hand, held, sold, order or "", who, reason, why, file or ""

    last = 0
    while True:
        piece = list(wanted.filter(id__gt=last).values_list(*columns)[:PIECE])
        for number, at, *numbers_and_names in piece:
            last = number
            yield f"{at.astimezone(JST):%Y-%m-%d %H:%M:%S}", *told(*numbers_and_names)
        # Whoever fetches the file slowly keeps no connection from anybody else.
        let_go()
        if len(piece) < PIECE:
            return
