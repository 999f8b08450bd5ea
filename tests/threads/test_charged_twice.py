"""Charged twice: unknown outcomes, keys, second presses and second carts."""

from __future__ import annotations

import uuid
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.quick import knock, play, play_once
from tests.races.together import together
from tests.threads.street import (
    Witness,
    lost_after_the_charge,
    refused_by_the_database,
    resume,
)
from tests.threads.thread import thread
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.engines import embedded
from todoku.engines.models import Execution, State
from todoku.flows.checkout import STEPS
from todoku.flows.step import perform
from todoku.order.models import Order, Status
from todoku.order.place import InDoubt, InPayment, Placed
from todoku.payment.models import Attempt, Intent, Outcome
from todoku.payment.prepare import prepare
from todoku.quote.models import Quote


@thread(42, seen="woocommerce/woocommerce-gateway-stripe#3638, PR #3725, PR #3912 (2024)")
def test_the_process_dies_after_the_confirm_and_the_buyer_starts_again(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the buyer tried again after the error, got a new intent, and was charged a second time.

    Here: the same cart leads to its order, and a new cart is asked about it first; nothing new is charged.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote)
    order = lost_after_the_charge(rehearsal, Order.objects.get())
    assert Attempt.objects.get().outcome == Outcome.ASKED
    rehearsal.faults.clear()
    assert shop.press(rehearsal, cart, quote, asked=True) == InPayment(order)

    Cart.objects.update(set_aside_at=timezone.now())
    new = shop.fill_cart((crab, 2), shopper=cart.shopper)
    answer = shop.press(rehearsal, new, shop.agree(new), asked=True)
    assert isinstance(answer, InDoubt)
    assert [(doubt.order, doubt.kind) for doubt in answer.doubts] == [(order, "checking")]
    assert play(order).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


@thread(26, seen="openfoodfoundation/openfoodnetwork#7614 (2021)")
def test_the_order_cannot_be_finished_and_the_buyer_presses_again_and_again(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: finalising failed after each payment, so every new press collected the money once more.

    Here: while an order of this cart is paid and not finished, a press leads to it.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote)
    with refused_by_the_database("fulfilment_delivery"):
        order = play(Order.objects.get())
        for _ in range(3):
            assert shop.press(rehearsal, cart, quote, asked=True) == InPayment(order)
            play(order)
    assert len(shop.charges(rehearsal)) == 1
    assert resume(order).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


@thread(43, seen="woocommerce/woocommerce-gateway-stripe#2339 (2022-2024)")
def test_every_retry_of_one_attempt_has_the_same_key(rehearsal: Rehearsal, crab: Product, witness: Witness) -> None:
    """There: keys prevented nothing, because every retry made a new one.

    Here: a key lives as long as its attempt, over lost answers and over several plays.
    """
    rehearsal.faults.set(Fault("drop_before", path="*/confirm", times=4))
    order = shop.order_one(rehearsal, crab)
    order = play_once(order)
    order = play(order)
    keys = witness.keys()
    assert len(keys) > 2
    assert set(keys) == {f"{Attempt.objects.get().key}:confirm"}
    assert (order.status, len(shop.charges(rehearsal))) == (Status.COMPLETE, 1)


