"""A second purchase in doubt: the first order is shown, and nothing new is charged before the shopper has answered."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.races.together import together
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.order import in_doubt
from todoku.order.models import Order, Status
from todoku.order.place import Answer, InDoubt, InPayment, Placed, Refused
from todoku.quote.models import Quote

THREE_D_SECURE = "4000002760003184"
HANAKO, TARO = {"email": "hanako@example.com"}, {"email": "taro@example.com", "phone": "08011112222"}


@pytest.fixture
def hanako() -> str:
    """Her browser."""
    return shop.new_shopper()


def first_order(rehearsal: Rehearsal, crab: Product, shopper: str, *, kind: str, quantity: int = 1) -> Order:
    """An order of hers as she may have left it, with the cart out of her hand."""
    cart = shop.fill_cart((crab, quantity), shopper=shopper)
    token = shop.choose_konbini(rehearsal) if kind == "konbini" else ""
    number = THREE_D_SECURE if kind == "authenticate" else shop.VISA
    if kind == "checking":
        rehearsal.faults.set(Fault("drop_after", path="*/confirm", times=None))
        rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/payment_intents/*", times=None))
    answer = shop.press(rehearsal, cart, shop.agree(cart), number, token)
    assert isinstance(answer, Placed), answer
    shop.work_off(hurry=kind != "checking")
    Cart.objects.filter(pk=cart.pk, closed_at=None, set_aside_at=None).update(set_aside_at=timezone.now())
    return Order.objects.get(pk=answer.order.pk)


def again(rehearsal: Rehearsal, crab: Product, shopper: str = "", quantity: int = 1, **details: object) -> Answer:
    """She starts again with a new cart and comes to the press."""
    cart = shop.fill_cart((crab, quantity), shopper=shopper, details=details)
    return shop.press(rehearsal, cart, shop.agree(cart), asked=True)


def asked_about(answer: Answer) -> list[tuple[Order, str, bool]]:
    assert isinstance(answer, InDoubt), answer
    return [(doubt.order, doubt.kind, doubt.mine) for doubt in answer.doubts]


@pytest.mark.parametrize("kind", ["checking", "authenticate", "konbini", "paid"])
def test_the_same_goods_again_are_asked_about(rehearsal: Rehearsal, crab: Product, hanako: str, kind: str) -> None:
    order = first_order(rehearsal, crab, hanako, kind=kind)

    assert asked_about(again(rehearsal, crab, hanako)) == [(order, kind, True)]
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("kind", "asks"), [("checking", True), ("authenticate", True), ("konbini", False), ("paid", False)]
)
def test_other_goods_are_asked_about_only_while_a_payment_is_unknown(
    rehearsal: Rehearsal, crab: Product, hanako: str, kind: str, asks: bool
) -> None:
    order = first_order(rehearsal, crab, hanako, kind=kind)
    rehearsal.faults.clear()

    answer = again(rehearsal, crab, hanako, quantity=2)

    assert asked_about(answer) == [(order, kind, True)] if asks else isinstance(answer, Placed)


@pytest.mark.parametrize(
    ("told", "asks"),
    [
        ({"email": "HANAKO@Example.com", "phone": "0311112222"}, True),
        ({"email": "somebody@example.com"}, True),  # the same phone
        (TARO, False),
    ],
)
def test_another_browser_with_the_same_mail_or_phone_is_asked(
    rehearsal: Rehearsal, crab: Product, hanako: str, told: dict[str, object], asks: bool
) -> None:
    order = first_order(rehearsal, crab, hanako, kind="paid")

    answer = again(rehearsal, crab, **told)

    assert asked_about(answer) == [(order, "paid", False)] if asks else isinstance(answer, Placed)


@pytest.mark.parametrize("kind", ["checking", "paid"])
def test_another_browser_is_not_asked_about_other_goods(
    rehearsal: Rehearsal, crab: Product, hanako: str, kind: str
) -> None:
    first_order(rehearsal, crab, hanako, kind=kind)
    rehearsal.faults.clear()
    assert isinstance(again(rehearsal, crab, quantity=2), Placed)


def test_a_paid_order_is_asked_about_for_half_an_hour_after_it_was_placed_or_paid(
    rehearsal: Rehearsal, crab: Product, hanako: str
) -> None:
    first_order(rehearsal, crab, hanako, kind="paid")
    long_ago = timezone.now() - in_doubt.JUST_NOW - timedelta(seconds=1)
    cart = shop.fill_cart((crab, 1), shopper=hanako)
    quote = shop.agree(cart)

    Order.objects.update(placed_at=long_ago)
    assert in_doubt.find(quote, hanako)
    Order.objects.update(paid_at=long_ago)
    assert not in_doubt.find(quote, hanako)


def test_an_order_that_ended_unpaid_is_not_asked_about(rehearsal: Rehearsal, crab: Product, hanako: str) -> None:
    order = first_order(rehearsal, crab, hanako, kind="konbini")
    cart = shop.fill_cart((crab, 1), shopper=hanako)
    quote = shop.agree(cart)
    assert in_doubt.find(quote, hanako)
    # She has given the voucher up; nobody waits for Stripe's yes to that.
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())
    assert not in_doubt.find(quote, hanako)
    Order.objects.filter(pk=order.pk).update(status=Status.CANCELED, withdrawn_at=None)
    assert not in_doubt.find(quote, hanako)


def test_the_answer_is_good_for_the_orders_it_was_given_about_and_for_this_cart_only(
    rehearsal: Rehearsal, crab: Product, hanako: str
) -> None:
    first_order(rehearsal, crab, hanako, kind="paid")
    cart = shop.fill_cart((crab, 1), shopper=hanako)
    quote = shop.agree(cart)
    answered = in_doubt.seals(quote, in_doubt.find(quote, hanako))
    assert not in_doubt.find(quote, hanako, answered=answered)

    # Between the page and the press another order comes up.
    newer = first_order(rehearsal, crab, shop.new_shopper(), kind="konbini")
    assert [doubt.order for doubt in in_doubt.find(quote, hanako, answered=answered)] == [newer]

    # Another cart's answer, garbage and a very long answer are none.
    _set_aside(cart)
    other = shop.fill_cart((crab, 1), shopper=hanako)
    for said in (answered, "x", "." * 5000, "é", answered + "é"):
        assert len(in_doubt.find(shop.agree(other), hanako, answered=said)) == 2


def _set_aside(cart: Cart) -> None:
    Cart.objects.filter(pk=cart.pk).update(set_aside_at=timezone.now())


def test_who_has_said_that_it_is_another_purchase_buys_it(rehearsal: Rehearsal, crab: Product, hanako: str) -> None:
    first_order(rehearsal, crab, hanako, kind="paid")
    cart = shop.fill_cart((crab, 1), shopper=hanako)
    assert isinstance(shop.press(rehearsal, cart, shop.agree(cart), shop.DECLINED), Placed)
    shop.work_off()
    # The second card of the same order is not asked about once more.
    assert isinstance(shop.press(rehearsal, cart, Quote.objects.get(order__cart=cart), asked=True), Placed)
    shop.work_off()
    assert Order.objects.filter(status=Status.COMPLETE).count() == 2
    assert len(shop.charges(rehearsal)) == 2


@pytest.mark.parametrize("whose", ["one browser's two carts", "two browsers of one person"])
def test_two_presses_at_once_do_not_overlook_each_other(
    rehearsal: Rehearsal, crab: Product, hanako: str, whose: str
) -> None:
    carts = []
    for number in range(6):
        # One browser's mails and phones differ here, so that only the browser can tell.
        one = {"shopper": hanako} if whose.startswith("one") else {}
        unlike = {"email": f"{number}@example.com", "phone": f"0900000000{number}"} if one else {}
        cart = shop.fill_cart((crab, 1), details=dict(unlike), **one)
        carts.append((cart, shop.agree(cart), shop.type_card(rehearsal)))
        _set_aside(cart)

    answers = together(
        *(partial(shop.press, rehearsal, cart, quote, token=token, asked=True) for cart, quote, token in carts)
    )

    assert sorted(type(answer).__name__ for answer in answers) == ["InDoubt"] * 5 + ["Placed"]
    shop.work_off()
    assert len(shop.charges(rehearsal)) == 1


def test_two_new_carts_at_once_are_both_asked_about_the_first_payment_that_nobody_knows(
    rehearsal: Rehearsal, crab: Product, hanako: str
) -> None:
    order = first_order(rehearsal, crab, hanako, kind="checking")
    rehearsal.faults.clear()
    carts = []
    for quantity in (1, 2):
        cart = shop.fill_cart((crab, quantity), shopper=hanako)
        carts.append((cart, shop.agree(cart), shop.type_card(rehearsal)))
        _set_aside(cart)

    answers = together(
        *(partial(shop.press, rehearsal, cart, quote, token=token, asked=True) for cart, quote, token in carts)
    )

    assert [asked_about(answer) for answer in answers] == [[(order, "checking", True)]] * 2  # type: ignore[arg-type]
    shop.work_off()
    assert (Order.objects.count(), len(shop.charges(rehearsal))) == (1, 1)
    assert Order.objects.get().status == Status.COMPLETE


@pytest.mark.parametrize("kind", ["checking", "authenticate", "paid"])
def test_the_same_cart_leads_to_its_own_order(rehearsal: Rehearsal, crab: Product, hanako: str, kind: str) -> None:
    order = first_order(rehearsal, crab, hanako, kind=kind)
    cart = Cart.objects.get()
    answer = shop.press(rehearsal, cart, Quote.objects.get(), asked=True)
    assert answer == (InPayment(order))
    assert Order.objects.get().attempts == 1


def test_a_strangers_cart_is_not_asked_about_but_refused(rehearsal: Rehearsal, crab: Product, hanako: str) -> None:
    first_order(rehearsal, crab, hanako, kind="paid")
    cart = shop.fill_cart((crab, 1), shopper=hanako)
    quote = shop.agree(cart)
    cart.shopper = shop.new_shopper()
    assert shop.press(rehearsal, cart, quote, asked=True) == Refused("empty")


def test_a_press_asks_the_database_once_and_by_its_indexes(rehearsal: Rehearsal, crab: Product, hanako: str) -> None:
    first_order(rehearsal, crab, hanako, kind="paid")
    cart = shop.fill_cart((crab, 1), shopper=hanako)
    quote = shop.agree(cart)
    with CaptureQueriesContext(connection) as asked:
        in_doubt.find(quote, hanako)
    assert len(asked) == 1
    with transaction.atomic(), connection.cursor() as cursor:
        # In a small table reading it all is cheaper; the question is whether indexes can serve. Which one a small table
        # is read by is the planner's mood, so that the three that serve a large one are looked up by name.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + asked[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'order_order'")
        indexes = dict(cursor.fetchall())
    for name, on in {"order_by_shopper": "(shopper", "order_by_email": "(upper(", "order_by_phone": "(phone"}.items():
        assert on in indexes[name], indexes[name]
    assert "Seq Scan" not in plan, plan
