"""Every act of an operator is written down: who, in which role, when, from where, on what, and what came of it.

What is written goes into the audit log (``todoku.audit``), in the act's own transaction: an act that cannot be
written down is not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from todoku.audit.models import Entry
from todoku.audit.write import write
from todoku.console import roles, where

#: Somebody who looks at the same order again within this time is written down once.
LOOKS_ONCE_IN = timedelta(hours=1)
#: Numbers of orders in one line of the log.
MOST_IN_A_LINE = 1000


def write_down(
    request: HttpRequest,
    thing: Model | None,
    what: str,
    *,
    act: str = "changed",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
    orders: Iterable[str] = (),
) -> None:
    """Write down what the operator has just done; call it in the act's own transaction.

    ``act`` is a key of ``labels.ACTS``, by which the log can be filtered. ``before`` and ``after`` are the facts that
    changed. ``orders`` are the numbers of the orders that were touched, when ``thing`` does not lead to them itself.
    No secret and no card belongs in here, and personal data only masked (``masking.masked``).
    """
    assert connection.in_atomic_block, "an act and its line in the audit log belong in one transaction"
    assert request.user.pk is not None
    write(
        who=request.user.get_username(),
        user=request.user,
        role=roles.role_of(request.user),
        ip=where.ip(request),
        act=act,
        what=what,
        thing=thing,
        orders=list(orders) or orders_of(thing),
        before=before,
        after=after,
        reason=reason,
    )


def looked_at(request: HttpRequest, thing: Model | None, orders: Iterable[str] = (), *, what: str = "") -> None:
    """Write down that the operator was shown personal data: of this thing's order, or of these orders.

    Call it only when the operator may see personal data (``masking.may_see_any``). The same orders are written down
    once an hour for one person.
    """
    assert request.user.pk is not None
    touched = list(orders) or orders_of(thing)
    known = Entry.objects.filter(
        user_id=request.user.pk,
        act="looked",
        at__gt=timezone.now() - LOOKS_ONCE_IN,
        kind=thing._meta.label_lower if thing is not None else "",
        object_id=str(thing.pk) if thing is not None else "",
        **({} if thing is not None else {"orders": touched}),
    )
    if (touched or thing is not None) and not known.exists():
        write(
            who=request.user.get_username(),
            user=request.user,
            role=roles.role_of(request.user),
            ip=where.ip(request),
            act="looked",
            what=what,
            thing=thing,
            orders=touched,
        )


def exported(request: HttpRequest, what: str, orders: Iterable[str]) -> None:
    """Write down that these orders' data were taken away, in one transaction; a long list becomes several lines."""
    numbers = list(orders)
    for start in range(0, max(1, len(numbers)), MOST_IN_A_LINE):
        write_down(request, None, what, act="exported", orders=numbers[start : start + MOST_IN_A_LINE])


def acts_on(thing: Model, most: int = 20) -> QuerySet[Entry]:
    """What operators have done to this thing, the newest first; that somebody looked at it is not an act."""
    return (
        Entry.objects.filter(kind=thing._meta.label_lower, object_id=str(thing.pk))
        .exclude(act="looked")
        .order_by("-id")[:most]
    )


def acts_on_order(number: str, most: int = 50) -> QuerySet[Entry]:
    """What operators have done to an order and to all that belongs to it, the newest first."""
    return Entry.objects.filter(orders__contains=[number]).exclude(act="looked").order_by("-id")[:most]


def orders_of(thing: Model | None) -> list[str]:
    """The number of the order that the thing is or belongs to."""
    order = thing if thing is not None and thing._meta.label == "order.Order" else getattr(thing, "order", None)
    number = getattr(order, "number", None)
    return [number] if isinstance(number, str) else []
