"""Payments in the operator's console. No client secret and no card token is ever on a page."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import at_stripe, labels
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, display, link
from todoku.console.templatetags.console import jst, jst_seconds, yen
from todoku.payment import stores
from todoku.payment.models import Attempt, Intent, Outcome, Voucher


@admin.register(Intent)
class IntentAdmin(ReadOnlyAdmin):
    """PaymentIntents at Stripe, the newest first."""

    list_display = ("stripe", "amount_due", "order_number", "created", "is_ready", "canceled")
    ordering = ("-created_at",)
    list_select_related = ("order",)
    detail_select_related = ("order",)
    search_fields = ("=stripe_id", "=order__number")
    search_help_text = gettext_lazy("Stripe's id or order number")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Intent]:
        """Never fetch what must never be shown."""
        rows: QuerySet[Intent] = super().get_queryset(request)
        return rows.defer("client_secret")

    @display(description=gettext_lazy("Stripe's id"), ordering="stripe_id")
    def stripe(self, intent: Intent) -> str:
        """Stripe's id, when Stripe has answered."""
        return intent.stripe_id or _("not yet at Stripe")

    @display(description=gettext_lazy("amount at Stripe"), ordering="amount")
    def amount_due(self, intent: Intent) -> str:
        """What Stripe holds."""
        return yen(intent.amount)

    @display(description=gettext_lazy("order"))
    def order_number(self, intent: Intent) -> str:
        """The order that took it, if one did."""
        order = getattr(intent, "order", None)
        return order.number if order is not None else "–"

    @display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, intent: Intent) -> str:
        """When our row was made."""
        return jst(intent.created_at)

    @display(description=gettext_lazy("ready"), boolean=True, ordering="ready")
    def is_ready(self, intent: Intent) -> bool:
        """Whether Stripe has said that it holds this amount."""
        return intent.ready

    @display(description=gettext_lazy("canceled"), ordering="canceled_at")
    def canceled(self, intent: Intent) -> str:
        """When Stripe said that it can no longer be paid."""
        return jst(intent.canceled_at)

    def page(self, request: HttpRequest, thing: Intent) -> Page:
        """One PaymentIntent, with the way to Stripe."""
        order = getattr(thing, "order", None)
        return Page(
            cards=[
                Card(
                    _("Payment intent"),
                    [
                        Fact(
                            _("Stripe's id"),
                            thing.stripe_id or _("not yet at Stripe"),
                            at_stripe.payment(thing.stripe_id),
                            mono=True,
                        ),
                        Fact(_("Amount at Stripe"), yen(thing.amount)),
                        Fact(
                            _("Order"),
                            order.number if order is not None else "–",
                            link(request, "order", "order", order.pk if order is not None else None),
                        ),
                        Fact(_("Ready"), _("yes") if thing.ready else _("no")),
                        Fact(_("Created"), jst_seconds(thing.created_at)),
                        Fact(_("Changed"), jst_seconds(thing.changed_at)),
                        Fact(_("Canceled"), jst_seconds(thing.canceled_at)),
                    ],
                )
            ]
        )


class Method(admin.SimpleListFilter):
    """How it was paid. The ways are known; nobody has to read every attempt for their names."""

    title = gettext_lazy("method")
    parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The ways to pay."""
        return [("card", _("Card")), ("konbini", _("Convenience store"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Attempt]) -> QuerySet[Attempt]:
        """Only the attempts of the chosen way."""
        return queryset.filter(method=self.value()) if self.value() in ("card", "konbini") else queryset


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """Presses of the order button, the newest first."""

    list_display = ("order", "number", "state", "how", "waiting_for", "decline_code", "created", "settled")
    list_select_related = ("order",)
    list_filter = ("outcome", Method, "waits_for")
    ordering = ("-id",)
    search_fields = ("=order__number", "=charge")
    search_help_text = gettext_lazy("Order number or charge")
    detail_select_related = ("order", "voucher")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """Never fetch what must never be shown."""
        rows: QuerySet[Attempt] = super().get_queryset(request)
        return rows.defer("confirmation_token", "key", "voucher__stores", "voucher__url")

    @display(description=gettext_lazy("outcome"), ordering="outcome", label=labels.COLOURS)
    def state(self, attempt: Attempt) -> tuple[str, str]:
        """What is known of it."""
        return ("complete" if attempt.outcome == Outcome.PAID else attempt.outcome), attempt.get_outcome_display()

    @display(description=gettext_lazy("paid with"))
    def how(self, attempt: Attempt) -> str:
        """The card's brand and last four digits as Stripe gives them, or the convenience store."""
        return paid_with(attempt)

    @display(description=gettext_lazy("waits for"), ordering="waits_for")
    def waiting_for(self, attempt: Attempt) -> str:
        """What it waits for, as long as it does."""
        return waits_for(attempt)

    @display(description=gettext_lazy("created"), ordering="id")
    def created(self, attempt: Attempt) -> str:
        """When the button was pressed."""
        return jst_seconds(attempt.created_at)

    @display(description=gettext_lazy("settled"), ordering="settled_at")
    def settled(self, attempt: Attempt) -> str:
        """When its outcome was known for good."""
        return jst_seconds(attempt.settled_at)

    def page(self, request: HttpRequest, thing: Attempt) -> Page:
        """One press of the button."""
        return Page(
            cards=[
                Card(
                    _("Payment attempt"),
                    [
                        Fact(_("Order"), thing.order.number, link(request, "order", "order", thing.order_id)),
                        Fact(_("Number"), thing.number),
                        Fact(
                            _("Outcome"),
                            thing.get_outcome_display(),
                            state="complete" if thing.outcome == Outcome.PAID else thing.outcome,
                        ),
                        Fact(_("Decline code"), thing.decline_code or "–", mono=True),
                        Fact(_("Stripe charge"), thing.charge or "–", mono=True),
                        Fact(_("Paid with"), paid_with(thing)),
                        Fact(_("Waits for"), waits_for(thing)),
                        Fact(_("Created"), jst_seconds(thing.created_at)),
                        Fact(_("Asked"), jst_seconds(thing.asked_at)),
                        Fact(_("Settled"), jst_seconds(thing.settled_at)),
                    ],
                ),
                *_voucher(thing),
            ]
        )


def paid_with(attempt: Attempt) -> str:
    """Say how an attempt is paid, in the operator's language: the card, or the konbini and its chain."""
    if attempt.method == "konbini":
        chain = stores.name(attempt.chain)
        return _("Convenience store (%(chain)s)") % {"chain": chain} if chain else _("Convenience store")
    return f"{attempt.card_brand.upper()} ****{attempt.card_last4}" if attempt.card_last4 else "–"


def waits_for(attempt: Attempt) -> str:
    """Say what an attempt waits for; a dash when it waits for nothing any more."""
    return attempt.get_waits_for_display() if attempt.outcome == Outcome.WAITING and attempt.waits_for else "–"


def _voucher(attempt: Attempt) -> list[Card]:
    """The konbini voucher's times. Its codes are the customer's affair: whoever has them can only pay."""
    try:
        voucher = attempt.voucher
    except Voucher.DoesNotExist:
        return []
    return [
        Card(
            _("Konbini voucher"),
            [
                Fact(_("Pay by"), jst_seconds(voucher.expires_at)),
                Fact(_("Issued"), jst_seconds(voucher.issued_at)),
                Fact(_("Reminder due"), jst(voucher.remind_at)),
            ],
        )
    ]
