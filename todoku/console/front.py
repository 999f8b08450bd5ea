"""The console's front page: what needs a person now, the oldest first. Counts come from indexes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from todoku.console import labels
from todoku.console.readonly import address
from todoku.console.sidebar import may_see
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.stock import low

#: Cases, parcels and products that the page names; there may be more behind the link.
MOST = 10


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
    """Gather what the front page shows, and only what this operator may see."""
    found: dict[str, Any] = {"now": timezone.now(), "most": MOST}
    if may_see(request, "notify", "case"):
        open_cases = Case.objects.filter(closed_at=None)
        found["cases"] = [
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
            # The index on (closed_at, id) read backwards: the oldest open case first.
            for case in open_cases.select_related("order").order_by("-closed_at", "id")[:MOST]
        ]
        found["case_count"] = open_cases.count() if len(found["cases"]) == MOST else len(found["cases"])
    if may_see(request, "order", "order"):
        found["unfinished"] = Order.objects.filter(status__in=[Status.PAID, Status.RECORDED]).count()
        found["in_payment"] = Order.objects.filter(status=Status.PLACED).count()
    if may_see(request, "fulfilment", "delivery"):
        to_ship = Delivery.objects.filter(state=Delivery.State.TO_SHIP)
        found["parcels"] = list(to_ship.select_related("order").order_by("-state", "id")[:MOST])
        found["parcel_count"] = to_ship.count() if len(found["parcels"]) == MOST else len(found["parcels"])
    if may_see(request, "stock", "level"):
        found["running_out"] = low.running_out(MOST)
    found["all_is_well"] = not (found.get("cases") or found.get("unfinished"))
    return found
