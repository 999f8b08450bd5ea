"""The carriers' files: parcels out for their slips, tracking numbers in. A person sees first what will be done."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldBooleanWidget

from todoku.catalog.csv_table import Refused
from todoku.catalog.models import Temperature
from todoku.console import acts, masking
from todoku.console.ship import Came, Shipment, may_ship, ship
from todoku.console.typed import row_number
from todoku.fulfilment import carrier_csv, tracking_csv
from todoku.fulfilment.models import CARRIERS, Delivery, carrier_name
from todoku.shop import chosen

#: So many parcels go into one file.
MOST_IN_FILE = 500
#: So many rows of a list are shown; the others are counted.
MOST_SHOWN = 100
#: A preview can be applied for so long (seconds).
PREVIEW_LIVES = 3600
SALT = "todoku.tracking"

WithFiles = [(code, name) for code, name in CARRIERS if code in ("yamato", "sagawa")]


class ExportForm(forms.Form):
    """For which carrier, and which parcels."""

    carrier = forms.ChoiceField(label=gettext_lazy("Carrier"), choices=WithFiles, widget=UnfoldAdminSelectWidget)
    temperature = forms.ChoiceField(
        label=gettext_lazy("Temperature"),
        choices=[("", gettext_lazy("all")), *Temperature.choices],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )
    again = forms.BooleanField(
        label=gettext_lazy("Also parcels that are in a file already"), required=False, widget=UnfoldBooleanWidget
    )
    #: The parcels by name, when they were ticked in the list or have been shown.
    ids = forms.CharField(required=False, widget=forms.HiddenInput)


class TrackingForm(forms.Form):
    """The carrier's file with the tracking numbers."""

    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        allow_empty_file=True,
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.txt"}),
    )
    carrier = forms.ChoiceField(
        label=gettext_lazy("Carrier"),
        choices=[("", gettext_lazy("as the file's columns say")), *CARRIERS],
        required=False,
        widget=UnfoldAdminSelectWidget,
    )


def carrier_urls(site: admin.AdminSite) -> list[URLPattern]:
    """The pages' addresses, among those of the deliveries."""

    def export(request: HttpRequest) -> HttpResponse:
        return export_view(request, site)

    def tracking(request: HttpRequest) -> HttpResponse:
        return tracking_view(request, site)

    return [
        path("carrier-file/", site.admin_view(export), name="fulfilment_delivery_export"),
        path("tracking/", site.admin_view(tracking), name="fulfilment_delivery_tracking"),
        path("tracking/apply/", site.admin_view(apply_view), name="fulfilment_delivery_tracking_apply"),
    ]


def _allow(request: HttpRequest) -> None:
    if not may_ship(request):
        raise PermissionDenied


# Out -----------------------------------------------------------------------------------------------------------


def export_view(request: HttpRequest, site: admin.AdminSite) -> HttpResponse:
    """Show what a carrier's file would have in it; a POST writes it and notes who did."""
    _allow(request)
    if not masking.may_see(request, "address"):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(["GET", "POST"])
    given = request.POST if request.method == "POST" else request.GET
    form = ExportForm({"carrier": "yamato", **{key: given[key] for key in given}})
    if not form.is_valid():
        form = ExportForm({"carrier": "yamato"})
        form.is_valid()
    asked = form.cleaned_data
    now = timezone.now()
    with transaction.atomic():
        parcels = _chosen(asked, hold=request.method == "POST")
        written = carrier_csv.write(
            asked["carrier"], map(_label, parcels[:MOST_IN_FILE]), _sender(asked["carrier"]), timezone.localdate(now)
        )
        if request.method == "POST" and parcels:
            return _download(request, asked["carrier"], parcels, written)
    more = Delivery.objects.filter(state=Delivery.State.TO_SHIP, exported_at__isnull=False).count()
    return TemplateResponse(
        request,
        "console/carrier_file.html",
        {
            **site.each_context(request),
            "title": _("A file for the carrier"),
            "form": form,
            "carrier": carrier_name(asked["carrier"]),
            "parcels": parcels[:MOST_SHOWN],
            "count": min(len(parcels), MOST_IN_FILE),
            "too_many": len(parcels) > MOST_IN_FILE,
            "most": MOST_IN_FILE,
            "notes": written.notes[:MOST_SHOWN],
            "note_count": len(written.notes),
            "written_before": more,
            "ids": ",".join(str(parcel.pk) for parcel in parcels[:MOST_IN_FILE]),
            "no_code": not _sender(asked["carrier"]).customer_code,
            "pressed": request.method == "POST",
        },
        status=409 if request.method == "POST" else 200,
    )


def _chosen(asked: dict[str, Any], *, hold: bool) -> list[Delivery]:
    """The parcels for the file; held when they are about to be written, so that two files never have the same."""
    rows: QuerySet[Delivery] = (
        Delivery.objects.filter(state=Delivery.State.TO_SHIP).select_related("order").order_by("id")
    )
    if hold:
        rows = rows.select_for_update(of=("self",), no_key=True)
    if asked["ids"]:
        named = asked["ids"].split(",")[:MOST_IN_FILE]
        rows = rows.filter(pk__in=[number for one in named if (number := row_number(one)) is not None])
    if asked["temperature"]:
        rows = rows.filter(temperature=asked["temperature"])
    if not asked["again"]:
        rows = rows.filter(exported_at=None)
    return list(rows[: MOST_IN_FILE + 1])


