"""Which of Stripe's events the shop wants: those after which a PaymentIntent may stand otherwise than before.

Choose these when you make the webhook endpoint at Stripe. Any other event is taken and stored too, and then
knocks on nothing it need not; it only costs time. A lost one is made up for by the poller.
"""

from __future__ import annotations

WANTED = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "payment_intent.amount_capturable_updated",
    "charge.refunded",
    "charge.dispute.created",
)
