"""An order paid at a konbini: placed, held, told how to pay, and then paid, or ended by Stripe's word only."""

from __future__ import annotations

from datetime import timedelta

from django.core import mail
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from todoku.cart import fill
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.notify import outbox
from todoku.order.models import Order, Status
from todoku.payment.models import Outcome, Voucher


def knock(order: Order) -> Order:
    engine.play("checkout", order, knock="webhook")
    shop.work_off()
    return Order.objects.get(pk=order.pk)


def test_a_konbini_order_holds_its_goods_and_tells_the_codes(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    shop.work_off()

    order = Order.objects.get(pk=order.pk)
    assert order.status == Status.PLACED
    assert shop.levels(crab) == (9, 1, 0)
    voucher = Voucher.objects.get(attempt__order=order)
    assert voucher.attempt.outcome == Outcome.WAITING
    assert (voucher.attempt.method, voucher.attempt.waits_for) == ("konbini", "konbini")
    assert [store["chain"] for store in voucher.stores] == ["familymart", "lawson", "ministop", "seicomart"]
    local = timezone.localtime(voucher.expires_at)
    assert (local.hour, local.minute, local.second) == (23, 59, 59)
    assert (local.date() - timezone.localdate()).days == 3
    assert order.pay_by == voucher.expires_at
    assert fill.current(order.shopper) is None
    outbox.send_due()
    [letter] = mail.outbox
    assert voucher.stores[0]["payment_code"] in letter.body


def test_a_konbini_order_that_is_paid_arrives(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    shop.work_off()
    rehearsal.pay_at_till(order.intent.stripe_id, "lawson")

    order = knock(order)

    assert order.status == Status.COMPLETE
    assert order.payment_attempts.get().chain == "lawson"
    assert shop.levels(crab) == (9, 0, 1)


def test_a_voucher_is_not_given_up_by_our_own_clock_but_by_stripe(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    shop.work_off()
    outbox.send_due()
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now() - timedelta(minutes=10))

    order = knock(order)
    assert order.status == Status.PLACED
    assert shop.levels(crab) == (9, 1, 0)

    rehearsal.expire_voucher(order.intent.stripe_id)
    order = knock(order)
    assert (order.status, order.setback) == (
        Status.CANCELED,
        {"outcome": "expired", "reason": "konbini_expired"},
    )
    assert shop.levels(crab) == (10, 0, 0)
    [payment] = shop.stripe_payments(rehearsal)
    assert payment["status"] == "canceled"
    outbox.send_due()
    assert len(mail.outbox) == 2


def test_a_cancel_at_the_till_is_tried_again_and_loses_to_the_payment(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    shop.work_off()
    rehearsal.go_to_till(order.intent.stripe_id)
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())

    order = knock(order)
    assert order.status == Status.PLACED
    assert order.next_look_at is not None
    assert order.next_look_at <= timezone.now() + timedelta(minutes=1)

    rehearsal.pay_at_till(order.intent.stripe_id)
    assert knock(order).status == Status.COMPLETE


def test_a_cancel_refused_at_the_till_works_once_the_customer_has_walked_away(
    rehearsal: Rehearsal, crab: Product
) -> None:
    # Stripe keeps the refusal under its key for a day: the next cancel must be a new request.
    order = shop.order_at_konbini(rehearsal, crab)
    shop.work_off()
    rehearsal.go_to_till(order.intent.stripe_id)
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())
    assert knock(order).status == Status.PLACED
    assert knock(order).status == Status.PLACED
    assert shop.levels(crab) == (9, 1, 0)

    rehearsal.walk_away(order.intent.stripe_id)
    order = knock(order)

    assert (order.status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))
