"""The operator's bell: a failed execution or a finding opens a case, and the case is to ring.

The case is opened in the transaction that fails the execution, with the moment at which it rings (``ring_at``), so
there is never a failure without a case nor a case without its ring. Ringing itself is done by ``todoku.ringing``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import F, Value
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from todoku.notify.models import Case

if TYPE_CHECKING:
    from todoku.engines.models import Execution
    from todoku.order.models import Order
    from todoku.ringing.models import Ring

#: What may be over in a moment, without anybody's doing, rings only if it has not healed by then.
RING_AFTER = timedelta(minutes=15)
#: The findings that tell of Stripe's own absence: while one of them is open, the orders that wait for Stripe are quiet.
STRIPE_ABSENT = ("stripe_away", "stripe_without_key")


def open_case(execution: Execution, *, code: str, step: str, why: str, technical: str) -> tuple[Case, bool]:
    """Open the order's case, or count one more failure on the open one, and say whether its cause is news.

    Must run in a transaction.
    """
    now = timezone.now()
    found = {
        "execution_id": execution.pk,
        "code": code[:64],
        "step": step[:64],
        "why": why,
        "technical": technical[:20_000],
        "failed_at": now,
    }
    again = (
        Case.objects.select_for_update()
        .filter(order_id=execution.order_id, flow=execution.flow, closed_at=None, execution__isnull=False)
        .first()
    )
    if again is None:
        return Case.objects.create(order_id=execution.order_id, flow=execution.flow, **found), True
    is_news = (again.code, again.step) != (found["code"], found["step"])
    Case.objects.filter(pk=again.pk).update(failures=F("failures") + 1, **found)
    return again, is_news


def report(
    code: str, *, about: str, why: str, technical: str = "", order: Order | None = None, step: str = ""
) -> tuple[Case, bool]:
    """Open a case for a finding that belongs to no execution, or count it once more; say whether it is news.

    Must run in a transaction. A finding that a person has closed is not opened again: ``about`` must name the
    thing itself (the refund's id, not the order's). It rings within seconds.
    """
    now = timezone.now()
    known = Case.objects.select_for_update().filter(code=code, about=about, execution=None).order_by("-id").first()
    if known is None or (known.closed_at is not None and known.closed_by == ITSELF):
        case = Case.objects.create(
            code=code[:64],
            about=about[:255],
            order=order,
            step=step[:64],
            why=why,
            technical=technical[:20_000],
            failed_at=now,
            ring_at=now,
        )
        return case, True
    if known.closed_at is None:
        Case.objects.filter(pk=known.pk).update(failures=F("failures") + 1, failed_at=now, why=why)
    return known, False


#: Who closes a finding that is no longer so.
ITSELF = "Todoku"


def withdraw(case_ids: Iterable[int]) -> int:
    """Close findings that are no longer so, and say how many; they open again should they come back."""
    return Case.objects.filter(pk__in=list(case_ids), closed_at=None, execution=None).update(
        closed_at=timezone.now(), closed_by=ITSELF
    )


def open_about(code: str, about: str) -> list[int]:
    """The ids of the open findings of a kind about a thing."""
    return list(
        Case.objects.filter(code=code, about=about, closed_at=None, execution=None).values_list("pk", flat=True)
    )


def close_case(order_id: int, flow: str = "checkout", *, by: str) -> bool:
    """Close the order's open case of this flow, if there is one, and say whether there was."""
    return bool(
        Case.objects.filter(order_id=order_id, flow=flow, closed_at=None, execution__isnull=False).update(
            closed_at=timezone.now(), closed_by=by
        )
    )


def ring_later(case_id: int, *, after: timedelta | None = None) -> None:
    """Have a case ring now, or after some time if it is still open then; in the caller's transaction."""
    at = timezone.now() + (after or timedelta())
    Case.objects.filter(pk=case_id).update(ring_at=Least(Coalesce(F("ring_at"), Value(at)), Value(at)))


def stripes_absence_is_told() -> bool:
    """Say whether a finding tells of Stripe's own absence: then not every order that waits for it has to ring."""
    return Case.objects.filter(code__in=STRIPE_ABSENT, closed_at=None, execution=None).exists()


def rings_of(case: Case) -> list[Ring]:
    """What was told of a case to whom, and what came of it, the first first; for its page."""
    return list(case.rings.select_related("channel").order_by("id"))
