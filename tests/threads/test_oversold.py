"""Oversold, or stock lost: who holds what, for how long, and how it comes back once."""

from __future__ import annotations

from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F

from rehearsal.api import Rehearsal
from tests import shop
from tests.pages.visitor import Visitor
from tests.quick import knock, play
from tests.races.together import together
from tests.threads.street import Witness, at_the_bank, customer_passes, shelf, tell
from tests.threads.thread import thread
from todoku.cart import fill
from todoku.catalog.models import Product
from todoku.engines.models import Execution, State
from todoku.flows.checkout import STEPS
from todoku.flows.step import perform
from todoku.fulfilment.models import Delivery
from todoku.order.models import Order, Status
from todoku.stock.models import Level, Movement


@thread(54, 58, seen="vendurehq/vendure#1738, #3508, PR #4930 (2022-2026); awesto/django-shop#888, shopper#591 (2026)")
def test_eight_buyers_at_once_for_three_boxes(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the check and the allocation stood in different transactions, so both of two buyers passed the check.

    Here: one guarded UPDATE is both; three get it, five are told, and only three are charged.
    """
    shelf(crab, 8)
    orders = [shop.order_one(rehearsal, crab) for _ in range(8)]
    shelf(crab, 3)
    answers = together(*(partial(perform, STEPS["TakeStock"], order.pk, execution="e") for order in orders))
    outcomes = sorted(answer["outcome"] for answer in answers if isinstance(answer, dict))
    assert outcomes == ["sold_out"] * 5 + ["taken"] * 3
    for order in orders:
        play(order)
    assert (shop.levels(crab), len(shop.charges(rehearsal))) == ((0, 0, 3), 3)


@thread(13, seen="pretix/pretix#74 (2015)")
def test_the_goods_are_held_at_the_moment_when_the_money_is_asked_for(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the quota was used up after a successful payment, and that cost money.

    Here: when the confirm reaches Stripe, the piece has been taken from the shelf, and committed.
    """
    seen: list[tuple[int, int]] = []

    def look(request: object, _: object) -> None:
        if str(getattr(request, "path", "")).endswith("/confirm"):
            seen.extend(Level.objects.values_list("on_hand", "reserved"))

    rehearsal.observers.append(look)
    play(shop.order_one(rehearsal, crab, 2))
    assert seen == [(8, 2)]


@thread(56, seen="medusajs/nextjs-starter-medusa#453 (2025)")
def test_whoever_comes_too_late_is_told_before_the_payment(visitor: Visitor, crab: Product) -> None:
    """There: the customer paid first, and learned then that the goods were gone.

    Here: Stripe is never asked to confirm, and the page says what is left and that nothing was charged.
    """
    witness = Witness(visitor.rehearsal)
    page = visitor.press(visitor.to_confirm(3)).headers["Location"]
    shelf(crab, 2)
    play(Order.objects.get())
    told = visitor.read(page)
    assert "残り2点" in told
    assert not witness.keys()


@thread(25, seen="openfoodfoundation/openfoodnetwork#5953 (2020)")
def test_reduce_then_pay_then_put_back(rehearsal: Rehearsal, crab: Product) -> None:
    """There: stock went down only after PayPal's return; they concluded: reduce at submit, pay, put back on failure.

    Here: exactly that, and each move leaves a row.
    """
    order = play(shop.order_one(rehearsal, crab, 2, number=shop.DECLINED))
    moves = Movement.objects.filter(order=order).order_by("id").values_list("on_hand", "reserved")
    assert list(moves) == [(-2, 2), (2, -2)]
    assert shop.levels(crab) == (10, 0, 0)


@thread(55, seen="medusajs/medusa#16502, #16569 (2026)")
def test_the_same_goods_put_in_twice_are_one_line(rehearsal: Rehearsal, crab: Product) -> None:
    """There: two lines shared one item, and each of them passed the check by itself.

    Here: a product is one line, in the cart as in the order; the database holds that, and the sum is checked.
    """
    shopper = shop.new_shopper()
    fill.put(shopper, "KANI", 6)
    cart = fill.put(shopper, "KANI", 6)
    assert [line.quantity for line in cart.lines.all()] == [12]
    shop.ask.keep_details(cart, shop.HANAKO, language="ja")
    assert type(shop.press(rehearsal, cart, shop.agree(cart))).__name__ == "Refused"
    with pytest.raises(IntegrityError, match="one_line_per_product"), transaction.atomic():
        cart.lines.create(product=crab, quantity=1)
    assert shop.levels(crab) == (10, 0, 0)


@thread(57, seen="magento/magento2#6363, opencart#4811, tryshoppe/shoppe#403 (2016, ACIDRain); nopCommerce#4184 (2019)")
def test_the_cart_is_changed_at_the_very_moment_of_the_press(rehearsal: Rehearsal, crab: Product) -> None:
    """There: requests that ran side by side bought more than they paid for.

    Here: what is charged is what is in the order, whoever comes first, and stock below zero is refused by the database.
    """
    for _ in range(3):
        cart = shop.fill_cart((crab, 1))
        quote = shop.agree(cart)
        token = shop.type_card(rehearsal)
        together(
            partial(shop.press, rehearsal, cart, quote, token=token),
            *[partial(fill.put, cart.shopper, "KANI", 1)] * 3,
        )
        for order in Order.objects.filter(cart=cart):
            order = play(order)
            sold = sum(line.quantity for line in order.lines.all())
            assert (order.goods_total, order.total) == (4800 * sold, 4800 * sold + order.shipping)
    assert sum(charge["amount"] for charge in shop.charges(rehearsal)) == sum(
        Order.objects.filter(status=Status.COMPLETE).values_list("total", flat=True)
    )
    with pytest.raises(IntegrityError, match="on_hand_never_negative"), transaction.atomic():
        Level.objects.update(on_hand=F("on_hand") - 100)


@thread(60, seen="woocommerce/woocommerce#25708, #26395, #49446, #43361, #24491, #67354 (2020-2026)")
def test_nobody_is_locked_out_by_their_own_hold(rehearsal: Rehearsal, crab: Product) -> None:
    """There: eight years of tuning reservations; a shopper's own hold kept them from the last piece.

    Here: the last piece, a declined card, and the second card of the same shopper gets it.
    """
    shelf(crab, 1)
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    for number in (shop.DECLINED, shop.DECLINED, shop.VISA):
        shop.press(rehearsal, cart, quote, number)
        play(Order.objects.get())
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.COMPLETE, (0, 0, 1))


