"""Which of Stripe's events the shop wants: those after which a payment may stand otherwise than before.

Choose these when you make the webhook endpoint at Stripe; the catch-up asks for the same ones. Any other event is
taken and stored too, and then knocks on nothing it need not; it only costs time. Stripe lists at most 20 types at
once (docs.stripe.com/api/events/list).
"""

from __future__ import annotations

WANTED = (
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.amount_capturable_updated",
    # Money that goes back, most often by somebody's hand in Stripe's dashboard.
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "radar.early_fraud_warning.created",
)
