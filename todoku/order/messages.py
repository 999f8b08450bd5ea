"""What a shopper is told about an order that was not paid: every sentence in one place."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

#: How an order ended: by Stripe's word about a voucher, by its customer, unanswered, or past its time.
_ENDED = {
    "konbini_expired": _("The time to pay at the store has passed. You have not been charged."),
    "withdrawn": _("This order was given up. You have not been charged."),
    "unanswered": _(
        "The payment service did not answer in time, so we have ended this order. You have not been charged."
    ),
    "expired": _("The time for this payment ran out. You have not been charged. You can order again."),
}


def ended(order_setback: dict[str, Any] | None) -> str:
    """Say why an order has ended unpaid."""
    found = _ENDED.get((order_setback or {}).get("reason", ""))
    return str(found or gettext("This order has ended. You have not been charged."))


def setback(order_setback: dict[str, Any] | None, method: str = "") -> str:
    """Say why the last attempt did not go through and what to do. No word tells a card thief what was wrong.

    One sentence for every decline: telling "wrong security code" from "no such card" would let the shop be
    used to try stolen cards out (docs.stripe.com/disputes/prevention/card-testing). ``method`` is how it was to
    be paid: a konbini has no card to check.
    """
    if not order_setback:
        return ""
    outcome, reason = order_setback.get("outcome"), order_setback.get("reason")
    if outcome == "sold_out":
        return gettext("Some of the goods have just sold out. You have not been charged. Please change your cart.")
    if outcome in ("canceled", "expired"):
        return ended(order_setback)
    if reason == "not_available":
        return gettext(
            "This way to pay is not available just now. You have not been charged. "
            "Please try again in a moment or pay in another way."
        )
    if method == "konbini":
        return gettext(
            "The payment at a convenience store could not be prepared. You have not been charged. "
            "Please try again in a moment or pay by card."
        )
    if reason == "not_authenticated":
        return gettext(
            "Your card company could not confirm that it was you. You have not been charged. "
            "Please try again or use another card."
        )
    if reason == "try_again":
        return gettext(
            "The card company could not answer just now. You have not been charged. "
            "Please try again in a moment or use another card."
        )
    if reason == "reenter":
        return gettext("The card details had expired. You have not been charged. Please enter your card again.")
    return gettext(
        "Your card company did not accept the payment. You have not been charged. "
        "Please check the card's details or use another card."
    )


def refused(code: str) -> str:
    """Say why an order could not be placed, and what to do."""
    return {
        "stale": gettext("This page was out of date. Please check your order once more; you have not been charged."),
        "sold_out": gettext("Some of the goods are no longer available. You have not been charged."),
        "too_many_attempts": gettext(
            "This order has been tried too many times. You have not been charged. Please contact the shop."
        ),
        "empty": gettext("Your cart is empty."),
        "withdrawn": gettext("Some of the goods are no longer on sale. You have not been charged."),
        "bad_token": gettext(
            "The card details did not arrive. You have not been charged. Please enter your card again."
        ),
    }[code]