@thread(62, seen="EC-CUBE/ec-cube2#369 (2020)")
def test_coming_back_twice_from_the_payment_restores_the_stock_once(visitor: Visitor, crab: Product) -> None:
    """There: nothing marked that the stock had been returned; the second return added it once more.

    Here: the release is a row in the ledger; returns and events as often as they like change nothing.
    """
    page = visitor.press(visitor.to_confirm(), number="4000002760003184").headers["Location"]
    order = play(Order.objects.get())
    customer_passes(visitor.rehearsal, order, passed=False)
    for _ in range(2):
        visitor.client.get(page + "back/")
        play(order)
    for number in range(2):
        tell(order, "payment_intent.payment_failed", f"evt_{number}")
    assert knock(order).status == Status.NOT_PAID
    assert shop.levels(crab) == (10, 0, 0)
    assert Movement.objects.filter(order=order).count() == 2
    # Nor did the stock's own guard have to stop a second release.
    assert not Execution.objects.filter(status=State.FAILED).exists()


@thread(68, seen="woocommerce/woocommerce-gateway-stripe#1378, PR #3651")
def test_nothing_can_be_shipped_that_is_only_authorised(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the authorisation ran out at Stripe, and the shop shipped all the same.

    Here: money is captured at once, and a delivery slip exists only after Stripe has it.
    """
    order = at_the_bank(rehearsal, crab)
    [payment] = shop.stripe_payments(rehearsal)
    assert payment["capture_method"].startswith("automatic")
    assert not Delivery.objects.exists()
    customer_passes(rehearsal, order)
    play(knock(order))
    assert Delivery.objects.filter(order=order).count() == 1
    assert shop.charges(rehearsal)[0]["captured"] is True
