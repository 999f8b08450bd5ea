"""Which channels there are: those of the settings, which always have a row, and those made in the console."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from todoku.ringing import rules
from todoku.ringing.models import Channel, named_by_settings


def ready() -> list[Channel]:
    """Give every channel that the settings name its row, and return all that may ring, in their turns.

    One that was switched off in the console stays off; one that the settings no longer name does not ring.
    """
    named = dict(named_by_settings())
    rows = {channel.from_settings: channel for channel in Channel.objects.exclude(from_settings="")}
    for place, one in named.items():
        row = rows.get(place)
        if row is None:
            _make(place, one)
        elif (row.kind, row.turn) != (one.kind, one.turn):
            Channel.objects.filter(pk=row.pk).update(kind=one.kind, turn=one.turn)
    return [one for one in Channel.objects.filter(on=True) if not one.from_settings or one.from_settings in named]


def _make(place: str, one: rules.Named) -> None:
    """Make the row of a channel that the settings name, under the first name that is free."""
    name = {rules.MAIL: "Mail", rules.SNS: "SNS"}.get(one.kind) or one.address.split("://")[0].capitalize()
    taken = set(Channel.objects.filter(name__startswith=name).values_list("name", flat=True))
    free = next(each for n in range(1, 1000) if (each := name if n == 1 else f"{name} {n}") not in taken)
    try:
        with transaction.atomic():
            Channel.objects.create(name=free, kind=one.kind, turn=one.turn, from_settings=place)
    except IntegrityError:
        # Another process has made it this moment; it is read with the rest.
        return


def named(name: str) -> list[Channel]:
    """The channel of this name, on or off; an empty list when there is none."""
    return list(Channel.objects.filter(name=name))
