"""Accept a differing amount: this order goes forward with exactly the money that the operator has seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.console import acts, money
from todoku.console.preview import Preview
from todoku.console.stopped import NoLonger, WhyForm, go_on, hold, tell
from todoku.gateways.gateway import Payment
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.order.rules import PAID
from todoku.payment.models import AcceptedAmount


class AcceptForm(WhyForm):
    """The money that the operator has seen at Stripe, and why it is enough."""

    received = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1)
    refunded = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1)
    currency = forms.CharField(widget=forms.HiddenInput, max_length=8)


def fits(case: Case) -> bool:
    """Say whether the case is about money that differs."""
    return case.code == "amount_mismatch" and case.order is not None and case.order.status not in PAID


def preview(case: Case) -> Preview:
    """Look at Stripe, and say what accepting would do."""
    assert case.order is not None
    truth = money.look(case)
    if truth is None or truth.payment is None:
        return Preview(blocked=truth.trouble if truth is not None else _("Stripe knows no payment of this order."))
    why_not = _why_not(truth.payment, case.order)
    if why_not:
        return Preview(blocked=why_not, truth=truth)
    kept = money.amount(money.money_of(truth.payment).kept, truth.payment.currency)
    return Preview(
        will=[
            _("The order goes forward as paid with %(kept)s.") % {"kept": kept},
            _("Its goods are sent as ordered, and the customer gets the confirmation."),
            _("Your name and your reason stay with the order."),
        ],
        will_not=[
            _("The order's own amounts are not changed: they stay as the customer agreed to them."),
            _("Nothing more is charged, and nothing is given back."),
            _("Any other amount than this one stops the order again."),
        ],
        button=_("Accept %(kept)s and go on") % {"kept": kept},
        truth=truth,
        read={
            "received": truth.payment.amount_received,
            "refunded": truth.payment.amount_refunded,
            "currency": truth.payment.currency,
        },
    )


def form(case: Case, typed: Mapping[str, Any] | None, shown: Preview) -> AcceptForm:
    """The form, with the money that the page shows."""
    return AcceptForm(typed, initial={**shown.read, "seen": case.code})


def act(
    request: HttpRequest, case: Case, *, why: str, seen: str, received: int, refunded: int, currency: str
) -> None:
    """Look once more, write the acceptance down and play on. Raises NoLonger."""
    assert case.order is not None
    payment = money.ask(case.order.intent.stripe_id or "")
    if isinstance(payment, str):
        raise NoLonger(_("Nothing was changed. %(trouble)s") % {"trouble": payment})
    now = money.money_of(payment)
    if (now.received, now.refunded, now.currency) != (received, refunded, currency):
        raise NoLonger(_("Nothing was changed: Stripe has another amount by now. Please compare again."))
    why_not = _why_not(payment, case.order)
    if why_not:
        raise NoLonger(_("Nothing was changed. %(trouble)s") % {"trouble": why_not})
    with transaction.atomic():
        stopped = hold(case, seen)
        if stopped.order.status in PAID:
            raise NoLonger(_("Nothing was changed: the order counts as paid already."))
        who = request.user.get_username()
        AcceptedAmount.objects.get_or_create(
            order=stopped.order, received=received, currency=currency, refunded=refunded,
            defaults={"who": who, "why": why},
        )  # fmt: skip
        kept = money.amount(now.kept, currency)
        acts.write_down(
            request, stopped.order, _("Accepted %(kept)s") % {"kept": kept}, act="accepted", reason=why
        )
        play = go_on(request, stopped)
    tell(request, _("%(kept)s are accepted.") % {"kept": kept}, play)


def _why_not(payment: Payment, order: Order) -> str:
    """Why this money cannot be accepted; empty when it can."""
    if payment.status != "succeeded":
        return _("Stripe does not have the money (%(status)s), so there is nothing to accept.") % {
            "status": money.status_name(payment.status)
        }
    if payment.livemode != settings.STRIPE.livemode:
        return _("This payment is in Stripe's other mode: test money cannot pay for goods.")
    now = money.money_of(payment)
    if now.kept <= 0:
        return _("All of it has been given back. Write the order off, or have the customer order anew.")
    if (now.received, now.currency, now.refunded) == (order.total, "jpy", 0):
        return _("The money is right by now. Press Resume; nothing has to be accepted.")
    return ""
