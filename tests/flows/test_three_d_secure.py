"""3-D Secure: the card's bank asks its owner. Passed, failed, left, and every race of the answer with the deadline."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from rehearsal import Fault
from rehearsal.answer import Answer, Request
from rehearsal.api import Rehearsal
from tests import shop
from tests.clock import Clock
from tests.quick import knock, play, play_once
from tests.races.together import together
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution
from todoku.flows.checkout import STEPS
from todoku.flows.step import load, perform
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case, Mail
from todoku.order.models import Order, Status
from todoku.order.place import Placed
from todoku.payment.models import Outcome
from todoku.stock.models import Movement

ASKS = "4000002760003184"
FRICTIONLESS = "4000000000003055"
CANCEL = "/v1/payment_intents/*/cancel"


def asked(rehearsal: Rehearsal, product: Product) -> Order:
    """An order whose card's bank has asked its owner."""
    order = play(shop.order_one(rehearsal, product, number=ASKS))
    assert (order.status, shop.levels(product)) == (Status.PLACED, (9, 1, 0))
    return order


def arrived_once(order: Order, rehearsal: Rehearsal, product: Product) -> bool:
    """Paid once, sold once, sent once."""
    order = Order.objects.get(pk=order.pk)
    return (
        order.status == Status.COMPLETE
        and len(shop.charges(rehearsal)) == 1
        and shop.levels(product) == (9, 0, 1)
        and Delivery.objects.filter(order=order).count() == 1
        and Mail.objects.filter(order=order).count() == 1
        and Movement.objects.filter(order=order, kind="sold").count() == 1
    )


def ended_once(order: Order, rehearsal: Rehearsal, product: Product) -> bool:
    """Not paid, never to be paid, and the stock is back once."""
    order = Order.objects.get(pk=order.pk)
    [payment] = shop.stripe_payments(rehearsal)
    return (
        order.status == Status.CANCELED
        and payment["status"] == "canceled"
        and shop.charges(rehearsal) == []
        and shop.levels(product) == (10, 0, 0)
        and Movement.objects.filter(order=order, kind="returned").count() == 1
    )


def when(rehearsal: Rehearsal, asked_for: str, then: Callable[[], object]) -> None:
    """Do something right after Stripe has answered a call whose method and path end so, once."""

    def watch(request: Request, _answer: Answer) -> None:
        if f"{request.method} {request.path}".endswith(asked_for) and not request.publishable:
            rehearsal.observers.remove(watch)
            then()

    rehearsal.observers.append(watch)


def test_a_card_that_the_bank_does_not_ask_about_is_paid_at_once(rehearsal: Rehearsal, crab: Product) -> None:
    order = play(shop.order_one(rehearsal, crab, number=FRICTIONLESS))
    assert arrived_once(order, rehearsal, crab)
    assert Execution.objects.count() == 1


def test_a_question_that_is_answered_is_paid(rehearsal: Rehearsal, crab: Product) -> None:
    order = asked(rehearsal, crab)
    attempt = order.payment_attempts.get()
    assert (attempt.outcome, attempt.waits_for) == (Outcome.WAITING, "authentication")
    rehearsal.authenticate(order.intent.stripe_id)
    assert arrived_once(knock(order, "return"), rehearsal, crab)


