"""The money's truth: how a payment stands at Stripe at this moment, beside what the order says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from todoku.bad_news import Unavailable
from todoku.console import at_stripe
from todoku.console.templatetags.console import yen
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import KeyRefused, Payment, Refused
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.payment import stores
from todoku.payment.models import AcceptedAmount
from todoku.payment.rules import Money


@dataclass(frozen=True)
class Row:
    """One thing to compare: what the order says, what Stripe says, and whether that differs."""

    label: str
    ours: str
    theirs: str
    differs: bool = False


@dataclass(frozen=True)
class Truth:
    """What Stripe said, or why it said nothing."""

    at: datetime
    link: str
    payment: Payment | None = None
    trouble: str = ""
    rows: list[Row] = field(default_factory=list)
    accepted: list[AcceptedAmount] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return any(row.differs for row in self.rows)


def intent_of(case: Case) -> str:
    """The PaymentIntent that a case is about; empty when it is about none."""
    if case.order is not None:
        return case.order.intent.stripe_id or ""
    found = re.search(r"\bpi_[A-Za-z0-9]+\b", f"{case.about} {case.technical}")
    return found[0] if found else ""


def ask(intent: str) -> Payment | str:
    """Ask Stripe how a payment stands; the answer, or a sentence that says why there is none. Not in a transaction."""
    try:
        return stripe_gateway.for_page().look(intent)
    except KeyRefused:
        return _("Stripe does not accept the shop's key, so nothing can be looked up.")
    except Refused as error:
        if error.code == "resource_missing":
            return _("Stripe does not know this payment. Was the shop's key changed to another account?")
        return _("Stripe refuses to show this payment (%(code)s).") % {"code": error.code}
    except Unavailable:
        return _("Stripe does not answer at the moment. Please try again in a minute.")


def look(case: Case) -> Truth | None:
    """Look at the case's payment and compare it with its order; None when the case is about no payment."""
    intent = intent_of(case)
    if not intent:
        return None
    answer = ask(intent)
    link = at_stripe.payment(intent)
    if isinstance(answer, str):
        return Truth(timezone.now(), link, trouble=answer)
    order = case.order
    accepted = list(AcceptedAmount.objects.filter(order=order)) if order is not None else []
    return Truth(timezone.now(), link, answer, rows=compare(answer, order), accepted=accepted)


def compare(payment: Payment, order: Order | None) -> list[Row]:
    """Put what Stripe says beside what the order says."""
    succeeded = payment.status == "succeeded"
    total = yen(order.total) if order is not None else "–"
    due = order.total if order is not None else None
    rows = [
        Row(_("Payment"), order.get_status_display() if order is not None else "–", status_name(payment.status)),
        Row(_("Payment's amount"), total, amount(payment.amount, payment.currency), due not in (None, payment.amount)),
        Row(
            _("Money received"),
            total,
            amount(payment.amount_received, payment.currency),
            succeeded and due not in (None, payment.amount_received),
        ),
        Row(_("Currency"), "JPY", payment.currency.upper(), payment.currency != "jpy"),
    ]
    if payment.amount_refunded:
        rows.append(Row(_("Refunded"), yen(0), amount(payment.amount_refunded, payment.currency), differs=True))
        kept = payment.amount_received - payment.amount_refunded
        rows.append(Row(_("Left after refunds"), total, amount(kept, payment.currency), due != kept))
    if payment.disputed:
        rows.append(Row(_("Dispute"), "–", _("the card's owner disputes it"), differs=True))
    if payment.livemode != settings.STRIPE.livemode:
        modes = {True: _("live"), False: _("test")}
        rows.append(Row(_("Mode"), modes[settings.STRIPE.livemode], modes[payment.livemode], differs=True))
    rows.append(Row(_("Paid with"), _attempted(order), paid_with(payment)))
    return rows


def money_of(payment: Payment) -> Money:
    """The money itself, for a person to accept."""
    return Money(payment.amount_received, payment.currency, payment.amount_refunded)


def amount(value: int, currency: str) -> str:
    """Write an amount in its currency; one of another currency is left in Stripe's own numbers."""
    return yen(value) if currency == "jpy" else f"{value:,} {currency.upper()}"


def status_name(status: str) -> str:
    """Stripe's status in the operator's language."""
    return {
        "succeeded": _("paid"),
        "processing": _("the bank is working on it"),
        "requires_action": _("waiting for the customer"),
        "requires_payment_method": _("not paid"),
        "requires_confirmation": _("not paid"),
        "requires_capture": _("reserved, not taken"),
        "canceled": _("canceled"),
    }.get(status, status)


def paid_with(payment: Payment) -> str:
    """The card, as Stripe lets it be known, or the convenience store."""
    if payment.card_last4:
        return f"{payment.card_brand.capitalize()} •••• {payment.card_last4}"
    if payment.method == "konbini":
        return stores.name(payment.chain) or _("convenience store")
    return payment.method or "–"


def _attempted(order: Order | None) -> str:
    if order is None:
        return "–"
    attempt = next((one for one in order.payment_attempts.all() if one.number == order.attempts), None)
    if attempt is None or not attempt.method:
        return "–"
    if attempt.card_last4:
        return f"{attempt.card_brand.capitalize()} •••• {attempt.card_last4}"
    return stores.name(attempt.chain) or _("convenience store") if attempt.method == "konbini" else attempt.method
