"""Whatever waits has an end: timers that ask Stripe before they cancel, and nothing that is left open for ever."""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.pages.visitor import Visitor
from tests.quick import knock, play, play_once
from tests.threads.street import THREE_D_SECURE, at_the_bank, customer_passes, tell
from tests.threads.thread import thread
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.flows.checkout import STEPS
from todoku.flows.step import perform
from todoku.order.models import Order, Status
from todoku.payment.models import Intent
from todoku.reconciliation.run import reconcile_window


@thread(37, seen="HiEventsDev/Hi.Events#513, PR #856 (2025)")
def test_the_payment_comes_through_after_the_orders_time_has_run_out(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the order's timer had run out, so the payment that came a moment later was refunded.

    Here: past its time the order looks, finds the payment on its way, waits for it and arrives.
    """
    order = at_the_bank(rehearsal, crab)
    rehearsal.hold_in_processing(order.intent.stripe_id or "")
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now() - timedelta(minutes=1))
    assert knock(order, "poller").status == Status.PLACED
    rehearsal.settle_processing(order.intent.stripe_id or "", True)
    order = tell(order)
    assert (order.status, len(rehearsal.rows("refunds", 10))) == (Status.COMPLETE, 0)


@thread(36, seen="woocommerce/woocommerce#20928, #14625; Automattic/woocommerce-payments#3118 (2017-2021)")
def test_the_stock_timer_asks_stripe_before_it_cancels(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the hold-stock timer canceled orders that were paid already; many merchants were hit.

    Here: the deadline's play looks first, and an order that is paid goes forward.
    """
    order = at_the_bank(rehearsal, crab)
    customer_passes(rehearsal, order)
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now() - timedelta(minutes=1))
    order = knock(order, "poller")
    assert (order.status, shop.levels(crab)) == (Status.COMPLETE, (9, 0, 1))


@thread(16, seen="pretix/pretix#2629 (2022)")
def test_a_payment_that_was_abandoned_at_the_bank_ends_by_itself(rehearsal: Rehearsal, crab: Product) -> None:
    """There: abandoned payments never expired; a user wrote a script of their own to cancel them.

    Here: after its time it is canceled at Stripe, and only then the goods go back.
    """
    order = at_the_bank(rehearsal, crab)
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now() - timedelta(minutes=1))
    rehearsal.faults.set(Fault("drop_before", path="*/cancel", times=None))
    order = play_once_knocked(order)
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    rehearsal.faults.clear()
    order = play(order)
    assert (order.status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))
    assert [payment["status"] for payment in shop.stripe_payments(rehearsal)] == ["canceled"]


def play_once_knocked(order: Order) -> Order:
    """A knock, and then nobody is there any more."""
    with transaction.atomic():
        engine.play("checkout", order, knock="poller")
    return play_once(order)


@thread(70, seen="Automattic/woocommerce-payments#2703; Sylius/PayumStripePlugin#31; openedx ecommerce#4156")
def test_a_canceled_intent_is_never_handed_out_again(visitor: Visitor, crab: Product) -> None:
    """There: an intent for every page view, a key that gave the canceled intent back, a first payment out of sight.

    Here: looking again keeps the intent; once it is canceled, the next order gets another one, and pays.
    """
    visitor.to_confirm()
    for _ in range(3):
        visitor.read("/checkout/confirm/")
    assert len(shop.stripe_payments(visitor.rehearsal)) == 1
    visitor.press(visitor.shown_quote(), number=THREE_D_SECURE)
    order = play(Order.objects.get())
    Order.objects.update(pay_by=timezone.now() - timedelta(seconds=1))
    assert knock(order, "poller").status == Status.CANCELED
    visitor.press(visitor.shown_quote())
    newer = play(Order.objects.latest("id"))
    assert (newer.status, newer.intent_id == order.intent_id) == (Status.COMPLETE, False)
    assert sorted(payment["status"] for payment in shop.stripe_payments(visitor.rehearsal)) == [
        "canceled",
        "succeeded",
    ]


@thread(51, seen="frappe/payments#240 (2026)")
def test_each_page_load_leaves_nothing_open_at_stripe(visitor: Visitor, crab: Product) -> None:
    """There: every page load made an intent without a key, and the unpaid ones stayed for ever.

    Here: one cart has one, and what nobody finished is canceled after a day.
    """
    visitor.to_confirm()
    visitor.fill_in(building="101")
    visitor.shown_quote()
    [payment] = shop.stripe_payments(visitor.rehearsal)
    long_ago = timezone.now() - timedelta(days=2)
    Intent.objects.update(created_at=long_ago, changed_at=long_ago)
    Cart.objects.update(changed_at=long_ago)
    reconcile_window()
    [payment] = shop.stripe_payments(visitor.rehearsal)
    assert payment["status"] == "canceled"
    assert visitor.press(visitor.shown_quote()).headers["Location"].startswith("/orders/")
    assert play(Order.objects.get()).status == Status.COMPLETE


@thread(59, seen="saleor/saleor#2797 (2018)")
def test_what_nobody_finishes_holds_nothing_for_ever(rehearsal: Rehearsal, crab: Product) -> None:
    """There: orders that were never completed locked the stock for good.

    Here: a cart and its confirm page hold nothing; a hold that its worker left behind ends at the deadline.
    """
    shop.agree(shop.fill_cart((crab, 4)))
    assert shop.levels(crab) == (10, 0, 0)
    order = shop.order_one(rehearsal, crab, 4)
    perform(STEPS["TakeStock"], order.pk, execution="a worker that died")
    assert shop.levels(crab) == (6, 4, 0)
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now() - timedelta(seconds=1))
    order = play(order)
    assert (order.status, shop.levels(crab), shop.charges(rehearsal)) == (Status.CANCELED, (10, 0, 0), [])


@thread(61, seen="woocommerce/woocommerce#66244, PR #66256 (2026); cubecart/v6#4258")
def test_a_payment_that_fails_days_later_gives_the_stock_back(rehearsal: Rehearsal, crab: Product) -> None:
    """There: a debit failed after the order was on hold, and the stock was never restored.

    Here: "processing" holds the goods; the failure that comes later puts them back.
    """
    order = at_the_bank(rehearsal, crab)
    rehearsal.hold_in_processing(order.intent.stripe_id or "")
    assert (knock(order).status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    rehearsal.settle_processing(order.intent.stripe_id or "", False)
    order = tell(order, "payment_intent.payment_failed")
    assert (order.status, shop.levels(crab)) == (Status.NOT_PAID, (10, 0, 0))
