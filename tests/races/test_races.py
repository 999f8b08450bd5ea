"""Many at once: the last unit, crossed carts, twenty presses, everybody who knocks. Each with its control.

A control takes the guard away and shows that the harm then happens: a race that nobody can lose proves nothing.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from functools import partial

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.test import Client

from rehearsal.api import Rehearsal
from rehearsal.deliveries import signature
from tests import shop
from tests.races.together import together, without
from todoku.bad_news import Unavailable
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution
from todoku.engines.poller import look_again
from todoku.flows.checkout import STEPS
from todoku.flows.step import perform
from todoku.order.models import Order, Status
from todoku.order.place import Answer, InPayment, Placed, place
from todoku.payment.models import Attempt, Intent
from todoku.quote.models import Quote
from todoku.stock import take
from todoku.stock.models import Level, Movement, Reservation

THREE_D_SECURE = "4000002760003184"
BUYERS = 30


# The last unit -------------------------------------------------------------------------------------------------------


def _take_stock(order: Order) -> dict[str, object]:
    """Perform TakeStock, and again when there was no connection or no lock in time, as the definition's Retry says.

    Thirty threads share sixteen connections: on a busy machine one of them may wait too long for its turn.
    """
    until = time.monotonic() + 60
    while True:
        try:
            return perform(STEPS["TakeStock"], order.pk, execution="e")
        except Unavailable:
            if time.monotonic() > until:
                raise


@pytest.mark.parametrize("stock", [1, 3])
def test_thirty_buyers_get_exactly_what_there_is(rehearsal: Rehearsal, crab: Product, stock: int) -> None:
    Level.objects.update(on_hand=stock)
    orders = [shop.order_one(rehearsal, crab) for _ in range(BUYERS)]

    answers = together(*(partial(_take_stock, order) for order in orders))

    outcomes = [answer["outcome"] for answer in answers if isinstance(answer, dict)]
    assert sorted(outcomes) == ["sold_out"] * (BUYERS - stock) + ["taken"] * stock
    assert shop.levels(crab) == (0, stock, 0)
    assert Reservation.objects.count() == stock
    assert Order.objects.filter(status=Status.NOT_PAID).count() == BUYERS - stock
    told = Order.objects.filter(status=Status.NOT_PAID).values_list("setback", flat=True)
    assert all(setback["lines"] == [{"sku": "KANI", "remaining": 0}] for setback in told)

    shop.work_off()
    assert Order.objects.filter(status=Status.COMPLETE).count() == stock
    assert len(shop.charges(rehearsal)) == stock
    assert shop.levels(crab) == (0, 0, stock)


def test_control_without_the_guard_thirty_buyers_oversell(rehearsal: Rehearsal, crab: Product) -> None:
    Level.objects.update(on_hand=3)
    all_have_looked = threading.Barrier(10)

    def take_naively() -> str:
        """Check, then act: what a shop does that has no guard."""
        if Level.objects.get(product=crab).on_hand < 1:
            return "sold_out"
        all_have_looked.wait(timeout=30)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE stock_level SET on_hand = on_hand - 1, reserved = reserved + 1 WHERE product_id = %s",
                [crab.pk],
            )
        return "taken"

    with without(("stock_level", "on_hand_never_negative")):
        assert together(*[take_naively] * 10) == ["taken"] * 10
        assert shop.levels(crab) == (-7, 10, 0)  # three there were, ten are promised


def test_control_the_databases_own_check_stops_the_naive_shop(crab: Product) -> None:
    Level.objects.update(on_hand=3)
    all_have_looked = threading.Barrier(10)

    def take_naively() -> str:
        assert Level.objects.get(product=crab).on_hand >= 1
        all_have_looked.wait(timeout=30)
        Level.objects.filter(product=crab).update(on_hand=F("on_hand") - 1)
        return "taken"

    answers = together(*[take_naively] * 10)
    assert answers.count("taken") == 3
    assert shop.levels(crab) == (0, 0, 0)


# Crossed carts -------------------------------------------------------------------------------------------------------


def test_a_hold_that_is_there_already_is_refused_by_the_database(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    with transaction.atomic():
        assert take.take(order, {crab.pk: 1}) == {}
    with pytest.raises(IntegrityError), transaction.atomic():
        take.take(order, {crab.pk: 1})
    assert shop.levels(crab) == (9, 1, 0)
    # Given back and found again, it is the same hold: for the person who has found the goods, and nobody else.
    with transaction.atomic():
        take.give_back(order)
    with pytest.raises(IntegrityError), transaction.atomic():
        take.take(order, {crab.pk: 1})
    with transaction.atomic():
        assert take.hold_found(order, {crab.pk: 1}) == {}
    assert shop.levels(crab) == (9, 1, 0)


def test_carts_with_the_same_goods_in_opposite_order_never_deadlock(rehearsal: Rehearsal, crab: Product) -> None:
    Level.objects.update(on_hand=1000)
    urchin = shop.sell("UNI", stock=1000)
    orders = []
    for number in range(24):
        goods = [(crab, 1), (urchin, 1)]
        cart = shop.fill_cart(*(goods if number % 2 else reversed(goods)))
        answer = shop.press(rehearsal, cart, shop.agree(cart))
        assert isinstance(answer, Placed)
        orders.append(answer.order)
    before = _deadlocks()

    answers = together(*(partial(perform, STEPS["TakeStock"], order.pk, execution="e") for order in orders))

    assert answers == [{"outcome": "taken"}] * 24
    assert (shop.levels(crab), shop.levels(urchin)) == ((976, 24, 0), (976, 24, 0))
    assert _deadlocks() == before


def test_control_unsorted_locks_deadlock(crab: Product) -> None:
    urchin = shop.sell("UNI", stock=10)
    both_hold_one = threading.Barrier(2)

    def lock(first: Product, second: Product) -> str:
        with transaction.atomic():
            Level.objects.select_for_update().get(product=first)
            both_hold_one.wait(timeout=30)
            Level.objects.select_for_update().get(product=second)
        return "locked"

    answers = together(partial(lock, crab, urchin), partial(lock, urchin, crab))
    [lost] = [answer for answer in answers if answer != "locked"]
    assert isinstance(lost, OperationalError)
    assert "deadlock detected" in str(lost)


def _deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


# Twenty presses ------------------------------------------------------------------------------------------------------


def _press(cart: Cart, quote: Quote, token: str) -> Answer:
    return place(cart=cart, quote_id=quote.pk, confirmation_token=token, shopper=cart.shopper, language="ja")


@pytest.mark.parametrize("same_card", [True, False], ids=["one token", "a token for each"])
def test_twenty_presses_at_once_are_one_order_one_attempt_one_charge(
    rehearsal: Rehearsal, crab: Product, same_card: bool
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    tokens = [shop.type_card(rehearsal)] * 20 if same_card else [shop.type_card(rehearsal) for _ in range(20)]

    answers = together(*(partial(_press, cart, quote, token) for token in tokens))

    order = Order.objects.get()
    assert [type(answer) for answer in answers].count(Placed) == 1
    assert [type(answer) for answer in answers].count(InPayment) == 19
    assert all(isinstance(answer, Placed | InPayment) and answer.order == order for answer in answers)
    assert (Attempt.objects.count(), Execution.objects.count(), shop.waiting_jobs()) == (1, 1, 1)

    shop.work_off()
    # Pressed again when all is over, it is still the same order.
    assert {_press(cart, quote, token) for token in set(tokens)} == {InPayment(order)}
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_control_without_the_constraints_and_the_carts_lock_there_is_more_than_one_order(
    rehearsal: Rehearsal, crab: Product
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    intent = Intent.objects.get(quote=quote)
    order = shop.order_one(rehearsal, crab)
    all_have_looked = threading.Barrier(10)

    def press_naively() -> None:
        """Look whether there is an order, then make one: what a shop does that has no lock."""
        if not Order.objects.filter(cart=cart).exists():
            all_have_looked.wait(timeout=30)
            Order.objects.create(
                **{
                    **{f.attname: getattr(order, f.attname) for f in Order._meta.fields if not f.primary_key},
                    "uuid": uuid.uuid4(),
                    "number": f"T-{threading.get_ident()}",
                    "cart_id": cart.pk,
                    "cart_version": quote.cart_version,
                    "quote_id": quote.pk,
                    "intent_id": intent.pk,
                }
            )

    guards = [("order_order", name) for name in _guards()]
    with without(*guards):
        together(*[press_naively] * 10)
        assert Order.objects.filter(cart=cart).count() == 10
    assert set(_guards()) == {name for _, name in guards}


def _guards() -> list[str]:
    """The names of what keeps an order to one per cart version, per quote and per intent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'order_order' AND indexdef LIKE 'CREATE UNIQUE%'"
            " AND (indexdef LIKE '%(cart_id%' OR indexdef LIKE '%(quote_id)%' OR indexdef LIKE '%(intent_id)%')"
            " ORDER BY 1"
        )
        return [row[0] for row in cursor.fetchall()]