def test_after_a_failed_question_another_card_pays_the_same_order(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    answer = shop.press(rehearsal, cart, quote, ASKS)
    assert isinstance(answer, Placed)
    order = play(answer.order)
    rehearsal.authenticate(order.intent.stripe_id, passed=False)

    order = knock(order, "return")
    assert (order.status, order.setback) == (
        Status.NOT_PAID,
        {"outcome": "declined", "reason": "not_authenticated"},
    )
    assert (shop.levels(crab), order.next_look_at) == ((10, 0, 0), None)

    shop.press(rehearsal, cart, quote)
    order = play(order)
    assert order.attempts == 2
    assert arrived_once(order, rehearsal, crab)


def test_a_tab_that_was_left_open_ends_at_the_deadline_and_not_before(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = asked(rehearsal, crab)
    clock.advance_to(order.pay_by - timedelta(seconds=1))
    order = knock(order, "poller")
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert order.next_look_at == order.pay_by

    clock.advance(seconds=1)
    order = knock(order, "poller")
    assert ended_once(order, rehearsal, crab)
    assert order.setback == {"outcome": "canceled", "reason": "expired"}
    with pytest.raises(LookupError):
        rehearsal.authenticate(order.intent.stripe_id)  # the bank's page is of no use any more


@pytest.mark.parametrize("fault", ["drop_before", "rate_limit", "error_before_unkept"])
def test_only_when_the_cancel_is_confirmed_the_stock_goes_back(
    fault: str, rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = asked(rehearsal, crab)
    clock.advance(minutes=31)
    held = rehearsal.faults.set(Fault(fault, path=CANCEL, times=None))  # type: ignore[arg-type]
    order = knock(order, "poller")
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert Case.objects.filter(closed_at=None).count() == 1  # and a person knows

    rehearsal.faults.clear(held)
    assert ended_once(knock(order, "poller"), rehearsal, crab)
    assert not Case.objects.filter(closed_at=None).exists()


def test_a_cancel_whose_answer_was_lost_is_looked_up(rehearsal: Rehearsal, crab: Product, clock: Clock) -> None:
    order = asked(rehearsal, crab)
    clock.advance(minutes=31)
    rehearsal.faults.set(Fault("drop_after", path=CANCEL, times=3))
    assert ended_once(knock(order, "poller"), rehearsal, crab)


# In the same second --------------------------------------------------------------------------------------------------


def test_answered_just_before_the_deadlines_cancel_it_is_paid(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = asked(rehearsal, crab)
    clock.advance_to(order.pay_by)
    # The shop has looked and found the question open; the answer is quicker than the cancel.
    when(rehearsal, f"GET /v1/payment_intents/{order.intent.stripe_id}",
         lambda: rehearsal.authenticate(order.intent.stripe_id))  # fmt: skip
    assert arrived_once(knock(order, "poller"), rehearsal, crab)


def test_answered_just_after_the_deadlines_cancel_it_is_not_paid(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = asked(rehearsal, crab)
    clock.advance_to(order.pay_by)
    too_late: list[bool] = []

    def answers() -> None:
        try:
            rehearsal.authenticate(order.intent.stripe_id)
        except LookupError:
            too_late.append(True)

    when(rehearsal, "/cancel", answers)
    order = knock(order, "poller")
    assert (too_late, ended_once(order, rehearsal, crab)) == ([True], True)
    assert ended_once(knock(order, "webhook"), rehearsal, crab)


def test_a_cancel_that_loses_while_its_answer_is_lost_goes_forward(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = asked(rehearsal, crab)
    clock.advance_to(order.pay_by)
    rehearsal.faults.set(Fault("drop_before", path=CANCEL, times=3))
    play_once_more = partial(engine.play, "checkout", order, knock="poller")
    play_once_more()
    play_once(order)  # the cancel has not come through, and meanwhile she answers
    rehearsal.authenticate(order.intent.stripe_id)
    assert arrived_once(play(order), rehearsal, crab)


# Who comes, and how often --------------------------------------------------------------------------------------------


def test_the_return_twice_and_events_in_any_number_have_one_effect(rehearsal: Rehearsal, crab: Product) -> None:
    order = asked(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id)
    for who in ("return", "return", "webhook", "poller", "webhook", "return"):
        knock(order, who)
        assert arrived_once(order, rehearsal, crab)


def test_without_any_webhook_or_return_the_poller_brings_it_home(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = asked(rehearsal, crab)
    assert order.next_look_at is not None
    clock.advance(seconds=20)
    rehearsal.authenticate(order.intent.stripe_id)
    assert order.next_look_at - clock.now() <= timedelta(minutes=1)
    clock.advance_to(order.next_look_at)
    assert arrived_once(knock(order, "poller"), rehearsal, crab)


def test_news_during_a_look_that_found_nothing_are_not_lost(rehearsal: Rehearsal, crab: Product) -> None:
    order = asked(rehearsal, crab)

    def answers() -> None:
        rehearsal.authenticate(order.intent.stripe_id)
        assert engine.play("checkout", order, knock="return") is None

    when(rehearsal, f"GET /v1/payment_intents/{order.intent.stripe_id}", answers)
    assert arrived_once(knock(order, "poller"), rehearsal, crab)


@pytest.mark.parametrize("others", [2, 5])
def test_performers_at_once_at_the_moment_of_the_answer_have_one_effect(
    others: int, rehearsal: Rehearsal, crab: Product
) -> None:
    order = asked(rehearsal, crab)
    rehearsal.authenticate(order.intent.stripe_id)
    take = partial(perform, STEPS["TakePayment"], order.pk, execution="e")
    assert together(*[take] * others) == [{"outcome": "paid"}] * others
    record = partial(perform, STEPS["RecordOrder"], order.pk, execution="e")
    assert together(*[record] * others) == [{"outcome": "recorded", "parcels": 1}] * others
    assert arrived_once(knock(order), rehearsal, crab)


# The worker dies there ----------------------------------------------------------------------------------------------


def _confirmed(order: Order) -> None:
    """The card was asked for, and the worker dies before it could write what that means."""
    perform(STEPS["TakeStock"], order.pk, execution="dies")
    outside = STEPS["TakePayment"].outside
    assert outside is not None
    outside(load(order.pk))


def _no_answer(rehearsal: Rehearsal, order: Order) -> None:
    rehearsal.faults.set(Fault("drop_after", path="/v1/payment_intents/*/confirm", times=3))
    play_once(order)


@pytest.mark.parametrize("passed", [True, False, None])
@pytest.mark.parametrize("dies", ["before the question", "with the question in hand", "without the answer"])
def test_wherever_the_worker_dies_the_next_play_finds_how_it_stands(
    dies: str, passed: bool | None, rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = shop.order_one(rehearsal, crab, number=ASKS)
    if dies == "before the question":
        perform(STEPS["TakeStock"], order.pk, execution="dies")
        order = play(order)
    elif dies == "with the question in hand":
        _confirmed(order)
    else:
        _no_answer(rehearsal, order)
    if passed is not None:
        rehearsal.authenticate(order.intent.stripe_id, passed=passed)
    else:
        clock.advance(minutes=31)

    order = play(order) if dies != "before the question" else knock(order, "poller")

    if passed:
        assert arrived_once(order, rehearsal, crab)
    elif passed is None:
        assert ended_once(order, rehearsal, crab)
    else:
        assert (order.status, shop.levels(crab)) == (Status.NOT_PAID, (10, 0, 0))
        assert order.setback == {"outcome": "declined", "reason": "not_authenticated"}
    assert len({row["key"] for row in rehearsal.requests if row["path"].endswith("/confirm")}) == 1


@pytest.mark.parametrize("dies_after", ["the cancel", "the effect", "the return of the stock"])
def test_a_worker_that_dies_while_it_ends_an_order_ends_it_once(
    dies_after: str, rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = asked(rehearsal, crab)
    clock.advance(minutes=31)
    if dies_after == "the cancel":
        outside = STEPS["TakePayment"].outside
        assert outside is not None
        outside(load(order.pk))
    else:
        perform(STEPS["TakePayment"], order.pk, execution="dies")
        assert shop.levels(crab) == (9, 1, 0)
    if dies_after == "the return of the stock":
        perform(STEPS["ReturnStock"], order.pk, execution="dies")
        assert ended_once(order, rehearsal, crab)
    order = knock(order, "webhook")
    assert ended_once(order, rehearsal, crab)
    assert order.setback == {"outcome": "canceled", "reason": "expired"}
