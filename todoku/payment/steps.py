"""What a flow may ask of the payment: look first, ask once, believe only Stripe's own answer."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import (
    AnotherRequest,
    Declined,
    FailureKept,
    Gateway,
    KeyRefused,
    Payment,
    Refused,
    VoucherSlip,
)
from todoku.payment import rules
from todoku.payment.models import AcceptedAmount, Attempt, Intent, Outcome, Voucher
from todoku.shop import chosen
from todoku.stock.models import Reservation

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
    if attempt.outcome == Outcome.PENDING and not _is_over(order) and not _is_held(order, attempt):
        # This play began for an earlier attempt and slept; the goods of this one are not held. Whoever placed it has
        # knocked, and that play begins at the top.
        return Finding("waiting", "next_play", attempt.number)
    try:
        answer = _answer(gateway, order, attempt, intent.stripe_id, return_url=return_url)
    except KeyRefused as error:
        raise NeedsOperator(
            "stripe_key_refused", "Stripe does not accept the shop's key. Check STRIPE_SECRET_KEY."
        ) from error
    return replace(_conclude(order, attempt, intent, answer), attempt=attempt.number)


def _is_over(order: Order) -> bool:
    """Say whether nobody may be asked for this order's money any more."""
    return order.withdrawn_at is not None or timezone.now() >= order.pay_by


def _is_held(order: Order, attempt: Attempt) -> bool:
    """Say whether the goods are held for this very attempt."""
    held = Reservation.objects.filter(order=order, attempt=attempt.number, state=Reservation.State.HELD)
    return held.exists()


def _answer(
    gateway: Gateway, order: Order, attempt: Attempt, intent: str, *, return_url: str
) -> Payment | Declined:
    """One conversation with Stripe: the intent as it stands after whatever had to be asked."""
    over = _is_over(order)
    first = attempt.outcome == Outcome.PENDING and not over
    if not first:
        payment = gateway.look(intent)
        if payment.status not in rules.PAYABLE:
            return payment
        if payment.voucher is not None and order.withdrawn_at is None:
            # A voucher is never given up by our own clock: a slip from before the deadline still pays at the till.
            return payment
        if over or rules.given_up(
            status=payment.status, waits_for=attempt.waits_for, error_code=payment.error_code
        ):
            # Past its time, withdrawn, or a voucher that Stripe has given up: make sure that it cannot be paid.
            canceled = _cancel(gateway, attempt, intent)
            # Stripe may clear the error when the intent changes, and it says how the attempt ended.
            return replace(canceled, error_code=canceled.error_code or payment.error_code)
        unanswered = attempt.outcome == Outcome.ASKED and payment.status != "requires_action"
        if not unanswered:
            return payment
        if not rules.may_ask_again(attempt.asked_at, timezone.now()):
            # The key may be forgotten by now: a POST would be a new one. Nothing was paid; make sure of it.
            return _cancel(gateway, attempt, intent)
    # Committed before the call: whoever plays next knows that Stripe may have been asked.
    Attempt.objects.filter(pk=attempt.pk, asked_at=None).update(outcome=Outcome.ASKED, asked_at=timezone.now())
    try:
        answer = gateway.confirm(
            intent,
            key=f"{attempt.key}:confirm",
            confirmation_token=attempt.confirmation_token,
            return_url=return_url,
            konbini_days=_konbini_days(attempt),
        )
        # Asked again, Stripe may repeat what it said the first time: how the intent stands by now is another question.
        return answer if first or isinstance(answer, Declined) else gateway.look(intent)
    except FailureKept:
        # Stripe failed and will say so for a day under this key, whatever it did. How the intent stands tells: it may
        # be paid, or wait for the bank or for the till. If nothing is to be seen, a cancel has a definite answer:
        # the shopper may order anew, or the money came in after all.
        payment = gateway.look(intent)
        if payment.status not in ("requires_payment_method", "requires_confirmation"):
            return payment
        return _cancel(gateway, attempt, intent)
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


def _konbini_days(attempt: Attempt) -> int | None:
    """How long a voucher of this attempt lives: as it was when the shopper pressed, whatever is chosen since."""
    if attempt.konbini_days is not None:
        return attempt.konbini_days or None
    # Pressed before that was written down.
    return chosen.now().konbini_days if chosen.now().konbini else None


def _cancel(gateway: Gateway, attempt: Attempt, intent: str) -> Payment:
    """Cancel the intent; if the cancel loses to a payment, say what won.

    A definite no (the customer stands at the till) and a failure that Stripe keeps would come back under their key
    for a day: the next cancel goes under the next one. That is safe, since an intent is canceled once at most.
    """
    more = f":{attempt.cancels_refused}" if attempt.cancels_refused else ""
    try:
        return gateway.cancel(intent, key=f"{attempt.key}:cancel{more}")
    except KeyRefused:
        raise
    except FailureKept:
        _count_refusal(attempt)
        raise
    except Refused as error:
        _count_refusal(attempt)
        payment = gateway.look(intent)
        if payment.voucher is not None:
            # The customer stands at the till: tried again at the next look; the stock stays where it is.
            return payment
        if payment.status in rules.PAYABLE:
            raise Unavailable(f"Stripe will not cancel {intent} now: {error.code}") from error
        return payment


