"""How a list of orders is narrowed down: by state, by shipment, by day, by what it was paid with, by temperature."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.catalog.models import Temperature
from todoku.fulfilment.models import Delivery
from todoku.order.models import Order, OrderLine, Status
from todoku.payment.models import Attempt, Outcome, WaitsFor

State = Delivery.State


class Finished(admin.SimpleListFilter):
    """Paid orders that are not complete yet, or those that are."""

    title = gettext_lazy("finished")
    parameter_name = "finished"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Paid orders are finished, or not yet."""
        return [("no", _("paid but unfinished")), ("yes", _("complete"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only the orders of the chosen kind."""
        if self.value() == "no":
            return queryset.filter(status__in=[Status.PAID, Status.RECORDED])
        if self.value() == "yes":
            return queryset.filter(status=Status.COMPLETE)
        return queryset


class AtTheKonbini(admin.SimpleListFilter):
    """Orders that wait to be paid at a convenience store."""

    title = gettext_lazy("convenience store")
    parameter_name = "konbini"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Waiting within the deadline, or waiting after it for Stripe's last word."""
        return [("waiting", _("waiting to be paid")), ("late", _("past the deadline, Stripe has not ended it yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only the orders of the chosen kind."""
        if self.value() not in ("waiting", "late"):
            return queryset
        attempt = Attempt.objects.filter(
            order=OuterRef("pk"), number=OuterRef("attempts"), outcome=Outcome.WAITING, waits_for=WaitsFor.KONBINI
        )
        waiting = queryset.filter(Exists(attempt), status=Status.PLACED)
        return waiting.filter(pay_by__lte=timezone.now()) if self.value() == "late" else waiting


class Shipped(admin.SimpleListFilter):
    """How far an order's parcels are."""

    title = gettext_lazy("shipment")
    parameter_name = "shipment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """To be shipped, partly, whole, or called off."""
        return [
            ("to_ship", _("to be shipped")),
            ("partly", _("partly shipped")),
            ("shipped", _("shipped")),
            ("canceled", _("called off")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only the orders of the chosen kind."""
        to_ship, shipped, canceled = (
            Exists(Delivery.objects.filter(order=OuterRef("pk"), state=state))
            for state in (State.TO_SHIP, State.SHIPPED, State.CANCELED)
        )
        kinds = {
            "to_ship": Q(to_ship),
            "partly": Q(to_ship) & Q(shipped),
            "shipped": Q(shipped) & ~Q(to_ship),
            "canceled": Q(canceled),
        }
        kind = kinds.get(self.value() or "")
        return queryset.filter(kind) if kind is not None else queryset


class Placed(admin.SimpleListFilter):
    """When orders were placed: a day or a span of days (JST), by a usual name or by two dates."""

    title = gettext_lazy("day")
    parameter_name = "day"
    template = "console/filter_days.html"

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        self.given = {key: _last(params.pop(key, "")) for key in ("from", "to")}
        self.kept = [(key, value) for key, value in request.GET.items() if key not in ("from", "to", "day", "p", "e")]
        super().__init__(request, params, model, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The usual spans."""
        return [
            ("today", _("today")),
            ("yesterday", _("yesterday")),
            ("7", _("the last 7 days")),
            ("month", _("this month")),
            ("last_month", _("last month")),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The usual spans; choosing one drops the two dates."""
        by_dates = bool(self.given["from"] or self.given["to"])
        for value, name in [(None, _("all")), *self.lookup_choices]:
            new = {} if value is None else {self.parameter_name: value}
            yield {
                "selected": not by_dates and self.value() == value,
                "query_string": changelist.get_query_string(new, ["from", "to", self.parameter_name]),
                "display": name,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only the orders of those days."""
        first, last = span(self.value() or "", self.given["from"], self.given["to"])
        return between(queryset, first, last)

    def has_output(self) -> bool:
        """It is always there: every shop has days."""
        return True


def _last(value: Any) -> str:
    """The last of an address's values; Django hands them over as a list."""
    return str((value[-1] if value else "") if isinstance(value, list) else value)[:10]


def span(day: str, first: str, last: str) -> tuple[date | None, date | None]:
    """The first and the last day of what was chosen: two dates, or the usual name of a span."""
    if first or last:
        return _day(first), _day(last)
    today = timezone.localdate()
    month = today.replace(day=1)
    before = month - timedelta(days=1)
    return {
        "today": (today, today),
        "yesterday": (today - timedelta(days=1),) * 2,
        "7": (today - timedelta(days=6), today),
        "month": (month, today),
        "last_month": (before.replace(day=1), before),
    }.get(day, (None, None))


def _day(typed: str) -> date | None:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        return None


def between(orders: QuerySet[Order], first: date | None, last: date | None) -> QuerySet[Order]:
    """The orders that were placed on these days of the shop's time zone; a day left out sets no bound."""
    zone = timezone.get_default_timezone()
    if first is not None:
        orders = orders.filter(placed_at__gte=datetime.combine(first, time.min, zone))
    if last is not None and last < date.max:
        orders = orders.filter(placed_at__lt=datetime.combine(last + timedelta(days=1), time.min, zone))
    return orders


class PaidWith(admin.SimpleListFilter):
    """What an order is paid with."""

    title = gettext_lazy("payment method")
    parameter_name = "paid_with"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """A card, or a convenience store."""
        return [("card", _("card")), ("konbini", _("convenience store"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only the orders of the chosen kind."""
        if self.value() not in ("card", "konbini"):
            return queryset
        return queryset.filter(
            Exists(Attempt.objects.filter(order=OuterRef("pk"), number=OuterRef("attempts"), method=self.value()))
        )


class Kept(admin.SimpleListFilter):
    """How an order's goods must be kept."""

    title = gettext_lazy("temperature")
    parameter_name = "temperature"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The three temperatures."""
        return list(Temperature.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only orders that have goods of this temperature."""
        if self.value() not in Temperature.values:
            return queryset
        return queryset.filter(Exists(OrderLine.objects.filter(order=OuterRef("pk"), temperature=self.value())))
