"""What Stripe's words mean for us: pure, imports no Django."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from todoku.shop.rules import KONBINI_LEAST as KONBINI_LEAST
from todoku.shop.rules import KONBINI_MOST as KONBINI_MOST

#: Statuses from which a PaymentIntent can still be paid, and be canceled (docs.stripe.com/api/payment_intents).
PAYABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})

#: How long a stored idempotency key is relied on. Stripe may forget it after 24 hours; then the same POST would
#: be a new one (docs.stripe.com/api/idempotent_requests).
KEY_LIVES = timedelta(hours=23)


#: Stripe's word for a voucher that nobody paid in time (docs.stripe.com/error-codes).
VOUCHER_EXPIRED = "payment_intent_payment_attempt_expired"
#: The hour (JST) of the day before the deadline at which the customer is reminded.
REMIND_AT_HOUR = 10
#: A reminder sooner after the codes themselves would only annoy.
REMIND_NOT_BEFORE = timedelta(hours=6)
_JST = timezone(timedelta(hours=9))


def methods(amount: int, *, konbini: bool, card: bool = True) -> tuple[str, ...]:
    """Name the ways in which ``amount`` yen can be paid, the usual one first; none where the shop takes none."""
    ways = (("card", card), ("konbini", konbini and KONBINI_LEAST <= amount <= KONBINI_MOST))
    return tuple(name for name, taken in ways if taken)


def given_up(*, status: str, waits_for: str, error_code: str) -> bool:
    """Say whether Stripe has given a konbini voucher up; it says so itself, about an hour after the deadline.

    ``waits_for`` is what we last knew. An attempt whose voucher we never saw is told by Stripe's error.
    """
    return status != "requires_action" and (waits_for == "konbini" or error_code == VOUCHER_EXPIRED)


def remind_at(expires_at: datetime, now: datetime) -> datetime | None:
    """Say when the customer is reminded of a voucher: at ten (JST) on the day before its last day.

    None when the codes themselves were sent too short a time before that.
    """
    day_before = expires_at.astimezone(_JST) - timedelta(days=1)
    at = day_before.replace(hour=REMIND_AT_HOUR, minute=0, second=0, microsecond=0)
    return at if at - now >= REMIND_NOT_BEFORE else None


@dataclass(frozen=True)
class Money:
    """What Stripe has: received in the currency's smallest unit, and how much of it was given back."""

    received: int
    currency: str
    refunded: int = 0

    @property
    def kept(self) -> int:
        """What is left of it."""
        return self.received - self.refunded


@dataclass(frozen=True)
class Verdict:
    """What a PaymentIntent's status means for the order: ``outcome`` is the flow's Choice.

    paid, waiting, declined, canceled; or ``mismatch`` / ``unexpected``, which only a person may decide.
    """

    outcome: str
    why: str = ""


def judge(
    *,
    status: str,
    amount: int,
    amount_received: int,
    currency: str,
    livemode: bool,
    due: int,
    expect_live: bool,
    amount_refunded: int = 0,
    accepted: Container[Money] = (),
) -> Verdict:
    """Say what a PaymentIntent's state means for an order over ``due`` yen.

    ``accepted`` is the money with which a person has let this order go forward although it is not what was due.
    """
    if status == "succeeded":
        if livemode != expect_live:
            return Verdict("mismatch", f"livemode is {livemode}, the shop runs with {expect_live}")
        if Money(amount_received, currency, amount_refunded) in accepted:
            return Verdict("paid")
        if currency != "jpy":
            return Verdict("mismatch", f"paid in {currency}, the order is in yen")
        if not amount == amount_received == due:
            return Verdict("mismatch", f"paid {amount_received} of {amount} yen, the order is over {due}")
        if amount_refunded:
            # Given back by a person in Stripe's dashboard before the order was recorded: whether the goods still go
            # out is that person's to say.
            return Verdict("mismatch", f"{amount_refunded} of {due} yen have been given back at Stripe")
        return Verdict("paid")
    if status in ("requires_action", "processing"):
        return Verdict("waiting")
    if status in ("requires_payment_method", "requires_confirmation"):
        return Verdict("declined")
    if status == "canceled":
        return Verdict("canceled")
    return Verdict("unexpected", f"the payment's status is {status[:40]}")


#: Issuers' reasons that may be gone in a moment (docs.stripe.com/declines/codes).
_LATER = frozenset({"try_again_later", "issuer_not_available", "reenter_transaction"})
#: The way of paying itself is out of order or overrun; konbini has limits of its own (docs.stripe.com/error-codes).
_NOT_NOW = frozenset({"payment_method_not_available", "payment_method_rate_limit_exceeded"})


def may_ask_again(asked_at: datetime | None, now: datetime) -> bool:
    """Say whether the confirmation may be posted again under its key."""
    return asked_at is not None and now - asked_at < KEY_LIVES


def reason(error_code: str, decline_code: str) -> str:
    """Sort a decline into what the shopper can do about it.

    All the issuer's reasons are one: whoever tries stolen cards out must learn nothing from the words.
    """
    if error_code == "payment_intent_authentication_failure":
        return "not_authenticated"
    if error_code == VOUCHER_EXPIRED:
        return "konbini_expired"
    if error_code == "payment_method_not_available" or error_code.startswith("payment_intent_konbini"):
        # A store's network is away, or refuses a number (docs.stripe.com/payments/konbini/accept-a-payment).
        return "not_available"
    if "processing_error" in (error_code, decline_code) or decline_code in _LATER or error_code in _NOT_NOW:
        return "try_again"
    if error_code.startswith("confirmation_token") or error_code == "resource_missing":
        return "reenter"
    return "declined"
