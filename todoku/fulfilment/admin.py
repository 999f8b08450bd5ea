"""Deliveries in the operator's console: what is to be shipped, and that it was."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from todoku.console import labels
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.ship import ShippedForm, carrier_name, ship
from todoku.console.templatetags.console import jst
from todoku.fulfilment.models import Delivery


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Parcels: those to be shipped first, the oldest of them on top."""

    detail_template = "console/delivery.html"
    detail_select_related = ("order",)
    list_display = ("parcel", "status", "order", "name", "where", "wished_on", "kept", "tracking_number")
    list_select_related = ("order",)
    list_filter = ("state", "temperature")
    ordering = ("-state", "id")
    search_fields = ("=order__number", "=tracking_number")
    search_help_text = gettext_lazy("Order number or tracking number")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may mark parcels as shipped."""
        return bool(request.user.has_perm("fulfilment.change_delivery"))

    def get_urls(self) -> list[URLPattern]:
        """The one act on a parcel."""
        return [
            path("<int:pk>/ship/", self.admin_site.admin_view(self.ship_view), name="fulfilment_delivery_ship"),
            *super().get_urls(),
        ]

    def ship_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Mark the parcel as shipped. Only a POST acts, and only once."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        delivery = self.find(request, str(pk))
        if delivery is None:
            raise Http404
        form = ShippedForm(request.POST)
        if delivery.state == Delivery.State.TO_SHIP and not form.is_valid():
            return self.show(request, delivery, status=422, form=form)
        if form.is_valid() and ship(request, delivery, **form.cleaned_data):
            messages.success(request, _("The parcel is marked as shipped."))
        else:
            messages.info(request, _("This parcel has been marked as shipped before; nothing was changed."))
        return HttpResponseRedirect(address(delivery))

    @display(description=gettext_lazy("parcel"), ordering="id")
    def parcel(self, delivery: Delivery) -> str:
        """The order's number and the parcel's place among its parcels."""
        return f"{delivery.order.number}-{delivery.number}"

    @display(description=gettext_lazy("state"), ordering="state", label=labels.COLOURS)
    def status(self, delivery: Delivery) -> tuple[str, str]:
        """Whether it has been shipped."""
        return delivery.state, delivery.get_state_display()

    @display(description=gettext_lazy("prefecture"), ordering="prefecture")
    def where(self, delivery: Delivery) -> str:
        """The part of the country that it goes to."""
        return delivery.prefecture

    @display(description=gettext_lazy("temperature"), ordering="temperature")
    def kept(self, delivery: Delivery) -> str:
        """How it must be kept, and its size."""
        return f"{delivery.get_temperature_display()} {delivery.size}"

    def title(self, thing: Delivery) -> str:
        """The heading: the order's number and the parcel's."""
        return f"{thing.order.number}-{thing.number}"

    def page(self, request: HttpRequest, thing: Delivery) -> Page:
        """The slip: where it goes, what goes in, and the form to mark it as shipped."""
        delivery = thing
        to_ship = delivery.state == Delivery.State.TO_SHIP
        japanese = (get_language() or "ja").startswith("ja")
        building = f" {delivery.building}" if delivery.building else ""
        return Page(
            cards=[
                Card(
                    _("To"),
                    [
                        Fact(_("Name"), f"{delivery.name} ({delivery.kana})"),
                        Fact(_("Postal code"), f"〒{delivery.postal_code[:3]}-{delivery.postal_code[3:]}", mono=True),
                        Fact(_("Address"), f"{delivery.prefecture}{delivery.city}{delivery.street}{building}"),
                        Fact(_("Phone"), delivery.phone, f"tel:{delivery.phone}", mono=True),
                        Fact(_("Wished day"), delivery.wished_on or _("none")),
                    ],
                ),
                Card(
                    _("Parcel"),
                    [
                        Fact(_("Order"), delivery.order.number, link(request, "order", "order", delivery.order_id)),
                        Fact(_("State"), delivery.get_state_display(), state=delivery.state),
                        Fact(_("Temperature"), delivery.get_temperature_display()),
                        Fact(_("Parcel size"), delivery.size),
                        Fact(_("Carrier"), carrier_name(delivery.carrier) or "–"),
                        Fact(_("Tracking number"), delivery.tracking_number or "–", mono=True),
                        Fact(_("Shipped"), jst(delivery.shipped_at)),
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
                "form": ShippedForm() if to_ship and self.has_change_permission(request) else None,
                "ship_link": address(delivery, "ship"),
            },
        )
