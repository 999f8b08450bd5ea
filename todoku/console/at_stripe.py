"""Where a payment can be looked at: Stripe's dashboard, or the rehearsal's panel."""

from __future__ import annotations

from django.conf import settings


def payment(stripe_id: str | None) -> str:
    """The address of a PaymentIntent's page; empty when Stripe has none yet."""
    if not stripe_id:
        return ""
    if settings.STRIPE.rehearsal:
        return f"{settings.REHEARSAL_URL}/payments/{stripe_id}"
    test = "" if settings.STRIPE.livemode else "test/"
    return f"https://dashboard.stripe.com/{test}payments/{stripe_id}"