def _count_refusal(attempt: Attempt) -> None:
    # Two plays that were refused under one key count it once.
    Attempt.objects.filter(pk=attempt.pk, cancels_refused=attempt.cancels_refused).update(
        cancels_refused=attempt.cancels_refused + 1
    )


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
        amount_refunded=answer.amount_refunded,
        accepted=accepted(order) if answer.status == "succeeded" else (),
    )
    if verdict.outcome in ("paid", "mismatch"):
        _write(attempt, Outcome.PAID, answer, "")
    elif verdict.outcome == "waiting":
        attempt.waits_for = _waits_for(answer)
        with transaction.atomic():
            if answer.voucher is not None:
                _keep_voucher(attempt, answer.voucher)
            _write(attempt, Outcome.WAITING, answer, "")
        return Finding("waiting", attempt.waits_for)
    elif verdict.outcome == "declined":
        _write(attempt, Outcome.DECLINED, answer, answer.decline_code or answer.error_code)
        return Finding("declined", rules.reason(answer.error_code, answer.decline_code))
    elif verdict.outcome == "canceled":
        _write(attempt, Outcome.CANCELED, answer, "")
        Intent.objects.filter(pk=intent.pk, canceled_at=None).update(canceled_at=timezone.now())
        if order.withdrawn_at:
            return Finding("canceled", "withdrawn")
        konbini = attempt.waits_for == "konbini"
        if answer.error_code == rules.VOUCHER_EXPIRED or (konbini and timezone.now() >= order.pay_by):
            return Finding("expired", "konbini_expired")
        if konbini:
            # Not by us: a person has canceled it in Stripe's dashboard.
            return Finding("canceled", "at_stripe")
        return Finding("canceled", "expired" if timezone.now() >= order.pay_by else "unanswered")
    if verdict.outcome == "mismatch":
        raise NeedsOperator("amount_mismatch", f"The money does not match the order: {verdict.why}.")
    if verdict.outcome == "unexpected":
        raise NeedsOperator("unexpected_status", f"Stripe answered something unexpected: {verdict.why}.")
    return Finding(verdict.outcome)


def accepted(order: Order) -> set[rules.Money]:
    """The money with which a person has let this order go forward."""
    rows = AcceptedAmount.objects.filter(order=order).values_list("received", "currency", "refunded")
    return {rules.Money(*row) for row in rows}


def _waits_for(payment: Payment) -> str:
    if payment.voucher is not None:
        return "konbini"
    return "authentication" if payment.status == "requires_action" else "processing"


def _keep_voucher(attempt: Attempt, slip: VoucherSlip) -> None:
    """Keep the voucher's codes. They do not change while it lives; should Stripe show others, those are right."""
    shown = {
        "expires_at": slip.expires_at,
        "url": slip.url[:500],
        "stores": [asdict(store) for store in slip.stores],
    }
    voucher, is_new = Voucher.objects.get_or_create(
        attempt=attempt, defaults={**shown, "remind_at": rules.remind_at(slip.expires_at, timezone.now())}
    )
    if not is_new and any(getattr(voucher, name) != value for name, value in shown.items()):
        Voucher.objects.filter(pk=voucher.pk).update(**shown)


# Plain SQL, as in the ledger: asked at every look of every play, and building it anew costs more than doing it.
# What Stripe says of the intent is about the order's present attempt: a play that has slept since an earlier one must
# not note a second card's money on the first. And an answer that was long on its way is overtaken by "paid".
_NOTE = """
    UPDATE payment_attempt
       SET outcome = %s, decline_code = %s, method = %s, waits_for = %s, chain = %s, charge = %s, card_brand = %s,
           card_last4 = %s, settled_at = %s
     WHERE id = %s AND number = (SELECT attempts FROM order_order WHERE order_order.id = payment_attempt.order_id)
       AND (outcome <> 'paid' OR %s)
"""


def _write(attempt: Attempt, outcome: Outcome, payment: Payment | None, decline_code: str) -> None:
    attempt.outcome = outcome
    attempt.decline_code = decline_code[:64]
    if payment is not None:
        attempt.charge = payment.charge
        attempt.card_brand = payment.card_brand
        attempt.card_last4 = payment.card_last4
        attempt.method = (payment.method or attempt.method)[:16]
        attempt.chain = payment.chain[:16]
    if outcome != Outcome.WAITING and attempt.settled_at is None:
        attempt.settled_at = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            _NOTE,
            [
                outcome.value, attempt.decline_code, attempt.method, attempt.waits_for, attempt.chain, attempt.charge,
                attempt.card_brand, attempt.card_last4, attempt.settled_at, attempt.pk, outcome == Outcome.PAID,
            ],
        )  # fmt: skip
        noted = cursor.rowcount
    if not noted:
        raise Unavailable(f"attempt {attempt.number} is known to be paid, or no longer the order's present one")


def as_answer(finding: Finding) -> dict[str, Any]:
    """The finding as the ledger keeps it and the flow chooses by it."""
    answer = {"outcome": finding.outcome}
    return {**answer, "reason": finding.reason} if finding.reason else answer
