"""Choose: write down what the owner wants from now on, beside what was before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import connection, transaction

from todoku.shop import chosen
from todoku.shop.models import Choice, Topic

#: The advisory lock of whoever is choosing ("shop" in ASCII). One at a time, so that the choices' numbers become
#: visible in their order: whoever has seen number 7 has seen number 6 too.
_CHOOSING = 0x73686F70


class Overtaken(Exception):
    """Somebody has changed this topic since the owner looked; names that change."""

    def __init__(self, newer: Choice) -> None:
        super().__init__(str(newer))
        self.newer = newer


def latest(topic: Topic) -> Choice | None:
    """The topic's newest choice."""
    return Choice.objects.filter(topic=topic).order_by("-id").first()


def choose(topic: Topic, values: Mapping[str, Any], *, who: str, seen: int) -> Choice | None:
    """Let ``values`` hold for the topic from now on; None when nothing is different.

    Must run in a transaction, with whatever else the choice changes. ``seen`` is the number of the choice that the
    owner's page showed (0 for none): raises Overtaken when there is a newer one, and then nothing is written.
    """
    newest = alone(topic)
    before = newest.after if newest is not None else {}
    if before == values:
        return None
    if newest is not None and newest.pk != seen:
        raise Overtaken(newest)
    return write(topic, before, values, who=who)


def alone(topic: Topic) -> Choice | None:
    """Let nobody else choose anything until this transaction ends, and give the topic's newest choice."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHOOSING])
    return latest(topic)


def write(topic: Topic, before: Mapping[str, Any], after: Mapping[str, Any], *, who: str) -> Choice:
    """Write the choice's row; ``alone`` must have been asked for in the same transaction."""
    made = Choice.objects.create(topic=topic, before=dict(before), after=dict(after), who=who[:150])
    chosen.forget()
    transaction.on_commit(chosen.forget)
    return made
