"""What a flow may ask of the payment: look first, ask once, believe only Stripe's own answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import AnotherRequest, Declined, Gateway, KeyRefused, Payment, Refused
from todoku.payment import rules
from todoku.payment.models import Attempt, Intent, Outcome

if TYPE_CHECKING:
    from todoku.order.models import Order

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What Stripe said in this play: the flow's outcome, and why not when it is not paid."""

    outcome: str
    reason: str = ""
    #: Which attempt it is about.
    attempt: int = 0


def ask(order: Order, *, return_url: str) -> Finding:
    """Find out how the order's present attempt stands, and ask for the money if nobody has asked yet.

    Talks to Stripe, so it runs outside any transaction; every fact is committed as soon as it is known, before
    anything is concluded from it. Raises ``Unavailable`` when the outcome is unknown (the next play looks
    before it asks) and ``NeedsOperator`` when the money and the order do not agree.
    """
    gateway: Gateway = stripe_gateway.for_worker()
    attempt = Attempt.objects.get(order=order, number=order.attempts)
    intent = order.intent
    assert intent.stripe_id is not None, "an order takes only an intent that Stripe has answered for"
    over = order.withdrawn_at is not None or timezone.now() >= order.pay_by
    try:
        answer = _answer(gateway, order, attempt, intent.stripe_id, over=over, return_url=return_url)
    except KeyRefused as error:
        raise NeedsOperator(
            "stripe_key_refused", "Stripe does not accept the shop's key. Check STRIPE_SECRET_KEY."
        ) from error
    return replace(_conclude(order, attempt, intent, answer), attempt=attempt.number)


def _answer(
    gateway: Gateway, order: Order, attempt: Attempt, intent: str, *, over: bool, return_url: str
) -> Payment | Declined:
    """One conversation with Stripe: the intent as it stands after whatever had to be asked."""
    first = attempt.outcome == Outcome.PENDING and not over
    if not first:
        payment = gateway.look(intent)
        if payment.status not in rules.PAYABLE:
            return payment
        if over:
            return _cancel(gateway, attempt, intent)
        unanswered = attempt.outcome == Outcome.ASKED and payment.status != "requires_action"
        if not unanswered:
            return payment
        if not rules.may_ask_again(attempt.asked_at, timezone.now()):
            # The key may be forgotten by now: a POST would be a new one. Nothing was paid; make sure of it.
            return _cancel(gateway, attempt, intent)
    # Committed before the call: whoever plays next knows that Stripe may have been asked.
    Attempt.objects.filter(pk=attempt.pk, asked_at=None).update(outcome=Outcome.ASKED, asked_at=timezone.now())
    try:
        return gateway.confirm(
            intent,
            key=f"{attempt.key}:confirm",
            confirmation_token=attempt.confirmation_token,
            return_url=return_url,
        )
    except KeyRefused:
        raise
    except AnotherRequest as error:
        # The parameters have changed since (the shop's address, say), and the first request may still pay.
        raise Unavailable(f"Stripe has another request under the key of {intent}") from error
    except Refused as error:
        # The card's token has expired or was used, or the intent has moved on: how it stands decides.
        log.warning("order %s: Stripe refused to confirm %s: %s", order.number, intent, error)
        payment = gateway.look(intent)
        if payment.status in ("requires_payment_method", "requires_confirmation"):
            return Declined(error.code, "", payment)
        return payment


def _cancel(gateway: Gateway, attempt: Attempt, intent: str) -> Payment:
    """Cancel the intent; if the cancel loses to a payment, say what won."""
    try:
        return gateway.cancel(intent, key=f"{attempt.key}:cancel")
    except KeyRefused:
        raise
    except Refused as error:
        payment = gateway.look(intent)
        if payment.status in rules.PAYABLE:
            # The customer is in the middle of paying: ask again later; the stock stays where it is.
            raise Unavailable(f"Stripe will not cancel {intent} now: {error.code}") from error
        return payment


def _conclude(order: Order, attempt: Attempt, intent: Intent, answer: Payment | Declined) -> Finding:
    """Write down what Stripe said, then say what it means."""
    if isinstance(answer, Declined):
        reason = rules.reason(answer.error_code, answer.decline_code)
        _write(attempt, Outcome.DECLINED, answer.payment, answer.decline_code or answer.error_code)
        return Finding("declined", reason)
    verdict = rules.judge(
        status=answer.status,
        amount=answer.amount,
        amount_received=answer.amount_received,
        currency=answer.currency,
        livemode=answer.livemode,
        due=order.total,
        expect_live=settings.STRIPE.livemode,
    )
    if verdict.outcome in ("paid", "mismatch"):
        _write(attempt, Outcome.PAID, answer, "")
    elif verdict.outcome == "waiting":
        _write(attempt, Outcome.WAITING, answer, "")
    elif verdict.outcome == "declined":
        _write(attempt, Outcome.DECLINED, answer, answer.decline_code or answer.error_code)
        return Finding("declined", rules.reason(answer.error_code, answer.decline_code))
    elif verdict.outcome == "canceled":
        _write(attempt, Outcome.CANCELED, answer, "")
        Intent.objects.filter(pk=intent.pk, canceled_at=None).update(canceled_at=timezone.now())
        return Finding("canceled", "withdrawn" if order.withdrawn_at else "expired")
    if verdict.outcome == "mismatch":
        raise NeedsOperator("amount_mismatch", f"The money does not match the order: {verdict.why}.")
    if verdict.outcome == "unexpected":
        raise NeedsOperator("unexpected_status", f"Stripe answered something unexpected: {verdict.why}.")
    return Finding(verdict.outcome)


def _write(attempt: Attempt, outcome: Outcome, payment: Payment | None, decline_code: str) -> None:
    attempt.outcome = outcome
    attempt.decline_code = decline_code[:64]
    if payment is not None:
        attempt.charge = payment.charge
        attempt.card_brand = payment.card_brand
        attempt.card_last4 = payment.card_last4
    if outcome != Outcome.WAITING:
        attempt.settled_at = timezone.now()
    attempt.save(
        update_fields=["outcome", "decline_code", "charge", "card_brand", "card_last4", "settled_at"]
    )


def as_answer(finding: Finding) -> dict[str, Any]:
    """The finding as the ledger keeps it and the flow chooses by it."""
    answer = {"outcome": finding.outcome}
    return {**answer, "reason": finding.reason} if finding.reason else answer
