"""Many at once at the moment of the payment at the till; each with a control in which the guard is away."""

from __future__ import annotations

import threading
from functools import partial

from django.db import connections, transaction

from rehearsal.api import Rehearsal
from tests import shop
from tests.quick import play
from tests.races.together import together, without
from todoku.cart.models import Cart
from todoku.cart.steps import set_aside
from todoku.catalog.models import Product
from todoku.engines import embedded, engine
from todoku.engines.models import Execution, State
from todoku.engines.poller import look_again
from todoku.flows.checkout import STEPS, payment_taken
from todoku.flows.step import load, perform
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Mail
from todoku.order.models import Order, Status
from todoku.payment.models import Voucher
from todoku.stock.models import Kind, Movement


def test_two_plays_of_one_order_issue_one_voucher_and_tell_it_once(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    [execution] = Execution.objects.all()
    # A worker that was taken for dead plays on beside the one that took over.
    assert together(*[partial(embedded.run, execution.pk)] * 3) == [None] * 3
    order = play(order)
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert Voucher.objects.count() == Mail.objects.count() == len(shop.stripe_payments(rehearsal)) == 1
    assert Cart.objects.exclude(set_aside_at=None).count() == Cart.objects.count() == 1
    assert {row["key"] for row in rehearsal.requests if row["path"].endswith("/confirm")} == {
        f"{order.payment_attempts.get().key}:confirm"
    }


def test_control_without_lock_and_constraint_the_codes_are_written_more_than_once(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = play(shop.order_at_konbini(rehearsal, crab))
    Mail.objects.all().delete()
    both_have_looked = threading.Barrier(2)

    def careless() -> None:
        try:
            if not Mail.objects.filter(order=order).exists():
                both_have_looked.wait(timeout=20)
                Mail.objects.create(
                    order=order, kind="konbini_codes", message_id=f"<{threading.get_ident()}>", recipient="a@b.jp",
                    subject="codes", text="codes",
                )  # fmt: skip
        finally:
            connections.close_all()

    with without(("notify_mail", "one_mail_per_order_and_kind")):
        together(careless, careless)
        assert Mail.objects.count() == 2


def test_everybody_who_hears_of_the_payment_at_once_has_one_effect(rehearsal: Rehearsal, crab: Product) -> None:
    order = play(shop.order_at_konbini(rehearsal, crab))
    Order.objects.update(next_look_at=order.placed_at)

    def knocks(who: str) -> None:
        with transaction.atomic():
            engine.play("checkout", order, knock=who)
        for execution in Execution.objects.filter(order=order, status=State.RUNNING).values_list("pk", flat=True):
            embedded.run(execution)

    came = together(
        partial(rehearsal.pay_at_till, order.intent.stripe_id, "lawson"),
        *[partial(knocks, "webhook")] * 3,
        *[partial(knocks, "return")] * 2,
        look_again,
    )
    assert [answer for answer in came if isinstance(answer, Exception)] == []
    with transaction.atomic():
        engine.play("checkout", order, knock="webhook")
    order = play(order)
    assert (order.status, shop.levels(crab)) == (Status.COMPLETE, (9, 0, 1))
    assert Delivery.objects.count() == len(shop.charges(rehearsal)) == 1
    assert Movement.objects.filter(order=order, kind="sold").count() == 1
    assert list(Mail.objects.order_by("kind").values_list("kind", flat=True)) == ["konbini_codes", "order_complete"]


def test_control_without_ledger_and_lock_the_goods_are_sold_twice(rehearsal: Rehearsal, crab: Product) -> None:
    order = play(shop.order_at_konbini(rehearsal, crab))
    rehearsal.pay_at_till(order.intent.stripe_id)
    perform(STEPS["TakePayment"], order.pk, execution="e")
    both_have_looked = threading.Barrier(2)

    def careless() -> None:
        """Look whether it is recorded, then record it: what a shop does that has no ledger."""
        try:
            if Order.objects.get(pk=order.pk).status == Status.PAID:
                both_have_looked.wait(timeout=20)
                Movement.objects.create(product=crab, kind=Kind.COUNTED, on_hand=-1, why="sold")
        finally:
            connections.close_all()

    assert together(careless, careless) == [None, None]
    assert Movement.objects.filter(why="sold").count() == 2


def test_the_payment_and_the_expiry_at_once_are_one_of_the_two(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [play(shop.order_at_konbini(rehearsal, crab)) for _ in range(6)]
    Order.objects.update(withdrawn_at=orders[0].placed_at)

    def pays(order: Order) -> object:
        try:
            return rehearsal.pay_at_till(order.intent.stripe_id)
        except LookupError:
            return "too late"

    def ends(order: Order) -> object:
        with transaction.atomic():
            engine.play("checkout", order, knock="withdrawn")
        return play(order).status

    came = together(*(partial(act, order) for order in orders for act in (pays, ends)))
    assert [answer for answer in came if isinstance(answer, Exception)] == []
    for order, payment in zip(orders, came[::2], strict=True):
        status = Order.objects.get(pk=order.pk).status
        assert status == (Status.CANCELED if payment == "too late" else Status.COMPLETE)
    paid = Order.objects.filter(status=Status.COMPLETE).count()
    assert shop.levels(crab) == (10 - paid, 0, paid)
    assert len(shop.charges(rehearsal)) == paid


def test_the_cart_is_set_aside_once_and_a_put_at_the_same_moment_is_not_lost(
    rehearsal: Rehearsal, crab: Product
) -> None:
    from todoku.cart import fill

    order = shop.order_at_konbini(rehearsal, crab)
    perform(STEPS["TakeStock"], order.pk, execution="e")
    outside = STEPS["TakePayment"].outside
    assert outside is not None
    finding = outside(load(order.pk))

    def aside() -> None:
        with transaction.atomic():
            payment_taken(Order.objects.select_for_update().get(pk=order.pk), finding)

    came = together(aside, aside, *[partial(fill.put, order.shopper, crab.sku, 1)] * 4)
    assert [answer for answer in came if isinstance(answer, Exception)] == []
    assert fill.count(order.shopper) == 4
    with transaction.atomic():
        assert not set_aside(order)
    assert Cart.objects.filter(shopper=order.shopper, closed_at=None, set_aside_at=None).count() == 1
