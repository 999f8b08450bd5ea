"""The ledger: a step happens once, whoever performs it, however often, and in whatever moment it fails."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections

from rehearsal.answer import Answer as StripesAnswer
from rehearsal.answer import Request
from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from tests.flows import mail_door
from todoku.bad_news import NeedsOperator, Unavailable
from todoku.catalog.models import Product
from todoku.flows.models import Done
from todoku.flows.step import Answer, Step, perform, perform_named
from todoku.order.models import Order, Status
from todoku.stock.models import Kind, Movement


class Counted:
    """A step that moves one crab in the stock's book, and counts how often it was asked."""

    def __init__(self, crab: Product, **more: Any) -> None:
        self.crab = crab
        self.talks = 0
        self.trouble: Exception | None = None
        self.answer: Answer = {"outcome": "moved"}
        self.step = Step("Move", effect=self.effect, outside=self.outside, **more)

    def outside(self, order: Order) -> str:
        assert not connection.in_atomic_block
        self.talks += 1
        return f"gift {self.talks}"

    def effect(self, order: Order, gift: str) -> Answer:
        assert connection.in_atomic_block
        Movement.objects.create(product=self.crab, kind=Kind.COUNTED, on_hand=1, why=gift, order=order)
        if self.trouble is not None:
            raise self.trouble
        return {**self.answer, "gift": gift}

    def effects(self) -> list[str]:
        return list(Movement.objects.filter(why__startswith="gift").order_by("id").values_list("why", flat=True))


@pytest.fixture
def order(rehearsal: Rehearsal, crab: Product) -> Order:
    return shop.order_one(rehearsal, crab)


def test_a_finished_step_answers_from_the_ledger_and_nothing_is_done_or_asked_again(
    order: Order, crab: Product
) -> None:
    counted = Counted(crab)
    answers = [perform(counted.step, order.pk, execution=f"checkout-1-{n}") for n in (1, 2, 3)]

    assert answers == [{"outcome": "moved", "gift": "gift 1"}] * 3
    assert (counted.talks, counted.effects()) == (1, ["gift 1"])
    done = Done.objects.get(order=order, step="Move")
    assert (done.attempt, done.execution, done.answer) == (0, "checkout-1-1", answers[0])
    assert done.began_at < done.ended_at


def test_an_effect_that_fails_takes_its_ledger_row_back_with_it(order: Order, crab: Product) -> None:
    counted = Counted(crab)
    counted.trouble = RuntimeError("the roof has come down")
    with pytest.raises(RuntimeError, match="the roof has come down"):
        perform(counted.step, order.pk, execution="checkout-1-1")
    assert (counted.effects(), Done.objects.filter(step="Move").count()) == ([], 0)

    counted.trouble = None
    assert perform(counted.step, order.pk, execution="checkout-1-1")["gift"] == "gift 2"
    assert counted.effects() == ["gift 2"]


def test_a_step_of_each_attempt_happens_once_in_each(order: Order, crab: Product) -> None:
    counted = Counted(crab, per_attempt=True)
    assert perform(counted.step, order.pk, execution="e")["gift"] == "gift 1"
    Order.objects.filter(pk=order.pk).update(attempts=2)
    assert [perform(counted.step, order.pk, execution="e")["gift"] for _ in range(2)] == ["gift 2"] * 2
    assert list(Done.objects.filter(step="Move").values_list("attempt", flat=True)) == [1, 2]


def test_an_answer_that_is_not_final_is_not_kept(order: Order, crab: Product) -> None:
    counted = Counted(crab, final=lambda answer: answer["outcome"] == "paid")
    counted.answer = {"outcome": "waiting"}
    assert [perform(counted.step, order.pk, execution="e")["gift"] for _ in range(2)] == ["gift 1", "gift 2"]
    assert not Done.objects.filter(step="Move").exists()
    counted.answer = {"outcome": "paid"}
    assert [perform(counted.step, order.pk, execution="e")["gift"] for _ in range(2)] == ["gift 3", "gift 3"]


def test_two_performers_at_once_make_one_effect_and_get_the_same_answer(order: Order, crab: Product) -> None:
    counted = Counted(crab)
    both_have_talked = threading.Barrier(8)

    def outside(_: Order) -> str:
        both_have_talked.wait(timeout=20)
        return f"gift of {threading.get_ident()}"

    step = Step("Move", effect=counted.effect, outside=outside)

    def performer(_: int) -> Answer:
        try:
            return perform(step, order.pk, execution="e")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(performer, range(8)))

    assert len(counted.effects()) == 1
    assert {answer["gift"] for answer in answers} == set(counted.effects())
    assert Done.objects.filter(step="Move").count() == 1


def test_control_without_the_orders_lock_and_the_constraint_there_are_many_effects(order: Order, crab: Product) -> None:
    counted = Counted(crab)
    all_have_looked = threading.Barrier(4)

    def careless(_: int) -> None:
        try:
            if not Done.objects.filter(order=order, step="Move").exists():
                all_have_looked.wait(timeout=20)
                Movement.objects.create(product=crab, kind=Kind.COUNTED, on_hand=1, why="gift of anyone")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(careless, range(4)))
    assert len(counted.effects()) == 4


def test_the_database_itself_refuses_a_second_row_for_a_step(order: Order, crab: Product) -> None:
    perform(Counted(crab).step, order.pk, execution="e")
    row = Done.objects.get(step="Move")
    row.pk = None
    with pytest.raises(IntegrityError, match="a_step_happens_once"):
        row.save()


def test_a_lock_that_does_not_come_in_time_is_unavailable(order: Order, crab: Product) -> None:
    counted = Counted(crab)
    locked, done = threading.Event(), threading.Event()

    def hold() -> None:
        from django.db import transaction

        try:
            with transaction.atomic():
                Order.objects.select_for_update().get(pk=order.pk)
                locked.set()
                done.wait(20)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        locked.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
        with pytest.raises(Unavailable, match="the database: OperationalError"):
            perform(counted.step, order.pk, execution="e")
    finally:
        done.set()
        holder.join()
        connection.close()
    assert counted.effects() == []
    assert perform(counted.step, order.pk, execution="e")["outcome"] == "moved"


def test_a_step_that_this_version_does_not_know_needs_an_operator(order: Order) -> None:
    with pytest.raises(NeedsOperator) as needed:
        perform_named({}, {"step": "Engrave", "order": order.pk})
    assert needed.value.code == "unknown_step"
    assert "'Engrave'" in needed.value.why


def test_no_transaction_is_open_while_stripe_or_the_mail_server_is_talked_to(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox
) -> None:
    talked: list[tuple[str, bool]] = []

    def note(request: Request, _answer: StripesAnswer) -> None:
        # In process, the rehearsal answers in the very thread that asks.
        if not request.publishable:
            talked.append((f"{request.method} {request.path.rpartition('/')[2][:7]}", connection.in_atomic_block))

    rehearsal.observers.append(note)
    cart = shop.fill_cart((crab, 1))
    shop.press(rehearsal, cart, shop.agree(cart), shop.DECLINED)
    shop.work_off()
    shop.press(rehearsal, cart, shop.agree(cart), shop.VISA)
    shop.work_off()

    assert Order.objects.get().status == Status.COMPLETE
    assert talked == [("POST payment", False), ("POST confirm", False), ("POST confirm", False)]
    assert mail_door.in_transaction == [False]
    assert len(mailbox.list()) == 1
