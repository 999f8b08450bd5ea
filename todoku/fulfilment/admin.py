"""Deliveries in the operator's console: what is to be shipped, and that it was."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, Model, QuerySet, Value
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from todoku.console import destination, labels, masking, paper
from todoku.console.carrier_pages import carrier_urls
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.ship import (
    Came,
    RenumberForm,
    Shipment,
    ShippedForm,
    TakeBackForm,
    may_ship,
    of_today,
    renumber,
    ship,
    take_back,
    tell,
    told,
)
from todoku.console.templatetags.console import jst
from todoku.fulfilment.models import Delivery, carrier_name

State = Delivery.State


class Exported(admin.SimpleListFilter):
    """Parcels that are in a carrier's file already, or not yet."""

    title = gettext_lazy("carrier's file")
    parameter_name = "exported"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """In a file, or in none."""
        return [("no", _("not written yet")), ("yes", _("written into a file"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> QuerySet[Delivery]:
        """Only the parcels of the chosen kind."""
        if self.value() in ("no", "yes"):
            return queryset.filter(exported_at__isnull=self.value() == "no")
        return queryset


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Parcels: those to be shipped first, the oldest of them on top."""

    list_before_template = "console/deliveries_links.html"
    shows_personal_data = lists_personal_data = True
    detail_template = "console/delivery.html"
    detail_select_related = ("order",)
    list_display = ("parcel", "status", "who", "where", "wished_on", "kept", "tracking_number", "written")
    list_select_related = ("order",)
    list_filter = ("state", "temperature", Exported)
    ordering = ("-state", "id")
    search_fields = ("=order__number", "=tracking_number")
    search_help_text = gettext_lazy("Order number or tracking number")
    actions = ("print_slips", "print_slips_with_prices", "print_picking", "write_for_carrier")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may mark parcels as shipped."""
        return may_ship(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Bring along what this operator may see of a person."""
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.annotate(whole=Value(masking.may_see(request, "name"), output_field=BooleanField()))

    def get_urls(self) -> list[URLPattern]:
        """The acts on a parcel, the pages for paper, and the carriers' files."""
        guard = self.admin_site.admin_view
        return [
            path("<int:pk>/ship/", guard(self.ship_view), name="fulfilment_delivery_ship"),
            path("<int:pk>/renumber/", guard(self.renumber_view), name="fulfilment_delivery_renumber"),
            path("<int:pk>/take-back/", guard(self.take_back_view), name="fulfilment_delivery_take_back"),
            path("picking/", guard(paper.picking), name="fulfilment_delivery_picking"),
            path("slips/", guard(paper.slips), name="fulfilment_delivery_slips"),
            *carrier_urls(self.admin_site),
            *super().get_urls(),
        ]

    # What is done with the ticked parcels: each leads to a page, and none acts by itself. ------------------------

    @admin.action(description=gettext_lazy("Print delivery slips"), permissions=["view"])
    def print_slips(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        """Go to the slips of the ticked parcels' orders."""
        return paper.go(request, "admin:fulfilment_delivery_slips", _ids(chosen))

    @admin.action(description=gettext_lazy("Print delivery slips with prices"), permissions=["view"])
    def print_slips_with_prices(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        """Go to the slips of the ticked parcels' orders, with prices."""
        return paper.go(request, "admin:fulfilment_delivery_slips", _ids(chosen), prices="1")

    @admin.action(description=gettext_lazy("Print a picking list"), permissions=["view"])
    def print_picking(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        """Go to the picking list of the ticked parcels."""
        return paper.go(request, "admin:fulfilment_delivery_picking", _ids(chosen))

    @admin.action(description=gettext_lazy("Write a file for the carrier"), permissions=["change"])
    def write_for_carrier(self, request: HttpRequest, chosen: QuerySet[Delivery]) -> HttpResponse | None:
        """Go to the page that writes the ticked parcels into a carrier's file."""
        return paper.go(request, "admin:fulfilment_delivery_export", _ids(chosen))

    # The acts on one parcel. ------------------------------------------------------------------------------------

    def ship_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Mark the parcel as shipped. Only a POST acts, and only once."""
        delivery = self._to_act_on(request, pk)
        if isinstance(delivery, HttpResponse):
            return delivery
        form = ShippedForm(request.POST)
        if delivery.state == State.TO_SHIP and not form.is_valid():
            return self.show(request, delivery, status=422, form=form)
        came = Came.ALREADY if delivery.state == State.SHIPPED else Came.CALLED_OFF
        if form.is_valid():
            came = ship(request, delivery.order_id, [Shipment(delivery.pk, **form.cleaned_data)])[delivery.pk]
        tell(request, came, told(1))
        return self._on(request, delivery)

    def renumber_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Correct the tracking number of a parcel that has left. Only a POST acts."""
        delivery = self._to_act_on(request, pk)
        if isinstance(delivery, HttpResponse):
            return delivery
        form = RenumberForm(request.POST)
        if not form.is_valid():
            return self.show(request, delivery, status=422, renumber_form=form, renumber_open=True)
        tell(request, renumber(request, delivery, **form.cleaned_data), _("The tracking number is corrected."))
        return self._on(request, delivery)

    def take_back_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Mark a parcel of today as not shipped after all. Only a POST acts."""
        delivery = self._to_act_on(request, pk)
        if isinstance(delivery, HttpResponse):
            return delivery
        form = TakeBackForm(request.POST)
        if not form.is_valid():
            return self.show(request, delivery, status=422, take_back_form=form, take_back_open=True)
        done = _("The parcel is to be shipped again. If the customer has had the mail already, please tell them.")
        tell(request, take_back(request, delivery, **form.cleaned_data), done)
        return self._on(request, delivery)

    def _to_act_on(self, request: HttpRequest, pk: int) -> Any:
        """The parcel to act on, or the answer to who may not, or has not pressed a button."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        delivery = self.find(request, str(pk))
        if delivery is None:
            raise Http404
        return delivery

    def _on(self, request: HttpRequest, delivery: Delivery) -> HttpResponse:
        """Back to the parcel, or to its order when the act was asked for there."""
        order = link(request, "order", "order", delivery.order_id) if request.POST.get("back") == "order" else ""
        return HttpResponseRedirect(order or address(delivery))

    # The list. --------------------------------------------------------------------------------------------------

    @display(description=gettext_lazy("parcel"), ordering="id")
    def parcel(self, delivery: Delivery) -> str:
        """The order's number and the parcel's place among its parcels."""
        return parcel_name(delivery)

    @display(description=gettext_lazy("state"), ordering="state", label=labels.COLOURS)
    def status(self, delivery: Delivery) -> tuple[str, str]:
        """Whether it has been shipped."""
        return delivery.state, delivery.get_state_display()

    @display(description=gettext_lazy("name"))
    def who(self, delivery: Any) -> str:
        """Who gets it."""
        return str(delivery.name) if delivery.whole else masking.masked("name", delivery.name)

    @display(description=gettext_lazy("prefecture"), ordering="prefecture")
    def where(self, delivery: Delivery) -> str:
        """The part of the country that it goes to."""
        return delivery.prefecture

    @display(description=gettext_lazy("temperature"), ordering="temperature")
    def kept(self, delivery: Delivery) -> str:
        """How it must be kept, and its size."""
        return f"{delivery.get_temperature_display()} {delivery.size}"

    @display(description=gettext_lazy("carrier's file"), ordering="exported_at")
    def written(self, delivery: Delivery) -> str:
        """When it was written into a carrier's file."""
        return jst(delivery.exported_at)

    def title(self, thing: Delivery) -> str:
        """The heading: the order's number and the parcel's."""
        return parcel_name(thing)

    def page(self, request: HttpRequest, thing: Delivery) -> Page:
        """The slip: where it goes, what goes in, and what can be done with it."""
        delivery = thing
        may = self.has_change_permission(request)
        japanese = (get_language() or "ja").startswith("ja")
        shipped = delivery.state == State.SHIPPED
        seen = delivery.tracking_number
        renumber_form: forms.Form | None = None
        if shipped and may:
            renumber_form = RenumberForm(initial={"carrier": delivery.carrier, "seen": seen, "tell": True})
        return Page(
            cards=[
                Card(_("To"), destination.facts(request, delivery, mail=False)),
                Card(
                    _("Parcel"),
                    [
                        Fact(_("Order"), delivery.order.number, link(request, "order", "order", delivery.order_id)),
                        Fact(_("State"), delivery.get_state_display(), state=delivery.state),
                        Fact(_("Temperature"), delivery.get_temperature_display()),
                        Fact(_("Parcel size"), delivery.size),
                        Fact(_("Carrier"), carrier_name(delivery.carrier) or "–"),
                        Fact(_("Tracking number"), seen or "–", delivery.tracked_at, mono=True),
                        Fact(_("Shipped"), jst(delivery.shipped_at)),
                        *(
                            [
                                Fact(
                                    _("Written for the carrier"),
                                    f"{carrier_name(delivery.exported_to)} {jst(delivery.exported_at)} "
                                    f"{delivery.exported_by}",
                                )
                            ]
                            if delivery.exported_at
                            else []
                        ),
                        *([Fact(_("Called off"), jst(delivery.canceled_at))] if delivery.canceled_at else []),
                    ],
                ),
            ],
            tables=[
                Table(
                    _("Contents"),
                    [
                        (
                            Fact(_("Product"), thing_in.get("name_ja" if japanese else "name_en", "")),
                            Fact(_("SKU"), thing_in.get("sku", ""), mono=True),
                            Fact(_("Quantity"), thing_in.get("quantity", ""), number=True),
                        )
                        for thing_in in delivery.contents
                    ],
                    _("This parcel's goods are listed on the order's first parcel of the same temperature."),
                )
            ],
            more={
                "form": ShippedForm() if delivery.state == State.TO_SHIP and may else None,
                "ship_link": address(delivery, "ship"),
                "renumber_form": renumber_form,
                "renumber_link": address(delivery, "renumber"),
                "take_back_form": TakeBackForm() if may and of_today(delivery) else None,
                "take_back_link": address(delivery, "take_back"),
                "slip_link": f"{reverse('admin:fulfilment_delivery_slips')}?ids={delivery.pk}"
                if masking.may_see(request, "address")
                else "",
            },
        )


def parcel_name(delivery: Delivery) -> str:
    """What a parcel is called: the order's number and its place among the order's parcels."""
    return f"{delivery.order.number}-{delivery.number}"


def _ids(chosen: QuerySet[Delivery]) -> Iterable[int]:
    return chosen.order_by("id").values_list("id", flat=True)[: paper.MOST_PICKED]
