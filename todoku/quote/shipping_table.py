"""The shipping table as a whole: read it, say what is different, write it at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q

from todoku.quote import rules
from todoku.quote.models import ShippingFee, ShippingRule

#: A place of the table: region, temperature, size.
Place = tuple[str, str, int]


@dataclass(frozen=True)
class Table:
    """What each parcel costs, and from which goods total on it is free. A place without a fee is not sent to."""

    fees: Mapping[Place, int]
    free_above: int | None

    @property
    def print(self) -> str:
        """A short hash: another one means that somebody has changed the table."""
        rows = [[*place, fee] for place, fee in sorted(self.fees.items())]
        return hashlib.sha256(json.dumps([rows, self.free_above]).encode()).hexdigest()[:16]


def places() -> list[Place]:
    """Every place that the table can have, in the order in which it is shown."""
    return [
        (region, temperature, size)
        for temperature in rules.TEMPERATURES
        for region in rules.REGIONS
        for size in rules.SIZES
    ]


def read(*, lock: bool = False) -> Table:
    """The table as it is; with ``lock`` nobody changes its rows until the transaction ends."""
    rows = ShippingFee.objects.order_by("pk")
    rule = ShippingRule.objects.filter(pk=1)
    if lock:
        rows, rule = rows.select_for_update(), rule.select_for_update()
    fees = rows.values_list("region", "temperature", "size", "fee")
    return Table(
        fees={(region, temperature, size): fee for region, temperature, size, fee in fees},
        free_above=next(iter(rule.values_list("free_above", flat=True)), None),
    )


def different(before: Table, after: Table) -> tuple[dict[str, int | None], dict[str, int | None]]:
    """What changes, named as a person can read it later: before and after, None for a place not sent to."""
    named: dict[str, tuple[int | None, int | None]] = {
        " ".join(map(str, place)): (before.fees.get(place), after.fees.get(place))
        for place in places()
        if before.fees.get(place) != after.fees.get(place)
    }
    if before.free_above != after.free_above:
        named["free_above"] = before.free_above, after.free_above
    return {key: old for key, (old, _new) in named.items()}, {key: new for key, (_old, new) in named.items()}


def write(before: Table, after: Table) -> None:
    """Make the rows say what the table says; only those that differ are touched. Must run in a transaction."""
    gone = [place for place in before.fees if place not in after.fees]
    if gone:
        emptied = Q()
        for region, temperature, size in gone:
            emptied |= Q(region=region, temperature=temperature, size=size)
        ShippingFee.objects.filter(emptied).delete()
    ShippingFee.objects.bulk_create(
        (
            ShippingFee(region=region, temperature=temperature, size=size, fee=fee)
            for (region, temperature, size), fee in after.fees.items()
            if before.fees.get((region, temperature, size)) != fee
        ),
        update_conflicts=True,
        unique_fields=["region", "size", "temperature"],
        update_fields=["fee"],
    )
    if before.free_above != after.free_above:
        ShippingRule.objects.update_or_create(pk=1, defaults={"free_above": after.free_above})
