"""Where a payment can be looked at: Stripe's dashboard, or the rehearsal's panel."""

from __future__ import annotations

import re

from django.conf import settings

#: Stripe's ids that a finding may be about: intent, charge, payment, refund, dispute (two spellings), fraud warning.
_IDS = re.compile(r"\b(?:pi|ch|py|re|pyr|dp|du|issfr)_[A-Za-z0-9]+\b")


def payment(stripe_id: str | None) -> str:
    """The address of a PaymentIntent's page; empty when Stripe has none yet."""
    if not stripe_id:
        return ""
    if settings.STRIPE.rehearsal:
        return f"{settings.REHEARSAL_URL}/payments/{stripe_id}"
    return f"{_dashboard()}payments/{stripe_id}"


def anything(*texts: str) -> str:
    """The address of the first thing of Stripe's that the texts name; empty when they name none.

    A payment has a page of its own. Refunds and disputes are found by the dashboard's search; the rehearsal's
    panel shows them with their payment.
    """
    ids = [found for text in texts for found in _IDS.findall(text)]
    intent = next((found for found in ids if found.startswith("pi_")), "")
    if intent:
        return payment(intent)
    if not ids:
        return ""
    return f"{settings.REHEARSAL_URL}/" if settings.STRIPE.rehearsal else f"{_dashboard()}search?query={ids[0]}"


def _dashboard() -> str:
    return "https://dashboard.stripe.com/" + ("" if settings.STRIPE.livemode else "test/")