# Everybody knocks ----------------------------------------------------------------------------------------------------


def test_webhook_poller_return_and_press_at_once_are_one_charge(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote, THREE_D_SECURE)
    shop.work_off()
    order = Order.objects.get()
    Order.objects.update(next_look_at=order.placed_at)
    rehearsal.authenticate(order.intent.stripe_id or "")
    token = shop.type_card(rehearsal)

    def webhook(number: int) -> int:
        body = json.dumps(
            {
                "id": f"evt_{number}",
                "type": "payment_intent.succeeded",
                "livemode": False,
                "data": {"object": {"id": order.intent.stripe_id}},
            }
        ).encode()
        answer = Client().post(
            "/webhooks/stripe/",
            body,
            content_type="application/json",
            HTTP_STRIPE_SIGNATURE=signature(body, "whsec_rehearsal", int(time.time())),
        )
        return int(answer.status_code)

    def comes_back() -> None:
        with transaction.atomic():
            engine.play("checkout", order, knock="return")

    done: list[bool] = []

    def works() -> None:
        while not done:
            shop.work_off()

    worker = threading.Thread(target=works)
    worker.start()
    try:
        answers = together(
            *(partial(webhook, number % 3) for number in range(6)),
            *[look_again] * 4,
            *[comes_back] * 4,
            *[partial(_press, cart, quote, token)] * 4,
        )
    finally:
        done.append(True)
        worker.join()
    shop.work_off()

    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert answers[:6] == [200] * 6
    assert {type(answer) for answer in answers[-4:]} == {InPayment}
    order.refresh_from_db()
    assert (order.status, order.attempts, Order.objects.count()) == (Status.COMPLETE, 1, 1)
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)
    assert Movement.objects.filter(order=order).count() == 2
    assert order.ledger.count() == 6
    assert not Execution.objects.exclude(status="SUCCEEDED").exists()


def test_the_customer_pays_at_the_very_moment_of_the_deadline(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [shop.order_one(rehearsal, crab, number=THREE_D_SECURE) for _ in range(8)]
    shop.work_off()
    Order.objects.update(pay_by=orders[0].placed_at, next_look_at=orders[0].placed_at)
    look_again()

    def authenticate(order: Order) -> object:
        return rehearsal.authenticate(order.intent.stripe_id or "")

    together(shop.work_off, *(partial(authenticate, order) for order in orders))
    shop.work_off()

    paid = Order.objects.filter(status=Status.COMPLETE).count()
    assert paid + Order.objects.filter(status=Status.CANCELED).count() == 8
    assert len(shop.charges(rehearsal)) == paid
    assert shop.levels(crab) == (10 - paid, 0, paid)
