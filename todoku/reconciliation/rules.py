"""What does not agree, and where: pure, imports no Django.

Each rule takes facts that were read together and says what drifted. Work in progress is not drift: an order that
is being played, or that has its next look ahead of it, is left alone wherever that look would find the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from todoku.gateways.gateway import Payment, Returned
from todoku.reconciliation.facts import IntentFacts, LevelFacts, OrderFacts, RefundFacts

#: A play that runs longer than this has gone through all its tries, or has nobody to play it.
LONGEST_PLAY = timedelta(hours=2)
#: The worker gives a lost play its job again within seconds; after so long there is no worker.
LONGEST_WITHOUT_JOB = timedelta(minutes=10)
#: How late a look, a first play or a paid order's next step may be before it is drift.
LATE = timedelta(minutes=15)
#: How long a confirmation may stay without an answer.
LONGEST_UNKNOWN = timedelta(hours=1)
#: A PaymentIntent that nobody has touched for so long was left behind.
LEFT_AFTER = timedelta(hours=24)

PAYABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
#: Money has moved, or may.
IN_MOTION = frozenset({"succeeded", "processing", "requires_action", "requires_capture"})
PAID = frozenset({"paid", "recorded", "complete"})
RECORDED = frozenset({"recorded", "complete"})
OVER = frozenset({"not_paid", "canceled"})


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that does not agree: what kind, about what, and the two numbers where there are two."""

    code: str
    about: str
    order: int | None = None
    #: The PaymentIntent that has to be looked at again before anything is done about it.
    payment: str = ""
    ours: int | None = None
    theirs: int | None = None
    #: Ids, states and amounts for the operator; never personal data.
    detail: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """Stripe is ahead of an order whose next look is still to come: no drift, but worth a knock now."""

    order: int


def at_work(order: OrderFacts, now: datetime) -> bool:
    """Say whether a play of the order is under way and within its time."""
    started = order.play_started_at
    return order.play == "RUNNING" and started is not None and now - started < LONGEST_PLAY


def left_alone(order: OrderFacts, now: datetime) -> bool:
    """Say whether somebody is on it: a play, or a person with an open case."""
    return at_work(order, now) or order.has_case


def of_payment(
    payment: Payment, intent: IntentFacts | None, order: OrderFacts | None, *, now: datetime, live: bool
) -> Iterator[Drift | News]:
    """Compare one PaymentIntent with our row of it and the order that holds it."""
    succeeded = payment.status == "succeeded"
    kept = succeeded and payment.amount_refunded < payment.amount_received
    told = f"{payment.id} {payment.status}, {payment.amount_received} of {payment.amount} {payment.currency}"
    if intent is None:
        # What an account without our metadata does beside the shop is none of the shop's business.
        if payment.metadata.get("todoku_intent") and payment.status in IN_MOTION and (kept or not succeeded):
            yield Drift("unknown_intent", payment.id, None, payment.id, None, payment.amount, told)
        return
    if order is None or intent.stripe_id != payment.id:
        if kept:
            yield Drift("paid_without_order", payment.id, None, payment.id, None, payment.amount_received, told)
        elif payment.status in PAYABLE and intent.stripe_id != payment.id and _left(intent, now):
            yield Drift("answer_lost", payment.id, None, payment.id, None, payment.amount, told)
        elif payment.status in PAYABLE and intent.stripe_id == payment.id and intent.canceled_at is not None:
            yield Drift("canceled_here_open_there", payment.id, None, payment.id, None, payment.amount, told)
        return
    told = f"{told}; {order.number} {order.status}, {order.total} jpy"

    def drift(code: str, theirs: int | None = None) -> Drift:
        received = payment.amount_received if succeeded else payment.amount
        shown = received if theirs is None else theirs
        return Drift(code, payment.id, order.id, payment.id, order.total, shown, told)

    if order.written_off_with is not None:
        # A person has ended it, with so much at Stripe as there was then. What comes in afterwards is nobody's yet.
        if succeeded and payment.amount_received - payment.amount_refunded > order.written_off_with:
            yield drift("paid_after_write_off")
        elif payment.status in PAYABLE:
            yield drift("canceled_but_payable")
        return
    has_been_accepted = succeeded and _accepted(payment, order)
    if has_been_accepted:
        if payment.livemode != live:
            yield drift("livemode_differs")
    elif payment.status != "canceled" and order.status != "canceled" and not left_alone(order, now):
        if payment.livemode != live:
            yield drift("livemode_differs")
        if payment.currency != "jpy":
            yield drift("currency_differs")
        elif not succeeded and payment.amount != order.total:
            yield drift("intent_amount_changed")
        elif succeeded and payment.amount_received != payment.amount:
            yield drift("amount_received_differs")
        elif succeeded and payment.amount_received != order.total:
            yield drift("amount_paid_differs")
    if order.status in PAID:
        if not succeeded:
            yield drift("complete_not_paid", 0)
        return
    if left_alone(order, now):
        return
    if order.status == "canceled" and payment.status in PAYABLE:
        yield drift("voucher_open_order_canceled" if payment.voucher is not None else "canceled_but_payable")
        return
    if payment.status == "processing" and order.status != "placed":
        yield drift("waiting_not_known")
    elif kept or (payment.status == "canceled" and order.status != "canceled"):
        if order.status == "placed" and order.next_look_at is not None and now - order.next_look_at < LATE:
            yield News(order.id)
        elif succeeded:
            yield drift("voucher_paid" if order.waits_for == "konbini" else "paid_not_known")
        else:
            yield drift("canceled_not_known")


