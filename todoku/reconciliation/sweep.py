"""Cancel PaymentIntents that nobody will pay any more, and never one that an order may still be paid with.

Each is first claimed in a transaction, under the lock that an order would need to take it: from then on no order
can, and only then Stripe is asked, under a key made from our own committed row.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from todoku.bad_news import Unavailable
from todoku.cart.models import Cart
from todoku.engines.models import Execution, State
from todoku.gateways.gateway import Gateway, KeyRefused, Payment, Refused
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.payment.models import Intent
from todoku.reconciliation.rules import LEFT_AFTER, Drift

log = logging.getLogger(__name__)

#: How many are canceled in one run: well under what Stripe takes in a minute.
AT_ONCE = 200


@dataclass
class Swept:
    """What a sweep has done, and the intents that turned out to be paid."""

    canceled: int
    paid: list[Drift]


def sweep(gateway: Gateway, now: datetime) -> Swept:
    """Cancel what carts have left open for a day, and what withdrawn orders left behind."""
    swept = Swept(0, [])
    for intent in _left(now):
        if not _claim(intent, now):
            continue
        assert intent.stripe_id is not None
        try:
            payment = cancel(gateway, intent, intent.stripe_id)
        except (Unavailable, KeyRefused) as error:
            log.warning("the sweep stops: %s", error)
            break
        if payment.status == "canceled":
            swept.canceled += 1
        elif payment.status == "succeeded" and payment.amount_refunded < payment.amount_received:
            told = f"{payment.id} {payment.status}, {payment.amount_received} {payment.currency}"
            swept.paid.append(Drift("paid_without_order", payment.id, None, "", None, payment.amount_received, told))
    return swept


def cancel(gateway: Gateway, intent: Intent, stripe_id: str) -> Payment:
    """Cancel a PaymentIntent under a key of our row's, and write down that it can no longer be paid.

    Returns the payment as it stands afterwards: ``canceled``, unless it was paid before, or cannot be now.
    """
    try:
        payment = gateway.cancel(stripe_id, key=f"{intent.pk}:sweep:{stripe_id}")
    except KeyRefused:
        raise
    except Refused:
        payment = gateway.look(stripe_id)
    if payment.status == "canceled":
        now = timezone.now()
        row = Intent.objects.filter(pk=intent.pk, canceled_at=None)
        row.filter(stripe_id=None).update(stripe_id=stripe_id, ready=False)
        row.filter(stripe_id=stripe_id).update(canceled_at=now)
    return payment


def cancel_found(gateway: Gateway, stripe_id: str, intent_id: str, order_id: int | None) -> bool:
    """Cancel what the comparison found open that must not be; say whether it can no longer be paid."""
    intent = Intent.objects.get(pk=UUID(intent_id))
    if order_id is not None and not _is_over(order_id):
        return False
    return cancel(gateway, intent, stripe_id).status == "canceled"


def _left(now: datetime) -> list[Intent]:
    """Intents that may be swept, the oldest first; those known to be paid wait for their person."""
    long_ago = now - LEFT_AFTER
    playing = Execution.objects.filter(order=OuterRef("order"), status=State.RUNNING)
    reported = Case.objects.filter(about=OuterRef("stripe_id"), code="paid_without_order", execution=None)
    return list(
        Intent.objects.filter(canceled_at=None, stripe_id__isnull=False)
        .filter(
            Q(order=None, created_at__lt=long_ago, changed_at__lt=long_ago)
            | Q(order__withdrawn_at__lt=now, order__status__in=[Status.NOT_PAID, Status.CANCELED])
        )
        .exclude(Exists(playing))
        .exclude(Exists(reported))
        .order_by("created_at")[:AT_ONCE]
    )


def _claim(intent: Intent, now: datetime) -> bool:
    """Take the intent out of everybody's reach, and say whether it may be canceled.

    An order takes only a ready intent, under its cart's lock; a withdrawn order is never pressed again. The row's
    ``changed_at`` stays: an intent that is younger than a minute is one that a page may still be changing.
    """
    with transaction.atomic():
        Cart.objects.select_for_update(no_key=True).get(pk=intent.cart_id)
        order = Order.objects.filter(intent=intent).values_list("pk", flat=True).first()
        if order is not None and not _is_over(order):
            return False
        fresh = Intent.objects.filter(pk=intent.pk, canceled_at=None, changed_at=intent.changed_at)
        return bool(fresh.update(ready=False))


def _is_over(order_id: int) -> bool:
    """Say whether the order can never be paid with its intent: canceled, or unpaid and replaced by a newer one."""
    return (
        Order.objects.filter(pk=order_id)
        .filter(Q(status=Status.CANCELED) | Q(status=Status.NOT_PAID, withdrawn_at__isnull=False))
        .exclude(executions__status=State.RUNNING)
        .exists()
    )
