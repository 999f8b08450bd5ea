"""Many hands on one order or one shelf: operators, workers, counters, the sweeper. Each with its control."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail as sent
from django.db import connection, transaction
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.races.together import together, without
from todoku.catalog.models import Product
from todoku.engines import embedded, engine
from todoku.engines.models import Execution, State
from todoku.flows import step
from todoku.flows.checkout import STEPS
from todoku.flows.models import Done
from todoku.flows.step import perform
from todoku.gateways import stripe as stripe_gateway
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.order.place import Changed, Placed, Refused
from todoku.payment.models import Intent
from todoku.reconciliation import sweep as sweeping
from todoku.reconciliation.rules import LEFT_AFTER
from todoku.stock import take
from todoku.stock.count import adjust
from todoku.stock.models import Level, Movement, Reservation

THREE_D_SECURE = "4000002760003184"


# Operators who press Resume ------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch) -> Order:
    """A paid order whose mail nobody took, until now."""
    from todoku.bad_news import NeedsOperator

    def refuse(_: Order) -> None:
        raise NeedsOperator("mail_refused", "made on purpose")

    order = shop.order_one(rehearsal, crab)
    with monkeypatch.context() as refused:
        refused.setitem(STEPS, "SendMail", step.Step("SendMail", outside=refuse, effect=STEPS["SendMail"].effect))
        shop.work_off()
    assert Case.objects.get(order=order).closed_at is None
    return order


@pytest.mark.parametrize("operators", [2, 20])
def test_operators_who_press_resume_at_once_start_one_play(
    rehearsal: Rehearsal, crab: Product, stopped: Order, operators: int
) -> None:
    failed = Execution.objects.get(order=stopped)

    plays = together(*(partial(engine.resume, failed, who=f"operator {n}") for n in range(operators)))

    assert [type(play) for play in plays].count(Execution) == 1
    assert plays.count(None) == operators - 1
    shop.work_off()
    assert Execution.objects.count() == 2
    assert Order.objects.get().status == Status.COMPLETE
    assert Case.objects.get(order=stopped).closed_by.startswith("operator")
    assert len(shop.charges(rehearsal)) == 1
    assert len([one for one in sent.outbox if stopped.number in one.subject and "Todoku]" not in one.subject]) == 1


def test_control_without_the_orders_lock_and_the_constraint_every_operator_starts_a_play(stopped: Order) -> None:
    failed = Execution.objects.get(order=stopped)
    all_have_looked = threading.Barrier(5)

    def resume_naively(number: int) -> None:
        """Look whether it has failed, then start: what a console does that has no lock."""
        if Execution.objects.get(pk=failed.pk).status == State.FAILED:
            all_have_looked.wait(timeout=30)
            Execution.objects.create(
                order=stopped, flow="checkout", number=10 + number, definition_id=failed.definition_id, knock="resume"
            )

    with without(("engines_execution", "one_play_at_a_time")):
        together(*(partial(resume_naively, number) for number in range(5)))
        assert Execution.objects.filter(order=stopped, status=State.RUNNING).count() == 5


# Workers who play one order ------------------------------------------------------------------------------------------


def test_workers_who_play_one_order_at_once_do_each_step_once(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    play = Execution.objects.get(order=order)

    answers = together(*[partial(embedded.run, play.pk)] * 4)
    shop.work_off()

    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert Order.objects.get().status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)
    assert Counter(Movement.objects.filter(order=order).values_list("kind", flat=True)) == {"taken": 1, "sold": 1}
    assert set(Counter(Done.objects.values_list("step", flat=True)).values()) == {1}
    assert len({message.extra_headers["Message-ID"] for message in sent.outbox}) == 1
    assert not Case.objects.exists()


def test_control_without_lock_and_ledger_workers_take_the_stock_twice(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = shop.order_one(rehearsal, crab)
    both_have_looked = threading.Barrier(2)
    look: Callable[..., Any] = step._look

    def look_and_dawdle(*args: Any) -> Any:
        found = look(*args)
        both_have_looked.wait(timeout=30)
        return found

    monkeypatch.setattr(step, "_look", look_and_dawdle)
    monkeypatch.setattr(step, "_lock", lambda _order: None)
    guards = (
        ("flows_done", "a_step_happens_once"),
        ("stock_reservation", "one_reservation_per_attempt"),
        ("stock_reservation", "one_held_reservation"),
    )
    with without(*guards):
        assert (
            together(*[partial(perform, STEPS["TakeStock"], order.pk, execution="e")] * 2) == [{"outcome": "taken"}] * 2
        )
        assert shop.levels(crab) == (8, 2, 0)  # one was wanted


# Two who count the same shelf ----------------------------------------------------------------------------------------


def test_corrections_of_one_shelf_and_sales_from_it_all_count(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [shop.order_one(rehearsal, crab) for _ in range(4)]

    answers = together(
        *(partial(adjust, {crab.pk: 5}, who=f"counter {n}", why="a crate came") for n in range(4)),
        *(partial(adjust, {crab.pk: -1}, who=f"counter {n}", why="one was bad") for n in range(4)),
        *(partial(perform, STEPS["TakeStock"], order.pk, execution="e") for order in orders),
    )

    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert shop.levels(crab) == (10 + 20 - 4 - 4, 4, 0)
    assert sum(Movement.objects.values_list("on_hand", flat=True)) == 22


def test_control_two_who_write_what_they_have_read_lose_one_correction(crab: Product) -> None:
    both_have_read = threading.Barrier(2)

    def correct_naively() -> None:
        level = Level.objects.get(product=crab)
        both_have_read.wait(timeout=30)
        level.on_hand += 5
        level.save(update_fields=["on_hand"])

    together(correct_naively, correct_naively)
    assert shop.levels(crab) == (15, 0, 0)  # ten there were, two crates of five came


# The sweeper and the press -------------------------------------------------------------------------------------------


def test_an_intent_is_swept_or_ordered_with_and_never_both(rehearsal: Rehearsal, crab: Product) -> None:
    mails = [f"shopper-{number}@example.jp" for number in range(6)]
    carts = [shop.fill_cart((crab, 1), details={"email": mail, "phone": shop.phone_of(mail)}) for mail in mails]
    quotes = [shop.agree(cart) for cart in carts]
    tokens = [shop.type_card(rehearsal) for _ in carts]
    long_ago = timezone.now() - LEFT_AFTER - timedelta(hours=1)
    Intent.objects.update(created_at=long_ago, changed_at=long_ago)

    def sweep() -> int:
        return sweeping.sweep(stripe_gateway.for_worker(), timezone.now()).canceled

    presses = [
        partial(shop.press, rehearsal, cart, quote, token=token)
        for cart, quote, token in zip(carts, quotes, tokens, strict=True)
    ]
    swept, *answers = together(sweep, *presses)
    shop.work_off()

    assert isinstance(swept, int)
    assert {type(answer) for answer in answers} <= {Placed, Refused, Changed}
    placed = [answer.order for answer in answers if isinstance(answer, Placed)]
    assert len(placed) + swept == 6
    assert Order.objects.filter(status=Status.COMPLETE).count() == len(placed) == len(shop.charges(rehearsal))
    assert shop.levels(crab) == (10 - len(placed), 0, len(placed))
    assert not Case.objects.exists()


def test_control_a_sweeper_that_only_looks_first_cancels_what_was_just_ordered(
    rehearsal: Rehearsal, crab: Product
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    looked, pressed = threading.Event(), threading.Event()

    def sweep_naively() -> str:
        """Look whether an order has the intent, then cancel: what a sweeper does that claims nothing."""
        [intent] = Intent.objects.filter(order=None)
        looked.set()
        pressed.wait(30)
        return stripe_gateway.for_worker().cancel(intent.stripe_id or "", key="naive").status

    def press() -> object:
        looked.wait(30)
        answer = shop.press(rehearsal, cart, quote)
        pressed.set()
        return type(answer)

    assert together(sweep_naively, press) == ["canceled", Placed]
    shop.work_off()
    assert Order.objects.get().status == Status.CANCELED  # the shopper's order is gone


# Release and payment -------------------------------------------------------------------------------------------------


def test_control_stock_released_before_the_cancel_is_sold_twice(rehearsal: Rehearsal, crab: Product) -> None:
    """The right order (cancel first) is raced in test_races.py, at the very moment of the deadline."""
    Level.objects.update(on_hand=1)
    slow = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    with transaction.atomic():
        assert take.give_back(Order.objects.get(pk=slow.pk))  # before Stripe was asked to cancel
    shop.order_one(rehearsal, crab)
    shop.work_off()
    rehearsal.authenticate(slow.intent.stripe_id or "")
    with transaction.atomic():
        engine.play("checkout", slow, knock="webhook")
    shop.work_off()

    assert len(shop.charges(rehearsal)) == 2  # for one crab
    assert Case.objects.get(order=slow).code == "paid_unallocated"
    assert not Reservation.objects.filter(order=slow, state="sold").exists()


def test_the_controls_leave_every_guard_in_its_place(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_indexes WHERE indexname IN"
            " ('one_play_at_a_time', 'a_step_happens_once', 'one_reservation_per_attempt', 'one_held_reservation')"
        )
        assert cursor.fetchone()[0] == 4