@thread(50, seen="akash-network/console#3449 (2026)")
def test_the_key_outlives_unknown_outcomes_and_changes_with_a_decline(
    rehearsal: Rehearsal, crab: Product, witness: Witness
) -> None:
    """There: two or three charges, until the key outlived what is unknown and changed only on a definite answer.

    Here: unknown, unknown, declined are one key; the next card has another.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    # More than the SDK's own retries, which share a key in any case.
    rehearsal.faults.set(Fault("drop_before", path="*/confirm", times=5))
    shop.press(rehearsal, cart, quote, shop.DECLINED)
    order = play(Order.objects.get())
    assert order.status == Status.NOT_PAID
    shop.press(rehearsal, cart, quote)
    assert play(order).status == Status.COMPLETE
    *before, after = witness.keys()
    assert (len(set(before)), after in before, len(shop.charges(rehearsal))) == (1, False, 1)


@thread(52, seen="temporalio/reference-app-orders-go#49 (2024); btravstack/temporal-contract#428 (2026)")
def test_another_execution_of_the_order_asks_under_the_same_key(
    rehearsal: Rehearsal, crab: Product, witness: Witness
) -> None:
    """There: a durable engine alone did not help; the retried activity charged again without a key of its own.

    Here: an execution that failed for good and the one that a person starts after it share the attempt's key.
    """
    order = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("rate_limit", path="*/confirm", times=None))
    order = play(order)
    assert Execution.objects.get().status == State.FAILED
    rehearsal.faults.clear()
    assert resume(order).status == Status.COMPLETE
    assert Execution.objects.count() == 2
    assert len(set(witness.keys())) == 1


@thread(45, seen="woocommerce/woocommerce-gateway-stripe#3444 (2024)")
def test_a_look_that_times_out_after_the_charge_is_not_a_failed_payment(rehearsal: Rehearsal, crab: Product) -> None:
    """There: a time-out while reading after the charge marked the renewal as failed, and it was charged again.

    Here: a look that fails says nothing of the payment: no new attempt, no stock back, the next look finds it.
    """
    order = lost_after_the_charge(rehearsal, shop.order_one(rehearsal, crab))
    order = play_once(order)
    assert (order.status, order.attempts, order.setback, shop.levels(crab)) == (Status.PLACED, 1, None, (9, 1, 0))
    rehearsal.faults.clear()
    assert play(order).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


@thread(46, seen="woocommerce/woocommerce-gateway-stripe#3299, #4149 (2024-2025)")
def test_five_tabs_that_come_to_the_confirm_page_in_one_second_share_an_intent(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: several intents in the same second, and more than one of them was paid.

    Here: our row comes first, under the cart's lock; its id is the key, so Stripe makes one.
    """
    quote = Quote.objects.get(pk=shop.ask.quote(shop.fill_cart((crab, 1))).pk)
    found = together(*[partial(prepare, quote)] * 5)
    assert {getattr(intent, "stripe_id", intent) for intent in found} == {Intent.objects.get().stripe_id}
    assert len(shop.stripe_payments(rehearsal)) == 1


@thread(47, seen="Automattic/woocommerce-payments#6977, #3784, #4858")
def test_one_intent_belongs_to_one_order_and_an_order_to_one_intent(rehearsal: Rehearsal, crab: Product) -> None:
    """There: one intent stood on two orders, and one order had several intents.

    Here: the database says no, and a declined order's next card is confirmed on the same intent.
    """
    first = play(shop.order_one(rehearsal, crab, number=shop.DECLINED))
    second = play(shop.order_one(rehearsal, crab))
    with pytest.raises(IntegrityError, match="intent_id"), transaction.atomic():
        Order.objects.filter(pk=second.pk).update(intent=first.intent_id)
    with pytest.raises(IntegrityError, match="stripe_id"), transaction.atomic():
        Intent.objects.filter(pk=second.intent_id).update(stripe_id=first.intent.stripe_id)
    shop.press(rehearsal, first.cart, first.quote)
    assert play(first).intent_id == first.intent_id
    assert len(shop.stripe_payments(rehearsal)) == 2


