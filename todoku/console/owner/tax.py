"""Consumption-tax rates: what holds today, what comes, and what stays because orders have used it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from todoku.catalog.models import TaxClass
from todoku.console import acts
from todoku.console.owner.pages import may_choose, may_look, page
from todoku.console.typed import WholeField, row_number
from todoku.order.models import Order
from todoku.quote import rules
from todoku.quote.ask import JST
from todoku.quote.models import TaxRate
from todoku.shop import choose
from todoku.shop.models import Choice, Topic

#: Nobody knows a law further ahead than this.
FURTHEST = timedelta(days=366 * 20)


class RateForm(forms.Form):
    """A rate that begins on a day."""

    tax_class = forms.ChoiceField(
        label=gettext_lazy("Tax class"), choices=TaxClass.choices, widget=UnfoldAdminSelectWidget
    )
    percent = WholeField(label=gettext_lazy("Percent"), min_value=0, max_value=100)
    starts_on = forms.DateField(
        label=gettext_lazy("From"),
        widget=forms.DateInput(attrs={"type": "date", "class": "tk-day"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("Midnight in Japan. Orders keep the rate of the day on which they were placed."),
        error_messages={"invalid": gettext_lazy("Please give the day as 2027-04-01.")},
    )

    def clean(self) -> dict[str, Any]:
        """Refuse a day that has begun where a rate holds already: somebody may be ordering by it."""
        cleaned = super().clean() or self.cleaned_data
        starts_on, tax_class = cleaned.get("starts_on"), cleaned.get("tax_class")
        today = timezone.localdate(timezone=JST)
        if starts_on and starts_on > today + FURTHEST:
            self.add_error("starts_on", _("That is too far away. Please check the year."))
        elif starts_on and tax_class and starts_on <= today and _begun(tax_class, today):
            self.add_error("starts_on", _("A rate holds already. A new one can begin tomorrow at the earliest."))
        elif starts_on and tax_class and TaxRate.objects.filter(tax_class=tax_class, starts_on=starts_on).exists():
            self.add_error("starts_on", _("There is a rate from this day on. Take it away first."))
        return cleaned


def _begun(tax_class: str, today: date) -> bool:
    return TaxRate.objects.filter(tax_class=tax_class, starts_on__lte=today).exists()


def rates(request: HttpRequest) -> HttpResponse:
    """The rates, and the forms to add one or to take away one that nobody has used. Only a POST acts."""
    if not may_look(request):
        raise PermissionDenied
    if request.method != "POST":
        return _shown(request, RateForm())
    if not may_choose(request):
        raise PermissionDenied
    if "remove" in request.POST:
        _remove(request, request.POST["remove"])
        return HttpResponseRedirect(reverse("admin:shop_tax"))
    form = RateForm(request.POST)
    with transaction.atomic():
        # One at a time: two who add the same rate see each other.
        choose.alone(Topic.TAX)
        if not form.is_valid():
            return _shown(request, form, 422)
        rate = TaxRate.objects.create(**form.cleaned_data)
        _write_down(request, {}, {str(rate): rate.percent})
    messages.success(request, _("Saved. It holds from %(day)s.") % {"day": rate.starts_on})
    return HttpResponseRedirect(reverse("admin:shop_tax"))


def _remove(request: HttpRequest, typed: str) -> None:
    with transaction.atomic():
        choose.alone(Topic.TAX)
        rate = TaxRate.objects.filter(pk=row_number(typed) or 0).first()
        if rate is None:
            messages.info(request, _("This rate is gone already."))
        elif rate.pk in used(list(TaxRate.objects.all())):
            messages.warning(request, _("Orders have used this rate. It stays, and a newer one ends it."))
        else:
            _write_down(request, {str(rate): rate.percent}, {})
            rate.delete()
            messages.success(request, _("The rate was taken away."))


def _write_down(request: HttpRequest, before: dict[str, int], after: dict[str, int]) -> None:
    made = choose.write(Topic.TAX, before, after, who=request.user.get_username())
    acts.write_down(
        request, made, _("Shop settings changed: %(topic)s") % {"topic": Topic.TAX.label}, before=before, after=after
    )


def used(all_rates: list[TaxRate]) -> set[int]:
    """Which rates orders may have been placed by: those that had begun when the newest order was placed."""
    last = Order.objects.order_by("-id").values_list("placed_at", flat=True).first()
    if last is None:
        return set()
    day = timezone.localdate(last, timezone=JST)
    return {rate.pk for rate in all_rates if rate.starts_on <= day}


def _shown(request: HttpRequest, form: RateForm, status: int = 200) -> HttpResponse:
    today = timezone.localdate(timezone=JST)
    kept = list(TaxRate.objects.order_by("tax_class", "-starts_on"))
    in_use = used(kept)
    dated = [rules.DatedRate(rate.tax_class, rate.starts_on, rate.percent) for rate in kept]
    classes = []
    for tax_class in TaxClass:
        try:
            holds: int | None = rules.rate_on(dated, tax_class.value, today)
        except rules.NoTaxRate:
            holds = None
        own = [rate for rate in kept if rate.tax_class == tax_class.value]
        current = next((rate.pk for rate in own if rate.starts_on <= today), None)
        classes.append(
            {
                "name": tax_class.label,
                "holds": holds,
                "rows": [
                    {
                        "rate": rate,
                        "state": "now" if rate.pk == current else "coming" if rate.starts_on > today else "past",
                        "used": rate.pk in in_use,
                    }
                    for rate in own
                ],
            }
        )
    return page(
        request,
        "console/owner/tax.html",
        Topic.TAX.label,
        status,
        form=form,
        classes=classes,
        tomorrow=today + timedelta(days=1),
        changes=Choice.objects.filter(topic=Topic.TAX).order_by("-id")[:5],
    )
