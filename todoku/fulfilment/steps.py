"""What a flow may ask of fulfilment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from todoku.fulfilment.models import Delivery
from todoku.quote.models import DETAIL_FIELDS

if TYPE_CHECKING:
    from todoku.order.models import Order


def write_slips(order: Order) -> int:
    """Write a delivery slip for each parcel of the order; return how many. Must run in a transaction."""
    lines = list(order.lines.all())
    details = {name: getattr(order, name) for name in DETAIL_FIELDS}
    slips = []
    seen: set[str] = set()
    for number, parcel in enumerate(order.parcels, start=1):
        temperature = parcel["temperature"]
        contents = [
            {
                "sku": line.sku,
                "name_ja": line.name_ja,
                "name_en": line.name_en,
                "quantity": line.quantity,
            }
            for line in lines
            if line.temperature == temperature and temperature not in seen
        ]
        seen.add(temperature)
        slips.append(
            Delivery(
                order=order,
                number=number,
                temperature=temperature,
                size=parcel["size"],
                contents=contents,
                **details,
            )
        )
    Delivery.objects.bulk_create(slips)
    return len(slips)
