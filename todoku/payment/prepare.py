"""PaymentIntent create: before the confirm page, with the frozen amount and our ids in its metadata.

Nothing can be charged here: an intent takes money only when it is confirmed, and that is the flow's.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from todoku.bad_news import Unavailable
from todoku.cart.models import Cart
from todoku.gateways import breaker
from todoku.gateways import stripe as gateway
from todoku.gateways.gateway import FailureKept, KeyRefused, Payment, Refused
from todoku.payment import rules
from todoku.payment.models import Intent
from todoku.quote.models import Quote
from todoku.shop import chosen

#: An intent that Stripe has not answered for is asked for again under its key for so long, then a new row is
#: made: a 500 that Stripe stored under the key would come back for a day (docs.stripe.com, idempotency).
TRY_KEY_FOR = timedelta(seconds=60)


def prepare(quote: Quote) -> Intent:
    """Make sure that Stripe holds an intent over the quote's total, creating or updating it.

    Talks to Stripe: call it outside a transaction. Raises ``Unavailable`` when Stripe does not answer: nothing
    was charged, and asking again later finds the same intent. While nobody has an answer from Stripe it raises
    ``NotAsked`` at once, also for an intent that is ready: nobody could pay it now.
    """
    standing = Intent.objects.filter(quote=quote, ready=True, canceled_at=None).order_by("-created_at").first()
    if standing is not None:
        breaker.refuse_if_shut()
        return standing
    # Before any row is written: an intent that is being changed could not be used until Stripe is back.
    breaker.let_page_through()
    unusable: Intent | None = None
    for _ in range(2):
        intent = _find_or_write(quote, unusable)
        if intent.ready:
            return intent
        try:
            if intent.stripe_id is None:
                payment = _create(intent)
            else:
                payment = _update(intent, intent.stripe_id)
        except FailureKept:
            # Under this key Stripe would fail for a day. What it has made meanwhile, nobody will ever confirm.
            unusable = intent
            continue
        except KeyRefused:
            raise
        except Refused:
            # Canceled at Stripe meanwhile, or confirmed: it is no longer ours to change. The next one is new.
            Intent.objects.filter(pk=intent.pk).update(canceled_at=timezone.now())
            continue
        intent.stripe_id = payment.id
        intent.client_secret = payment.client_secret
        intent.ready = True
        intent.save(update_fields=["stripe_id", "client_secret", "ready", "changed_at"])
        return intent
    raise Unavailable("Stripe refused the payment intent twice")


def _find_or_write(quote: Quote, unusable: Intent | None) -> Intent:
    """The cart's intent that can carry this quote, or a new row.

    The cart's lock keeps two tabs from having the same idea. An intent whose update is under way is left alone
    (its POST may still arrive at Stripe after ours): another quote then gets an intent of its own.
    """
    with transaction.atomic():
        Cart.objects.select_for_update(no_key=True).get(pk=quote.cart_id)
        latest = (
            Intent.objects.select_related("order")
            .filter(cart_id=quote.cart_id, canceled_at=None)
            .order_by("-created_at")
            .first()
        )
        if latest is not None and latest != unusable:
            if latest.quote_id == quote.pk:
                if latest.ready or latest.changed_at > timezone.now() - TRY_KEY_FOR:
                    return latest
            elif latest.ready and getattr(latest, "order", None) is None:
                latest.quote = quote
                latest.amount = quote.total
                latest.ready = False
                latest.save(update_fields=["quote", "amount", "ready", "changed_at"])
                return latest
        return Intent.objects.create(cart_id=quote.cart_id, quote=quote, amount=quote.total)


def _create(intent: Intent) -> Payment:
    return gateway.for_page().create(
        key=f"{intent.pk}:create",
        amount=intent.amount,
        metadata=_metadata(intent),
        methods=_methods(intent),
    )


def _update(intent: Intent, stripe_id: str) -> Payment:
    return gateway.for_page().update(
        stripe_id,
        key=f"{intent.pk}:update:{intent.quote_id}",
        amount=intent.amount,
        metadata=_metadata(intent),
        methods=_methods(intent),
    )


def _methods(intent: Intent) -> tuple[str, ...]:
    now = chosen.now()
    return rules.methods(intent.amount, card=now.card, konbini=now.konbini)


def _metadata(intent: Intent) -> dict[str, str]:
    return {
        "todoku_intent": str(intent.pk),
        "todoku_quote": str(intent.quote_id),
        "todoku_cart": str(intent.cart_id),
    }
