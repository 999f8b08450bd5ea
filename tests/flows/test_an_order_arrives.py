"""One order from the press of the button to the mail, on the real engine."""

from __future__ import annotations

from django.core import mail

from rehearsal.api import Rehearsal
from tests import shop
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.fulfilment.models import Delivery
from todoku.order.models import MyPageEntry, Order, Status


def test_a_paid_order_arrives(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)

    shop.work_off()

    order = Order.objects.get(pk=order.pk)
    assert (order.status, order.total) == (Status.COMPLETE, 5400)
    assert shop.levels(crab) == (9, 0, 1)
    [charge] = shop.charges(rehearsal)
    assert (charge["amount"], charge["currency"]) == (5400, "jpy")
    assert Delivery.objects.get(order=order).city == "札幌市中央区"
    assert MyPageEntry.objects.filter(order=order).exists()
    assert Cart.objects.get(pk=order.cart_id).closed_at is not None
    [letter] = mail.outbox
    assert order.number in letter.subject
    assert letter.to == ["hanako@example.com"]
    assert "5,400円" in letter.body
    [execution] = Execution.objects.filter(order=order)
    assert execution.status == "SUCCEEDED"
    assert list(order.ledger.values_list("step", flat=True)) == [
        "TakeStock",
        "TakePayment",
        "RecordOrder",
        "CloseCart",
        "PublishToMyPage",
        "SendMail",
    ]


def test_a_declined_card_gives_the_stock_back_and_a_second_card_pays_the_same_order(
    rehearsal: Rehearsal, crab: Product
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote, shop.DECLINED)
    shop.work_off()

    order = Order.objects.get()
    assert order.status == Status.NOT_PAID
    assert order.setback == {"outcome": "declined", "reason": "declined"}
    assert shop.levels(crab) == (10, 0, 0)
    cart.refresh_from_db()
    assert cart.closed_at is None
    assert cart.lines.count() == 1

    shop.press(rehearsal, cart, quote, shop.VISA)
    shop.work_off()

    order = Order.objects.get()
    assert (order.status, order.attempts) == (Status.COMPLETE, 2)
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_no_row_of_the_database_is_quoted_in_a_case_or_a_log() -> None:
    from todoku.engines.plays import technical

    told = technical(
        ["IntegrityError: new row violates a check\nDETAIL:  Failing row contains (hanako@example.com)\n"]
    )
    assert told == "IntegrityError: new row violates a check"


def test_a_knock_ends_the_wait_for_the_next_try(rehearsal: Rehearsal, crab: Product) -> None:
    from rehearsal.faults import Fault
    from todoku.engines import engine

    order = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("drop_before", path="*/confirm", times=3))
    shop.work_off(hurry=False)
    assert Order.objects.get(pk=order.pk).status == Status.PLACED
    assert shop.waiting_jobs() == 1

    engine.play("checkout", order, knock="webhook")
    shop.work_off(hurry=False)

    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
