"""An order paid at a konbini: placed, held, told how to pay, and then paid, or ended by Stripe's word only."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from rehearsal import Fault
from rehearsal.api import Rehearsal
from tests import shop
from tests.clock import Clock
from tests.quick import knock, play, play_once
from todoku.cart import fill
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.notify.models import Mail
from todoku.order.models import Order, Status
from todoku.order.place import InPayment, Placed
from todoku.payment.models import Attempt, Outcome, Voucher
from todoku.stock.models import Level

CONFIRM, CANCEL = "/v1/payment_intents/*/confirm", "/v1/payment_intents/*/cancel"


def placed(rehearsal: Rehearsal, product: Product, quantity: int = 1) -> Order:
    """An order whose voucher is issued."""
    return play(shop.order_at_konbini(rehearsal, product, quantity))


def mails(order: Order) -> list[str]:
    return list(Mail.objects.filter(order=order).order_by("id").values_list("kind", flat=True))


def test_a_konbini_order_holds_its_goods_and_leaves_the_shoppers_hand(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab)

    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    voucher = Voucher.objects.get(attempt__order=order)
    assert voucher.attempt.outcome == Outcome.WAITING
    assert (voucher.attempt.method, voucher.attempt.waits_for) == ("konbini", "konbini")
    assert [store["chain"] for store in voucher.stores] == ["familymart", "lawson", "ministop", "seicomart"]
    local = timezone.localtime(voucher.expires_at)
    assert (local.hour, local.minute, local.second) == (23, 59, 59)
    assert (local.date() - timezone.localdate()).days == 3
    assert order.pay_by == voucher.expires_at
    assert fill.current(order.shopper) is None
    assert mails(order) == ["konbini_codes"]


def test_a_konbini_order_that_is_paid_arrives(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab)
    rehearsal.pay_at_till(order.intent.stripe_id, "lawson")

    order = knock(order)

    assert (order.status, shop.levels(crab)) == (Status.COMPLETE, (9, 0, 1))
    attempt = order.payment_attempts.get()
    assert (attempt.outcome, attempt.method, attempt.chain) == (Outcome.PAID, "konbini", "lawson")
    assert len(shop.charges(rehearsal)) == 1


# Time ----------------------------------------------------------------------------------------------------------------


def test_it_is_looked_at_again_soon_at_first_and_every_half_hour_later(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = placed(rehearsal, crab)
    looks = []
    for _ in range(12):
        assert order.next_look_at is not None
        looks.append(round((order.next_look_at - clock.now()).total_seconds() / 60))
        clock.advance_to(order.next_look_at)
        order = knock(order, "poller")
    assert looks == [1, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]


@pytest.mark.parametrize("seconds", [-1, 0, 1, 3500])
def test_paid_in_the_last_second_or_within_stripes_hour_after_it_arrives(
    seconds: int, rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = placed(rehearsal, crab)
    clock.advance_to(order.pay_by + timedelta(seconds=seconds))
    order = knock(order, "poller")
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))  # never our own clock

    rehearsal.pay_at_till(order.intent.stripe_id)
    assert knock(order, "poller").status == Status.COMPLETE


def test_what_stripe_has_given_up_is_canceled_there_and_only_then_the_stock_goes_back(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = placed(rehearsal, crab)
    clock.advance_to(order.pay_by + timedelta(hours=1, seconds=1))
    [payment] = shop.stripe_payments(rehearsal)
    assert payment["status"] == "requires_payment_method"  # it could be confirmed again

    order = knock(order)

    assert order.status == Status.CANCELED
    assert order.setback == {"outcome": "expired", "reason": "konbini_expired"}
    assert (shop.levels(crab), order.next_look_at) == ((10, 0, 0), None)
    [payment] = shop.stripe_payments(rehearsal)
    assert payment["status"] == "canceled"
    assert mails(order) == ["konbini_codes", "konbini_expired"]
    # The same word once more changes nothing.
    knock(order)
    assert (shop.levels(crab), mails(order)) == ((10, 0, 0), ["konbini_codes", "konbini_expired"])


def test_what_stripe_gives_up_before_our_clock_says_so_is_canceled_too(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab)
    rehearsal.expire_voucher(order.intent.stripe_id)

    order = knock(order)

    assert order.setback == {"outcome": "expired", "reason": "konbini_expired"}
    assert (order.status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))
    [payment] = shop.stripe_payments(rehearsal)
    assert payment["status"] == "canceled"


def test_a_cancel_that_fails_leaves_the_stock_where_it_is(rehearsal: Rehearsal, crab: Product, clock: Clock) -> None:
    order = placed(rehearsal, crab)
    clock.advance(days=5)
    fault = rehearsal.faults.set(Fault("drop_before", path=CANCEL, times=None))
    order = knock(order)
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    rehearsal.faults.clear(fault)
    order = knock(order, "poller")
    assert (order.status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))


def test_a_cancel_whose_failure_stripe_keeps_is_asked_under_another_key(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = placed(rehearsal, crab)
    clock.advance(days=5)
    rehearsal.faults.set(Fault("error_before", path=CANCEL, times=1))

    order = knock(order)

    assert (order.status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))
    keys = {asked["key"] for asked in rehearsal.requests if asked["path"].endswith("/cancel")}
    assert len(keys) == 2


@pytest.mark.parametrize("answered", [True, False])
def test_a_shop_that_was_switched_off_for_ten_days_finds_what_stripe_has_given_up(
    answered: bool, rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    if answered:
        order = placed(rehearsal, crab)
    else:
        # The answer was lost, and nobody has looked since: no voucher is known, and the key is long forgotten.
        order = shop.order_at_konbini(rehearsal, crab)
        rehearsal.faults.set(Fault("drop_after", path=CONFIRM, times=3))
        order = play_once(order)
        assert order.payment_attempts.get().outcome == Outcome.ASKED
    clock.advance(days=10)
    order = knock(order, "poller") if answered else play(order)

    assert (order.status, order.setback) == (
        Status.CANCELED,
        {"outcome": "expired", "reason": "konbini_expired"},
    )
    assert shop.levels(crab) == (10, 0, 0)
    assert mails(order) == (["konbini_codes", "konbini_expired"] if answered else ["konbini_expired"])


# Unknown -------------------------------------------------------------------------------------------------------------


def test_a_confirm_whose_answer_was_lost_is_found_as_a_voucher_even_after_half_an_hour(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    rehearsal.faults.set(Fault("drop_after", path=CONFIRM, times=3))
    order = play_once(order)
    assert (order.payment_attempts.get().outcome, mails(order)) == (Outcome.ASKED, [])
    clock.advance(minutes=31)
    assert order.pay_by < clock.now()

    order = play(order)

    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert mails(order) == ["konbini_codes"]
    assert order.pay_by == Voucher.objects.get().expires_at > clock.now()
    rehearsal.pay_at_till(order.intent.stripe_id)
    assert knock(order).status == Status.COMPLETE


def test_a_play_that_dies_with_the_voucher_in_hand_is_made_up_for_by_the_next(
    rehearsal: Rehearsal, crab: Product
) -> None:
    from todoku.flows.checkout import STEPS
    from todoku.flows.step import load, perform

    order = shop.order_at_konbini(rehearsal, crab)
    perform(STEPS["TakeStock"], order.pk, execution="dies")
    outside = STEPS["TakePayment"].outside
    assert outside is not None
    outside(load(order.pk))  # and here the worker is gone
    assert Voucher.objects.get().attempt.outcome == Outcome.WAITING
    assert (mails(order), Cart.objects.get().set_aside_at) == ([], None)

    order = play(order)

    assert mails(order) == ["konbini_codes"]
    assert Cart.objects.get().set_aside_at is not None
    assert order.pay_by == Voucher.objects.get().expires_at
    assert sum(asked["path"].endswith("/confirm") for asked in rehearsal.requests) == 1


def test_a_network_of_stores_that_is_down_leaves_the_card_as_a_way(rehearsal: Rehearsal, crab: Product) -> None:
    rehearsal.faults.set(Fault("not_available", path=CONFIRM))
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote, token=shop.choose_konbini(rehearsal))
    order = play(Order.objects.get())
    assert (order.status, order.setback) == (Status.NOT_PAID, {"outcome": "declined", "reason": "not_available"})
    assert (shop.levels(crab), Cart.objects.get().set_aside_at) == ((10, 0, 0), None)
    assert mails(order) == []

    shop.press(rehearsal, cart, quote)
    assert play(order).status == Status.COMPLETE


def test_after_declined_cards_the_same_order_is_paid_at_a_konbini(
    rehearsal: Rehearsal, crab: Product, settings: object
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    for number in (shop.DECLINED, shop.DECLINED, shop.DECLINED, shop.DECLINED):
        shop.press(rehearsal, cart, quote, number)
        order = play(Order.objects.get())
        assert order.status == Status.NOT_PAID
    shop.press(rehearsal, cart, quote, token=shop.choose_konbini(rehearsal))
    order = play(order)
    assert (order.attempts, order.status, shop.levels(crab)) == (5, Status.PLACED, (9, 1, 0))
    # A press from a tab that was left open shows the order that waits, and charges nothing.
    assert isinstance(shop.press(rehearsal, cart, quote), InPayment)

    rehearsal.pay_at_till(order.intent.stripe_id)
    assert knock(order).status == Status.COMPLETE
    assert [attempt.outcome for attempt in Attempt.objects.order_by("number")] == ["declined"] * 4 + ["paid"]


# While it waits ------------------------------------------------------------------------------------------------------


def test_stock_and_prices_that_change_meanwhile_do_not_touch_it(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab)
    Product.objects.update(price=9900, on_sale=False)
    Level.objects.update(on_hand=0)
    rehearsal.pay_at_till(order.intent.stripe_id)

    order = knock(order)

    assert (order.status, order.total, shop.levels(crab)) == (Status.COMPLETE, 5400, (0, 0, 1))
    [charge] = shop.charges(rehearsal)
    assert charge["amount"] == 5400


def test_the_shopper_goes_on_with_a_new_cart_and_two_konbini_orders_stand_side_by_side(
    rehearsal: Rehearsal, crab: Product
) -> None:
    first = placed(rehearsal, crab)
    fill.put(first.shopper, crab.sku, 2)
    from todoku.quote import ask

    cart = fill.current(first.shopper)
    assert cart is not None and cart.pk != first.cart_id
    ask.keep_details(cart, shop.HANAKO, language="ja")
    answer = shop.press(rehearsal, cart, shop.agree(cart), token=shop.choose_konbini(rehearsal))
    assert isinstance(answer, Placed)
    second = play(answer.order)
    assert shop.levels(crab) == (7, 3, 0)
    fill.put(first.shopper, crab.sku, 1)  # and a third cart is being filled

    rehearsal.expire_voucher(first.intent.stripe_id)
    rehearsal.pay_at_till(second.intent.stripe_id)
    Order.objects.filter(pk=first.pk).update(pay_by=timezone.now())
    first, second = knock(first), knock(second)

    assert (first.status, second.status) == (Status.CANCELED, Status.COMPLETE)
    assert shop.levels(crab) == (8, 0, 2)
    assert fill.count(first.shopper) == 1
    assert Cart.objects.filter(shopper=first.shopper, closed_at=None, set_aside_at=None).count() == 1


def test_what_was_added_while_the_order_was_placed_moves_to_a_new_cart(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    fill.put(order.shopper, crab.sku, 3)  # before the voucher is issued
    order = play(order)
    fresh = fill.current(order.shopper)
    assert fresh is not None and fresh.pk != order.cart_id
    assert [(line.product, line.quantity) for line in fill.held(fresh)] == [(crab, 3)]

    rehearsal.pay_at_till(order.intent.stripe_id)
    assert knock(order).status == Status.COMPLETE
    assert fill.count(order.shopper) == 3


def test_news_during_a_play_are_not_lost(rehearsal: Rehearsal, crab: Product) -> None:
    from todoku.engines import engine

    order = placed(rehearsal, crab)

    def pays_now(request: object, _answer: object) -> None:
        # The shop has just been told that the voucher is open; the customer pays and Stripe's event comes at once.
        rehearsal.observers.remove(pays_now)
        rehearsal.pay_at_till(order.intent.stripe_id)
        assert engine.play("checkout", order, knock="webhook") is None

    rehearsal.observers.append(pays_now)
    assert knock(order, "poller").status == Status.COMPLETE


def test_events_in_any_order_change_nothing_about_what_is_so(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab)
    # Whatever event it is that comes, late or early: it is a knock and nothing more.
    order = knock(order)
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    rehearsal.pay_at_till(order.intent.stripe_id)
    order = knock(order)
    assert (knock(order).status, shop.levels(crab)) == (Status.COMPLETE, (9, 0, 1))


def test_codes_that_were_made_anew_at_stripe_take_the_old_ones_place(rehearsal: Rehearsal, crab: Product) -> None:
    from urllib.parse import urlencode

    order = placed(rehearsal, crab)
    before = Voucher.objects.get().stores
    # Beyond us: somebody confirms the intent again, and the first voucher is worth nothing any more.
    answer = rehearsal.handle(
        "POST",
        f"/v1/payment_intents/{order.intent.stripe_id}/confirm",
        {"Authorization": "Bearer sk_test_rehearsal", "Content-Type": "application/x-www-form-urlencoded"},
        urlencode({"return_url": "https://shop.test/"}),
    )
    assert answer.status == 200, answer.body
    knock(order)
    assert Voucher.objects.get().stores != before


# Given up ------------------------------------------------------------------------------------------------------------


def test_a_customer_who_gives_it_up_gets_no_codes_to_pay_with_any_more(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab)
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())
    order = knock(order, "withdrawn")
    assert (order.status, order.setback) == (Status.CANCELED, {"outcome": "canceled", "reason": "withdrawn"})
    assert (shop.levels(crab), mails(order)) == ((10, 0, 0), ["konbini_codes", "konbini_canceled"])
    with pytest.raises(LookupError):
        rehearsal.pay_at_till(order.intent.stripe_id)


def test_a_voucher_that_is_found_after_the_order_was_given_up_is_canceled(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    rehearsal.faults.set(Fault("drop_after", path=CONFIRM, times=3))
    play_once(order)
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())

    order = play(order)

    assert (order.status, shop.levels(crab), mails(order)) == (Status.CANCELED, (10, 0, 0), [])
    [payment] = shop.stripe_payments(rehearsal)
    assert payment["status"] == "canceled"


@pytest.mark.parametrize("ending", ["pays", "walks away", "forgets"])
def test_a_customer_at_the_till_keeps_the_stock_until_it_is_decided(
    ending: str, rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = placed(rehearsal, crab)
    rehearsal.go_to_till(order.intent.stripe_id)
    Order.objects.filter(pk=order.pk).update(withdrawn_at=clock.now())
    for _ in range(3):
        order = knock(order, "poller")
        assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
        assert order.payment_attempts.get().outcome == Outcome.WAITING
        assert order.next_look_at is not None and order.next_look_at <= clock.now() + timedelta(minutes=1)
        clock.advance(minutes=1)

    if ending == "pays":
        rehearsal.pay_at_till(order.intent.stripe_id)
        order = knock(order, "poller")
        assert (order.status, shop.levels(crab)) == (Status.COMPLETE, (9, 0, 1))
        return
    if ending == "walks away":
        rehearsal.walk_away(order.intent.stripe_id)
    else:
        clock.advance(minutes=31)
    # Stripe keeps its refusal under its key for a day: the next cancel is a new request.
    order = knock(order, "poller")
    assert (order.status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))


def test_a_cancel_that_loses_to_the_payment_goes_forward(rehearsal: Rehearsal, crab: Product) -> None:
    order = placed(rehearsal, crab)
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())

    def pays_first(request: object, _answer: object) -> None:
        rehearsal.observers.remove(pays_first)
        rehearsal.pay_at_till(order.intent.stripe_id)

    rehearsal.observers.append(pays_first)
    order = knock(order, "withdrawn")
    assert (order.status, shop.levels(crab), mails(order)[-1]) == (Status.COMPLETE, (9, 0, 1), "order_complete")


def test_an_order_canceled_in_stripes_dashboard_is_not_said_to_have_expired(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = placed(rehearsal, crab)
    rehearsal.handle(
        "POST",
        f"/v1/payment_intents/{order.intent.stripe_id}/cancel",
        {"Authorization": "Bearer sk_test_rehearsal", "Content-Type": "application/x-www-form-urlencoded"},
        "",
    )
    order = knock(order)
    assert (order.status, order.setback) == (Status.CANCELED, {"outcome": "canceled", "reason": "at_stripe"})
    assert mails(order) == ["konbini_codes", "konbini_canceled"]


def test_a_play_that_slept_while_the_order_ended_does_not_bring_it_back(rehearsal: Rehearsal, crab: Product) -> None:
    from todoku.bad_news import Unavailable
    from todoku.flows.checkout import STEPS
    from todoku.payment.steps import Finding

    order = placed(rehearsal, crab)
    Mail.objects.all().delete()
    Order.objects.filter(pk=order.pk).update(withdrawn_at=timezone.now())
    order = knock(order, "withdrawn")
    with pytest.raises(Unavailable):
        STEPS["TakePayment"].effect(order, Finding("waiting", "konbini", 1))
    order.refresh_from_db()
    assert (order.status, order.next_look_at) == (Status.CANCELED, None)
    assert "konbini_codes" not in mails(order)
