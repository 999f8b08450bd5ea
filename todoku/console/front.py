"""The console's front page: what needs a person now, and how the shop is doing.

The page is two parts that are asked for anew while somebody looks: what needs a person every few seconds, the
numbers more seldom. Both ask only bounded questions that an index answers, and show what the role may see.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Case, Count, F, Min, Q, Sum, Value, When
from django.db.models.functions import TruncHour
from django.http import HttpRequest
from django.utils import timezone

from todoku.console import drawn, figures, labels, masking
from todoku.console.readonly import address
from todoku.console.sidebar import may_see
from todoku.fulfilment.models import Delivery
from todoku.gateways import breaker
from todoku.notify.models import Case as OperatorCase
from todoku.order.models import Order, Status
from todoku.payment.models import Outcome, WaitsFor
from todoku.reconciliation.models import Run
from todoku.refund.models import Refund, State
from todoku.stock import low

#: Cases, parcels and products that the page names; there may be more behind the link.
MOST = 10
#: Paid, and not yet arrived: the cases that come first.
_UNFINISHED = Q(order__status__in=[Status.PAID, Status.RECORDED])


@dataclass(frozen=True)
class OpenCase:
    """One case, as the front page tells it."""

    #: The order's number, or what a finding without an order is about.
    number: str
    total: int | None
    paid: bool
    step: str
    reason: str
    opened_at: datetime
    failures: int
    link: str


def what_needs_a_person(request: HttpRequest) -> dict[str, Any]:
    """Gather what needs a person now, and only what this operator may see."""
    found: dict[str, Any] = {"now": timezone.now(), "most": MOST}
    if may_see(request, "notify", "case"):
        found |= _cases()
    if may_see(request, "order", "order"):
        found |= _orders()
    if may_see(request, "refund", "refund"):
        found["refunds_waiting"] = Refund.objects.filter(state=State.REQUESTED).count()
    if may_see(request, "fulfilment", "delivery"):
        to_ship = Delivery.objects.filter(state=Delivery.State.TO_SHIP)
        found["parcels"] = list(to_ship.select_related("order").order_by("-state", "id")[:MOST])
        for parcel in found["parcels"]:
            parcel.name = masking.shown(request, "name", parcel.name)
        found["parcel_count"] = to_ship.count()
    if may_see(request, "stock", "level"):
        found["running_out"] = low.running_out(MOST)
    if may_see(request, "reconciliation", "run"):
        found["run"] = Run.objects.exclude(ended_at=None).order_by("-id").first()
        found["stripe"] = breaker.standing()
    found["all_is_well"] = not (found.get("cases") or found.get("unfinished"))
    found["sees_nothing"] = not {"cases", "unfinished", "parcels", "running_out", "run"} & set(found)
    return found


def how_it_goes(request: HttpRequest) -> dict[str, Any]:
    """Gather the shop's numbers, for whoever may see its orders."""
    if not may_see(request, "order", "order"):
        return {}
    return drawn.draw(figures.count(payments=may_see(request, "payment", "attempt")))


def _cases() -> dict[str, Any]:
    """Paid orders that have not arrived on top, then hour by hour the oldest, and of one hour the dearest."""
    open_cases = OperatorCase.objects.filter(closed_at=None)
    shown = (
        open_cases.select_related("order")
        .defer("technical")
        .annotate(urgent=Case(When(_UNFINISHED, then=Value(True)), default=Value(False), output_field=BooleanField()))
        .order_by("-urgent", TruncHour("opened_at"), F("order__total").desc(nulls_last=True), "id")[:MOST]
    )
    return {
        "cases": [
            OpenCase(
                number=case.order.number if case.order is not None else case.about,
                total=case.order.total if case.order is not None else None,
                paid=case.order is not None and case.order.paid_at is not None,
                step=labels.state(case.step) if case.step else "",
                reason=labels.reason(case.code, case.step, case.why),
                opened_at=case.opened_at,
                failures=case.failures,
                link=address(case),
            )
            for case in shown
        ],
        "case_count": open_cases.count(),
    }


def _orders() -> dict[str, Any]:
    """Count the orders that are under way, and what waits to be paid at a convenience store."""
    at_konbini = Q(payment_attempts__outcome=Outcome.WAITING, payment_attempts__waits_for=WaitsFor.KONBINI)
    now = timezone.now()
    counted = Order.objects.filter(
        Q(status=Status.PLACED, payment_attempts__number=F("attempts"))
        | Q(status__in=[Status.PAID, Status.RECORDED], payment_attempts__number=F("attempts"))
    ).aggregate(
        unfinished=Count("id", filter=Q(status__in=[Status.PAID, Status.RECORDED])),
        in_payment=Count("id", filter=Q(status=Status.PLACED) & ~at_konbini),
        konbini=Count("id", filter=Q(status=Status.PLACED) & at_konbini),
        konbini_yen=Sum("total", filter=Q(status=Status.PLACED) & at_konbini, default=0),
        konbini_next=Min("pay_by", filter=Q(status=Status.PLACED, pay_by__gt=now) & at_konbini),
    )
    # A shop without an order is welcomed, not measured.
    return {**counted, "fresh": not any(counted.values()) and not Order.objects.exists()}