def _accepted(payment: Payment, order: OrderFacts) -> bool:
    """Say whether a person has let the order go forward with this money; more may have been given back since."""
    return any(
        (received, currency) == (payment.amount_received, payment.currency) and refunded <= payment.amount_refunded
        for received, currency, refunded in order.accepted
    )


def _left(intent: IntentFacts, now: datetime) -> bool:
    return now - max(intent.created_at, intent.changed_at) >= LEFT_AFTER


def is_known(refund: Returned, order: OrderFacts) -> bool:
    """Say whether a person has already taken this refund into account: they accepted what was left, or wrote it off."""
    if refund.status not in ("succeeded", "pending"):
        return False
    if order.written_off_with is not None:
        return True
    return any(0 < refund.amount <= refunded for _received, _currency, refunded in order.accepted)


def of_own_refund(refund: Returned, ours: RefundFacts) -> Iterator[Drift]:
    """Compare a refund at Stripe with the person's wish that it was made for."""
    told = f"{refund.id} {refund.status}, {refund.amount} {refund.currency}"
    told = f"{told}; {ours.name} {ours.state}, {ours.amount} jpy"

    def drift(code: str) -> Drift:
        return Drift(code, refund.id, ours.order, "", ours.amount, refund.amount, told)

    lost = refund.status in ("failed", "canceled")
    if (refund.amount, refund.currency) != (ours.amount, "jpy"):
        yield drift("refund_differs")
    elif ours.state not in REFUND_ASKED and not lost:
        # Stripe has given what nobody, or nobody any more, has said yes to.
        yield drift("refund_differs")
    elif ours.state != refund.status and not ours.left_alone and not (lost and ours.state == "refused"):
        yield drift("refund_not_known")


def of_waiting_refund(ours: RefundFacts, *, now: datetime) -> Iterator[Drift]:
    """Say whether a refund that is not at its end is still being looked after."""
    if ours.finished or ours.left_alone or ours.state not in REFUND_GIVEN or ours.approved_at is None:
        return
    due = ours.approved_at if ours.state == "succeeded" or ours.next_look_at is None else ours.next_look_at
    if now - due > LATE:
        yield Drift("refund_overdue", ours.name, ours.order, "", ours.amount, None, f"{ours.name} {ours.state}")


#: Our states of a refund that a person has said yes to, and of those that Stripe may have been asked for.
REFUND_GIVEN = frozenset({"approved", "asked", "requires_action", "pending", "succeeded"})
REFUND_ASKED = REFUND_GIVEN | {"failed", "canceled"}


def of_refund(refund: Returned, order: OrderFacts) -> Drift:
    """Say what a refund means that somebody made in Stripe's dashboard."""
    if refund.status in ("failed", "canceled"):
        code = "refund_failed"
    elif refund.status == "requires_action":
        code = "refund_waits"
    else:
        code = "refunded_whole" if refund.amount >= order.total else "refunded_part"
    told = f"{refund.id} {refund.status}, {refund.amount} jpy of {refund.payment_intent}; {order.number}"
    return Drift(code, refund.id, order.id, "", order.total, refund.amount, told)


def of_dispute(dispute: Returned, order: OrderFacts) -> Iterator[Drift]:
    """Say whether a dispute has to be answered, or was lost."""
    if dispute.status in ("won", "warning_closed", "prevented"):
        return
    code = "dispute_lost" if dispute.status == "lost" else "dispute_opened"
    told = f"{dispute.id} {dispute.status}, {dispute.amount} jpy of {dispute.payment_intent}; {order.number}"
    yield Drift(code, dispute.id, order.id, "", order.total, dispute.amount, told)


