"""The steps of ``checkout.asl.json``: each name, and what it does. Change one here.

The nouns do the work; what spans two of them is joined here.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from todoku.bad_news import Unavailable
from todoku.cart.models import Cart
from todoku.cart.steps import close_cart, set_aside
from todoku.flows.step import Step
from todoku.notify import outbox
from todoku.notify.steps import mark_sent, send
from todoku.order import links
from todoku.order.models import Order, Status
from todoku.order.moves import move, write
from todoku.order.rules import PAID
from todoku.order.steps import publish_to_my_page, record_order
from todoku.payment.models import OVER, Voucher
from todoku.payment.steps import Finding, as_answer, ask
from todoku.shop import chosen
from todoku.stock import steps as stock

#: An order that waits for its customer is looked at again after so long, in case no webhook comes.
LOOK_AGAIN_AFTER = timedelta(minutes=1)
#: A konbini voucher is looked at this often at least, for as long as it lives.
LOOK_AT_VOUCHER_EVERY = timedelta(minutes=30)


def take_stock(order: Order, _: None) -> dict[str, Any]:
    """Hold the goods; if they have sold out, the order is not paid and says which lines.

    An order that is over by now (a play that had slept saw its deadline first) holds nothing any more: nobody would
    give it back. The payment is looked at all the same.
    """
    if order.status != Status.PLACED:
        return {"outcome": "taken", "held": "nothing"}
    answer = stock.take_stock(order, None)
    if answer["outcome"] == "sold_out":
        move(order, Status.NOT_PAID, setback=answer, next_look_at=None)
    return answer


def take_payment(order: Order) -> Finding:
    """Look, ask once, and find out how the money stands (no transaction is open here)."""
    return ask(order, return_url=links.address(order) + "back/")


def payment_taken(order: Order, finding: Finding) -> dict[str, Any]:
    """Write the order's side of what Stripe has said."""
    answer = as_answer(finding)
    if finding.outcome == "paid":
        if order.status not in PAID:
            move(order, Status.PAID, paid_at=timezone.now(), next_look_at=None, setback=None)
    elif finding.attempt != order.attempts:
        # We have slept, and the shopper has tried another card meanwhile: this is not about that one.
        raise Unavailable(f"attempt {finding.attempt} is no longer the order's present one")
    elif finding.outcome == "waiting":
        if order.status == Status.CANCELED:
            # We have slept, and the order has ended meanwhile: the next try looks again.
            raise Unavailable("the order has ended while this play slept")
        _wait(order, finding)
    elif order.status == Status.CANCELED:
        # Looked at once more after its end, and it is as it was.
        return answer
    else:
        write(order, setback=answer)
        if order.status == Status.NOT_PAID:
            write(order, next_look_at=None)
        if finding.outcome in ("canceled", "expired") and order.status == Status.NOT_PAID:
            # Its stock went back when its last attempt was declined, and no step of this attempt is left to do.
            _cancel(order)
    return answer


def _wait(order: Order, finding: Finding) -> None:
    """Say when the order is looked at next, should no webhook come; a konbini order leaves the shopper's hand."""
    now = timezone.now()
    if finding.reason != "konbini" or order.status != Status.PLACED:
        waited = now - (order.pay_by - timedelta(minutes=chosen.now().pay_within_minutes))
        # Seldom at first, when a webhook is on its way anyway, and ever more seldom then; but at the deadline.
        late = order.pay_by if order.pay_by > now else now + LOOK_AGAIN_AFTER
        write(order, next_look_at=min(now + max(LOOK_AGAIN_AFTER, waited), late))
        return
    voucher = Voucher.objects.get(attempt__order=order, attempt__number=order.attempts)
    set_aside(order)
    if order.withdrawn_at is None and now < voucher.expires_at:
        outbox.write(order, "konbini_codes")
    waited = now - voucher.issued_at
    wait = LOOK_AGAIN_AFTER if order.withdrawn_at else min(max(LOOK_AGAIN_AFTER, waited), LOOK_AT_VOUCHER_EVERY)
    write(order, pay_by=voucher.expires_at, next_look_at=now + wait)


def return_stock(order: Order, _: None) -> dict[str, Any]:
    """Put the goods back; only now may the shopper try another card, or order anew."""
    if not order.payment_attempts.filter(number=order.attempts, outcome__in=OVER).exists():
        # The finding that led here was about an earlier attempt; the present one may still be paid.
        return {"outcome": "not_over"}
    answer = stock.return_stock(order, None)
    if (order.setback or {}).get("outcome") in ("canceled", "expired"):
        if order.status != Status.CANCELED:
            _cancel(order)
            _tell_of_the_end(order)
    elif order.status == Status.PLACED:
        move(order, Status.NOT_PAID, next_look_at=None)
    return answer


def _tell_of_the_end(order: Order) -> None:
    """Write to a customer who was given codes that they are worth nothing any more."""
    if (order.setback or {}).get("outcome") == "expired":
        outbox.write(order, "konbini_expired")
    elif Voucher.objects.filter(attempt__order=order, attempt__number=order.attempts).exists():
        outbox.write(order, "konbini_canceled")


def _cancel(order: Order) -> None:
    """End the order. It has used up its cart version: the next quote, and its order, are new ones."""
    move(order, Status.CANCELED, next_look_at=None)
    Cart.objects.filter(pk=order.cart_id, closed_at=None, version=order.cart_version).update(
        version=order.cart_version + 1
    )


STEPS = {
    step.name: step
    for step in (
        Step("TakeStock", effect=take_stock, per_attempt=True),
        Step(
            "TakePayment",
            outside=take_payment,
            effect=payment_taken,
            # Only "paid" is for ever. After anything else the next play looks at Stripe again.
            final=lambda answer: answer["outcome"] == "paid",
        ),
        Step(
            "ReturnStock",
            effect=return_stock,
            per_attempt=True,
            final=lambda answer: answer["outcome"] != "not_over",
        ),
        Step("RecordOrder", effect=record_order),
        Step("CloseCart", effect=close_cart),
        Step("PublishToMyPage", effect=publish_to_my_page),
        Step("SendMail", outside=send, effect=mark_sent),
    )
}
