"""What a shopper is told about an order that was not paid: every sentence in one place."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _


def setback(order_setback: dict[str, Any] | None) -> str:
    """Say why the last attempt did not go through and what to do. No word tells a card thief what was wrong.

    One sentence for every decline: telling "wrong security code" from "no such card" would let the shop be
    used to try stolen cards out (docs.stripe.com/disputes/prevention/card-testing).
    """
    if not order_setback:
        return ""
    outcome, reason = order_setback.get("outcome"), order_setback.get("reason")
    if outcome == "sold_out":
        return _("Some of the goods have just sold out. You have not been charged. Please change your cart.")
    if outcome == "canceled":
        return _("The time for this payment ran out. You have not been charged. You can order again.")
    if reason == "not_authenticated":
        return _(
            "Your card company could not confirm that it was you. You have not been charged. "
            "Please try again or use another card."
        )
    if reason == "try_again":
        return _(
            "The card company could not answer just now. You have not been charged. "
            "Please try again in a moment or use another card."
        )
    if reason == "reenter":
        return _("The card details had expired. You have not been charged. Please enter your card again.")
    return _(
        "Your card company did not accept the payment. You have not been charged. "
        "Please check the card's details or use another card."
    )


def refused(code: str) -> str:
    """Say why an order could not be placed, and what to do."""
    return {
        "stale": _("This page was out of date. Please check your order once more; you have not been charged."),
        "sold_out": _("Some of the goods are no longer available. You have not been charged."),
        "too_many_attempts": _(
            "This order has been tried too many times. You have not been charged. Please contact the shop."
        ),
        "empty": _("Your cart is empty."),
        "withdrawn": _("Some of the goods are no longer on sale. You have not been charged."),
        "bad_token": _("The card details did not arrive. You have not been charged. Please enter your card again."),
    }[code]
