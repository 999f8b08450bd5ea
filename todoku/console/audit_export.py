"""Take the audit log away: all of it as CSV, or the list of whose data somebody was shown.

The second answers the question that the law asks after a leak (who was touched, when, by whom). Both are POSTs,
because an export is an act, and both are written down themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from todoku.audit.models import Entry
from todoku.console import acts, csv_out, labels, roles
from todoku.console.templatetags.console import jst_seconds
from todoku.order.models import Order

#: The acts by which somebody gets to see customers' data.
SHOWS = ("looked", "exported")


def _day() -> forms.DateInput:
    return forms.DateInput(format="%Y-%m-%d", attrs={"type": "date", "class": "tk-day"})


class TouchedForm(forms.Form):
    """From when to when (days in Japan, both included), and by whom."""

    since = forms.DateField(label=gettext_lazy("First day"), required=False, widget=_day())
    until = forms.DateField(label=gettext_lazy("Last day"), required=False, widget=_day())
    person = forms.ModelChoiceField(
        User.objects.order_by("username"),
        label=gettext_lazy("Person"),
        required=False,
        empty_label=gettext_lazy("everybody"),
        widget=UnfoldAdminSelectWidget,
    )

    def entries(self) -> QuerySet[Entry]:
        """The lines of the log within these bounds, the oldest first."""
        rows = Entry.objects.order_by("id")
        if since := self.cleaned_data.get("since"):
            rows = rows.filter(at__gte=_midnight(since))
        if (until := self.cleaned_data.get("until")) and until < date.max:
            rows = rows.filter(at__lt=_midnight(until) + timedelta(days=1))
        if person := self.cleaned_data.get("person"):
            rows = rows.filter(user_id=person.pk)
        return rows


def may_export(request: HttpRequest) -> bool:
    """Say whether the operator may take the log away."""
    return bool(request.user.has_perm("audit.export_entry"))


def acts_view(request: HttpRequest) -> HttpResponseBase:
    """Every line within the bounds."""
    head = [
        *("number", "time (UTC)", "time (JST)", "who", "role", "IP", "act", "what", "thing", "orders"),
        *("before", "after", "reason", "seal"),
    ]

    def rows(entries: QuerySet[Entry]) -> Iterator[list[Any]]:
        yield head
        for entry in entries.iterator(chunk_size=2000):
            yield [
                entry.number, entry.at.isoformat(), jst_seconds(entry.at), entry.who, entry.role, entry.ip,
                labels.act(entry.act), entry.what, entry.named, " ".join(entry.orders), entry.before, entry.after,
                entry.reason, entry.seal,
            ]  # fmt: skip

    return _export(request, rows, "audit", _("Audit log exported"))


def touched_view(request: HttpRequest) -> HttpResponseBase:
    """Whose data were shown within the bounds: one row for every order and every look."""

    def rows(entries: QuerySet[Entry]) -> Iterator[list[Any]]:
        yield ["time (JST)", "who", "role", "IP", "act", "order", "customer", "mail"]
        some: list[Entry] = []
        for entry in entries.filter(act__in=SHOWS).iterator(chunk_size=500):
            some.append(entry)
            if len(some) == 500:
                yield from _people(some)
                some = []
        yield from _people(some)

    return _export(request, rows, "touched", _("List of persons whose data were shown, exported"))


def _people(entries: list[Entry]) -> Iterator[list[Any]]:
    numbers = {number for entry in entries for number in entry.orders}
    people = {
        number: (name, email)
        for number, name, email in Order.objects.filter(number__in=numbers).values_list("number", "name", "email")
    }
    for entry in entries:
        for number in entry.orders:
            yield [
                jst_seconds(entry.at), entry.who, roles.name_of(entry.role), entry.ip, labels.act(entry.act), number,
                *people.get(number, ("", "")),
            ]  # fmt: skip


def _export(request: HttpRequest, rows: Any, name: str, what: str) -> HttpResponseBase:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not may_export(request):
        raise PermissionDenied
    form = TouchedForm(request.POST)
    if not form.is_valid():
        return HttpResponseRedirect(reverse("admin:audit_entry_changelist"))
    with transaction.atomic():
        bounds = {key: str(value) for key, value in form.cleaned_data.items() if value}
        acts.write_down(request, None, what, act="exported", after=bounds)
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M")
    return csv_out.answer(rows(form.entries()), f"{name}-{stamp}.csv")


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - made aware at once
