"""Movements and holds of stock, as the console shows them: who, why, for which order; and as a file."""

from __future__ import annotations

from datetime import date

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import csv_out, labels
from todoku.console.adjust import in_words
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, display, link
from todoku.console.templatetags.console import jst
from todoku.stock import export
from todoku.stock.models import Movement, Reservation


class MovementAdmin(ReadOnlyAdmin):
    """Every movement of stock, the newest first: who, why, for which order."""

    list_display = (
        "when", "product", "moved", "on_hand_change", "held_change", "sold_change", "who", "in_words", "order",
    )  # fmt: skip
    list_select_related = ("product", "order")
    list_filter = ("kind",)
    search_fields = ("=product__sku", "=order__number")
    search_help_text = gettext_lazy("SKU or order number")
    list_before_template = "console/movements.html"
    detail_select_related = ("product", "order", "restock")

    def get_urls(self) -> list[URLPattern]:
        """The list as a file."""
        return [
            path("export/", self.admin_site.admin_view(self.export_view), name="stock_movement_export"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Give all movements, those of one product, or those of some days, as a CSV file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = {name: request.GET.get(name, "").replace("\x00", "").strip()[:64] for name in ("sku", "since", "until")}
        try:
            since, until = (date.fromisoformat(asked[name]) if asked[name] else None for name in ("since", "until"))
        except ValueError:
            messages.error(request, _("Please give the days as 2026-11-28."))
            return HttpResponseRedirect("../")
        rows = export.rows(sku=asked["sku"], since=since, until=until)
        return csv_out.answer(rows, f"movements-{timezone.localdate():%Y%m%d}.csv")

    @display(description=gettext_lazy("at"), ordering="id")
    def when(self, movement: Movement) -> str:
        """When it moved."""
        return jst(movement.at)

    @display(description=gettext_lazy("kind"), ordering="kind", label=labels.COLOURS)
    def moved(self, movement: Movement) -> tuple[str, str]:
        """The kind of movement."""
        return movement.kind, movement.get_kind_display()

    @display(description=gettext_lazy("on hand"))
    def on_hand_change(self, movement: Movement) -> str:
        """By how much what is on hand changed."""
        return f"{movement.on_hand:+,}"

    @display(description=gettext_lazy("held for orders"))
    def held_change(self, movement: Movement) -> str:
        """By how much what is held changed."""
        return f"{movement.reserved:+,}"

    @display(description=gettext_lazy("sold"))
    def sold_change(self, movement: Movement) -> str:
        """By how much what is sold changed."""
        return f"{movement.sold:+,}"

    @display(description=gettext_lazy("why"))
    def in_words(self, movement: Movement) -> str:
        """The reason, and the person's own words."""
        return in_words(movement.reason, movement.why)

    def title(self, thing: Movement) -> str:
        """The heading: the product and when it moved."""
        return f"{thing.product.name} · {jst(thing.at)}"

    def page(self, request: HttpRequest, thing: Movement) -> Page:
        """One movement."""
        return Page(
            cards=[
                Card(
                    _("Movement"),
                    [
                        Fact(_("Product"), thing.product.name, link(request, "stock", "level", thing.product_id)),
                        Fact(_("Kind"), thing.get_kind_display(), state=thing.kind),
                        Fact(_("On hand"), f"{thing.on_hand:+,}", number=True),
                        Fact(_("Held for orders"), f"{thing.reserved:+,}", number=True),
                        Fact(_("Sold"), f"{thing.sold:+,}", number=True),
                        Fact(
                            _("Order"),
                            thing.order.number if thing.order else "–",
                            link(request, "order", "order", thing.order_id),
                        ),
                        Fact(_("Who"), thing.who or "–"),
                        Fact(_("Why"), in_words(thing.reason, thing.why)),
                        *(
                            [Fact(_("File"), thing.restock.file, link(request, "stock", "restock", thing.restock_id))]
                            if thing.restock
                            else []
                        ),
                        Fact(_("At"), jst(thing.at)),
                    ],
                )
            ]
        )


class ReservationAdmin(ReadOnlyAdmin):
    """What is held, or was held, for which order."""

    list_display = ("order", "product", "quantity", "status", "held", "ended")
    list_select_related = ("order", "product")
    list_filter = ("state",)
    ordering = ("-id",)
    search_fields = ("=order__number", "=product__sku")
    search_help_text = gettext_lazy("Order number or SKU")
    detail_select_related = ("order", "product")

    @display(description=gettext_lazy("state"), ordering="state", label=labels.COLOURS)
    def status(self, reservation: Reservation) -> tuple[str, str]:
        """Held, returned or sold."""
        return reservation.state, reservation.get_state_display()

    @display(description=gettext_lazy("held since"), ordering="id")
    def held(self, reservation: Reservation) -> str:
        """Since when it was held."""
        return jst(reservation.held_at)

    @display(description=gettext_lazy("ended"))
    def ended(self, reservation: Reservation) -> str:
        """When it was sold or returned."""
        return jst(reservation.ended_at)

    def title(self, thing: Reservation) -> str:
        """The heading: the order and the product."""
        return f"{thing.order.number} · {thing.product.name}"

    def page(self, request: HttpRequest, thing: Reservation) -> Page:
        """One hold."""
        return Page(
            cards=[
                Card(
                    _("Hold"),
                    [
                        Fact(_("Order"), thing.order.number, link(request, "order", "order", thing.order_id)),
                        Fact(_("Product"), thing.product.name, link(request, "stock", "level", thing.product_id)),
                        Fact(_("Quantity"), thing.quantity, number=True),
                        Fact(_("Attempt"), thing.attempt, number=True),
                        Fact(_("State"), thing.get_state_display(), state=thing.state),
                        Fact(_("Held since"), jst(thing.held_at)),
                        Fact(_("Ended"), jst(thing.ended_at)),
                    ],
                )
            ]
        )