@thread(48, seen="craftcms/commerce-stripe#207 (2022-2024)")
def test_four_presses_with_four_cards_typed_are_one_charge(rehearsal: Rehearsal, crab: Product) -> None:
    """There: up to four charges, although the button was disabled after the first press.

    Here: the server does not count on the button; all four presses end at one order with one attempt.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    tokens = [shop.type_card(rehearsal) for _ in range(4)]
    answers = together(*(partial(shop.press, rehearsal, cart, quote, token=token, asked=True) for token in tokens))
    assert sorted(type(answer).__name__ for answer in answers) == ["InPayment"] * 3 + ["Placed"]
    play(Order.objects.get())
    assert (Attempt.objects.count(), len(shop.charges(rehearsal))) == (1, 1)


@thread(44, seen="woocommerce/woocommerce-gateway-stripe#5362 (2026)")
def test_a_voucher_is_paid_although_the_customer_has_paid_by_card_meanwhile(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """There: the handler saw that the order was paid in another way, and silently left the second charge lying.

    Here: each charge has an order of its own; both arrive and both stand on my page.
    """
    voucher = play(shop.order_at_konbini(rehearsal, crab))
    rehearsal.go_to_till(voucher.intent.stripe_id)
    Order.objects.filter(pk=voucher.pk).update(withdrawn_at=timezone.now())
    assert knock(voucher).status == Status.PLACED
    cart = shop.fill_cart((crab, 1), shopper=voucher.shopper)
    answer = shop.press(rehearsal, cart, shop.agree(cart))
    assert isinstance(answer, Placed)
    rehearsal.pay_at_till(voucher.intent.stripe_id)
    orders = [knock(voucher), play(answer.order)]
    assert [order.status for order in orders] == [Status.COMPLETE] * 2
    assert {charge["payment_intent"] for charge in shop.charges(rehearsal)} == {o.intent.stripe_id for o in orders}


@thread(4, seen="medusajs/medusa#13301 (2025)")
def test_two_workers_complete_one_order_at_once(rehearsal: Rehearsal, crab: Product, witness: Witness) -> None:
    """There: the browser's confirm and the webhook both completed the cart, about one time in twenty.

    Here: the very same play run by five at once is one of each: charge, slip, sale, mail.
    """
    order = shop.order_one(rehearsal, crab)
    execution = Execution.objects.get()
    assert together(*[partial(embedded.run, execution.pk)] * 5) == [None] * 5
    order = play(order)
    assert (order.status, order.ledger.count(), shop.levels(crab)) == (Status.COMPLETE, 6, (9, 0, 1))
    assert (len(set(witness.keys())), len(shop.charges(rehearsal))) == (1, 1)


@thread(14, seen="pretix/pretix#1189 (2019)")
def test_poller_webhook_and_press_race_and_the_key_is_the_arbiter(
    rehearsal: Rehearsal, crab: Product, witness: Witness
) -> None:
    """There: webhook and polling are both needed, the race cannot be removed, so one key has to decide.

    Here: two executions' steps ask Stripe at the same moment, and Stripe answers both with one charge.
    """
    order = shop.order_one(rehearsal, crab)
    perform(STEPS["TakeStock"], order.pk, execution="e")
    rehearsal.faults.set(Fault("slow_after", path="*/confirm", times=1, seconds=0.3))
    together(
        *(partial(perform, STEPS["TakePayment"], order.pk, execution=name) for name in ("press", "webhook", "poller"))
    )
    assert play(order).status == Status.COMPLETE
    assert (len(set(witness.keys())), len(shop.charges(rehearsal))) == (1, 1)


@thread(53, seen="stripe/ai#402 (2026)")
def test_an_ambiguous_result_stays_a_question_until_stripe_has_answered(rehearsal: Rehearsal, crab: Product) -> None:
    """There: whoever retried on top repeated the effect; an ambiguous result should have stayed pending.

    Here: whatever breaks on the way back (the answer lost, cut, garbled, or a 500), it is "asked", never "failed".
    """
    for kind in ("drop_after", "truncated", "malformed", "bad_gateway"):
        rehearsal.faults.set(Fault(kind, path="*/confirm", times=None))  # type: ignore[arg-type]
        order = play_once(shop.order_one(rehearsal, crab))
        attempt = Attempt.objects.get(order=order)
        assert (order.status, attempt.outcome) == (Status.PLACED, Outcome.ASKED), kind
        assert isinstance(attempt.key, uuid.UUID)
        rehearsal.faults.clear()
        assert play(order).status == Status.COMPLETE, kind
    assert len(shop.charges(rehearsal)) == 4