def of_order(order: OrderFacts, *, now: datetime) -> Iterator[Drift]:
    """Compare an order with everything of ours that hangs on it."""

    def drift(code: str, detail: str = "", ours: int | None = None, theirs: int | None = None) -> Drift:
        told = f"{order.number} {order.status}, attempt {order.attempts} {order.outcome or 'missing'}"
        return Drift(code, order.number, order.id, "", ours, theirs, f"{told}; {detail}" if detail else told)

    if order.status == "written_off":
        # A person has ended it, whatever state it was in; only what it holds would be in others' way.
        if order.held:
            yield drift("held_by_dead_order", f"held {_counts(order.held)}")
        return
    yield from (drift(code) for code in _of_its_play(order, now))
    yield from (drift(code) for code in _of_its_money(order, now))
    if order.lines_total != order.goods_total:
        yield drift("lines_differ", "the lines' sum and the order's goods", order.goods_total, order.lines_total)
    if order.quote_total != order.total:
        yield drift("quote_differs", "the quote's total and the order's", order.total, order.quote_total)
    yield from (drift(code) for code in _of_its_arrival(order))
    yield from (
        drift(code, f"ordered {_counts(order.lines)}, held {_counts(order.held)}, sold {_counts(order.sold)}")
        for code in _of_its_goods(order)
    )


def _of_its_play(order: OrderFacts, now: datetime) -> Iterator[str]:
    if order.play == "RUNNING" and order.play_started_at is not None:
        running = now - order.play_started_at
        if not order.play_has_job and running > LONGEST_WITHOUT_JOB:
            yield "play_lost"
        elif running >= LONGEST_PLAY:
            yield "play_too_long"
        return
    if order.play == "FAILED" and not order.has_case and order.status != "complete":
        yield "failed_without_case"
        return
    if not order.play:
        if now - order.placed_at > LATE:
            yield "order_without_play"
        return
    if order.has_case:
        return
    if order.status in ("paid", "recorded"):
        last = order.recorded_at or order.paid_at or order.placed_at
        if now - last > LATE:
            yield "paid_and_stuck"
    elif order.status == "placed":
        if order.next_look_at is None:
            yield "no_next_look"
        elif now - order.next_look_at > LATE:
            yield "overdue_look"
        if order.outcome == "asked" and order.asked_at is not None and now - order.asked_at > LONGEST_UNKNOWN:
            yield "asked_too_long"
        if order.withdrawn_at is not None and now - order.withdrawn_at > LONGEST_UNKNOWN and not order.has_voucher:
            yield "withdrawn_alive"


def _of_its_money(order: OrderFacts, now: datetime) -> Iterator[str]:
    if order.stripe_id is None:
        yield "order_without_stripe_id"
    if not order.outcome:
        yield "order_without_attempt"
    paid_by_ledger = order.ledger.get("TakePayment:0") == "paid"
    if order.status in PAID:
        if not paid_by_ledger:
            yield "paid_without_ledger"
        if not order.paid_attempts:
            yield "paid_attempt_not_paid"
    elif paid_by_ledger:
        yield "ledger_paid_order_not"
    elif order.paid_attempts and not left_alone(order, now):
        yield "attempt_paid_order_not"


def _of_its_arrival(order: OrderFacts) -> Iterator[str]:
    if order.status in RECORDED:
        if not order.slips:
            yield "recorded_without_slip"
        if not order.cart_closed and (order.status == "complete" or "CloseCart:0" in order.ledger):
            yield "recorded_with_open_cart"
    elif order.slips:
        yield "slip_without_record"
    if order.status == "complete":
        if not order.on_my_page:
            yield "complete_without_my_page"
        if not order.mail_sent:
            yield "complete_without_mail"


def _of_its_goods(order: OrderFacts) -> Iterator[str]:
    if order.most_holds > 1:
        yield "held_twice"
    if order.status in RECORDED:
        if order.held:
            yield "held_after_sale"
        if order.sold != order.lines:
            yield "sold_differs"
        return
    if any(order.sold.values()):
        yield "sold_without_record"
    if order.status in OVER:
        if order.held:
            yield "held_by_dead_order"
    elif order.status == "placed" and order.ledger.get(f"TakeStock:{order.attempts}") == "taken":
        if not order.held:
            yield "placed_without_hold"
        elif order.held != order.lines and order.most_holds == 1:
            yield "hold_differs"


def _counts(goods: object) -> str:
    return str(goods).replace("'", "") if goods else "nothing"


def of_level(level: LevelFacts) -> Iterator[Drift]:
    """Compare a product's level with what its movements, holds and orders add up to."""
    for code, ours, theirs, what in (
        ("on_hand_off", level.on_hand, level.moved_on_hand, "on hand by the level and by the movements"),
        ("reserved_off", level.reserved, level.moved_reserved, "reserved by the level and by the movements"),
        ("sold_off", level.sold, level.moved_sold, "sold by the level and by the movements"),
        ("reserved_not_held", level.reserved, level.held, "reserved by the level and by the orders' holds"),
    ):
        if ours != theirs:
            yield Drift(code, level.sku, None, "", ours, theirs, f"{what}: {ours}, {theirs}")
    if level.sold < level.ordered:
        what = f"sold by the level and in recorded orders: {level.sold}, {level.ordered}"
        yield Drift("sold_less_than_recorded", level.sku, None, "", level.sold, level.ordered, what)
