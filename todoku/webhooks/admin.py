"""Stripe's events in the operator's console: only ids are kept of them."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, display, link
from todoku.console.templatetags.console import jst_seconds
from todoku.webhooks.models import StripeEvent


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyAdmin):
    """What Stripe has told the shop, the newest first."""

    list_display = ("received", "type", "event_id", "object_id", "order", "livemode")
    list_select_related = ("order",)
    search_fields = ("=event_id", "=object_id", "=order__number")
    search_help_text = gettext_lazy("Event, object or order number")
    detail_select_related = ("order",)

    @display(description=gettext_lazy("received"), ordering="id")
    def received(self, event: StripeEvent) -> str:
        """When it came through the door."""
        return jst_seconds(event.received_at)

    def title(self, thing: StripeEvent) -> str:
        """The heading: the event's type."""
        return thing.type

    def page(self, request: HttpRequest, thing: StripeEvent) -> Page:
        """One event."""
        return Page(
            cards=[
                Card(
                    _("Stripe event"),
                    [
                        Fact(_("Type"), thing.type, mono=True),
                        Fact(_("Event"), thing.event_id, mono=True),
                        Fact(_("Object"), thing.object_id or "–", mono=True),
                        Fact(
                            _("Order"),
                            thing.order.number if thing.order else "–",
                            link(request, "order", "order", thing.order_id),
                        ),
                        Fact(_("Live mode"), _("yes") if thing.livemode else _("no")),
                        Fact(_("Happened"), jst_seconds(thing.happened_at)),
                        Fact(_("Received"), jst_seconds(thing.received_at)),
                        Fact(_("Fetched from Stripe's list"), _("yes") if thing.listed else _("no")),
                    ],
                )
            ]
        )