def _sender(carrier: str) -> carrier_csv.Sender:
    """Who sends: the seller, as the legal notice has it, and under the carrier's number for them."""
    facts = chosen.now().seller("ja")
    found = re.match(r"〒?\s*([0-9]{3})-?([0-9]{4})\s*(.*)", facts["address"], re.S)
    return carrier_csv.Sender(
        name=facts["name"],
        postal_code=f"{found[1]}{found[2]}" if found else "",
        address=found[3] if found else facts["address"],
        phone=facts["phone"],
        customer_code=settings.CARRIER_CODES.get(carrier, ""),
        tariff=settings.YAMATO_TARIFF,
    )


def _label(parcel: Delivery) -> carrier_csv.Parcel:
    return carrier_csv.Parcel(
        name_in_shop=f"{parcel.order.number}-{parcel.number}",
        temperature=parcel.temperature,
        name=parcel.name,
        kana=parcel.kana,
        phone=parcel.phone,
        postal_code=parcel.postal_code,
        prefecture=parcel.prefecture,
        city=parcel.city,
        street=parcel.street,
        building=parcel.building,
        goods=tuple(str(thing.get("name_ja", "")) for thing in parcel.contents) or ("商品",),
        wished_on=parcel.wished_on,
    )


def _download(
    request: HttpRequest, carrier: str, parcels: list[Delivery], written: carrier_csv.Written
) -> HttpResponse:
    """Answer with the file, and note on the parcels and in the log who has it. Their state stays as it is."""
    now = timezone.now()
    Delivery.objects.filter(pk__in=[parcel.pk for parcel in parcels[:MOST_IN_FILE]]).update(
        exported_at=now, exported_by=request.user.get_username()[:150], exported_to=carrier
    )
    acts.write_down(
        request,
        None,
        _("%(n)s parcels written into a file for %(carrier)s") % {"n": written.rows, "carrier": carrier_name(carrier)},
        act="exported",
        orders=list(dict.fromkeys(parcel.order.number for parcel in parcels[:MOST_IN_FILE])),
    )
    name = f"{carrier}-{timezone.localtime(now):%Y%m%d-%H%M%S}.csv"
    return HttpResponse(
        written.data,
        content_type="text/csv; charset=Shift_JIS",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


# In ------------------------------------------------------------------------------------------------------------


def tracking_view(request: HttpRequest, site: admin.AdminSite) -> HttpResponse:
    """Take a file with tracking numbers and show what it would do; nothing is done yet."""
    _allow(request)
    context = {**site.each_context(request), "title": _("Tracking numbers from a file"), "form": TrackingForm()}
    template = "console/tracking.html"
    if request.method in ("GET", "HEAD"):
        return TemplateResponse(request, template, context)
    if request.method != "POST":
        return HttpResponseNotAllowed(["GET", "POST"])
    form = TrackingForm(request.POST, request.FILES)
    context["form"] = form
    if not form.is_valid():
        return TemplateResponse(request, template, context, status=422)
    file = form.cleaned_data["file"]
    name = str(file.name)[:100]
    # One byte more than may be: that is enough to refuse it, and no more is read into memory.
    data = file.read(tracking_csv.GREATEST_FILE + 1)
    try:
        seen = tracking_csv.preview(name, data, form.cleaned_data["carrier"])
    except Refused as refused:
        return TemplateResponse(request, template, {**context, "refused": refused, "file": name}, status=422)
    rows = [
        [found.delivery.pk, found.delivery.order_id, found.line.carrier, found.line.number] for found in seen.matched
    ]
    return TemplateResponse(
        request,
        template,
        {
            **context,
            "seen": seen,
            "matched": seen.matched[:MOST_SHOWN],
            "token": signing.dumps({"who": request.user.pk, "rows": rows}, salt=SALT, compress=True) if rows else "",
        },
    )


def apply_view(request: HttpRequest) -> HttpResponse:
    """Mark the previewed parcels as shipped, each order in a transaction of its own; a second press changes nothing."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    _allow(request)
    again = HttpResponseRedirect(reverse("admin:fulfilment_delivery_tracking"))
    try:
        seen = signing.loads(request.POST.get("token", ""), salt=SALT, max_age=PREVIEW_LIVES)
    except signing.BadSignature:
        messages.error(
            request, _("The preview is too old or not whole. Please choose the file again; nothing was changed.")
        )
        return again
    if seen["who"] != request.user.pk:
        raise PermissionDenied
    orders: dict[int, list[Shipment]] = {}
    for delivery, order, carrier, number in seen["rows"]:
        orders.setdefault(order, []).append(Shipment(delivery, carrier, number))
    came = [one for order in sorted(orders) for one in ship(request, order, orders[order]).values()]
    _tell(request, came)
    return HttpResponseRedirect(reverse("admin:fulfilment_delivery_changelist"))


def _tell(request: HttpRequest, came: list[Came]) -> None:
    done, already, called_off = (came.count(one) for one in (Came.DONE, Came.ALREADY, Came.CALLED_OFF))
    if done:
        said = ngettext(
            "%(n)d parcel is marked as shipped; its customer gets a mail.",
            "%(n)d parcels are marked as shipped; their customers get a mail each.",
            done,
        )
        messages.success(request, said % {"n": done})
    if already:
        said = ngettext(
            "%(n)d parcel had been marked before; nothing was changed about it.",
            "%(n)d parcels had been marked before; nothing was changed about them.",
            already,
        )
        messages.info(request, said % {"n": already})
    if called_off:
        said = ngettext(
            "%(n)d parcel has been called off meanwhile: do not send it.",
            "%(n)d parcels have been called off meanwhile: do not send them.",
            called_off,
        )
        messages.error(request, said % {"n": called_off})
