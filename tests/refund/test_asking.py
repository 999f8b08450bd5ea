"""A refund begins with a person: once per page, never over what was paid, and by two persons above the limit."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.conf import LazySettings
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.refund import desk
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution
from todoku.flows.checkout import STEPS
from todoku.flows.step import perform
from todoku.notify.models import Case
from todoku.order.models import Order, WriteOff
from todoku.payment.models import AcceptedAmount
from todoku.refund import ask
from todoku.refund.models import Refund, State
from todoku.refund.rules import Wrong
from todoku.stock.models import Level


@pytest.fixture
def order(rehearsal: Rehearsal, crab: Product) -> Order:
    """Two crabs of 4,800 yen and 800 yen for the parcel: 10,400 yen, paid and complete."""
    return desk.bought(rehearsal, crab)


def together(*acts: Callable[[], object]) -> list[object]:
    """Do all these at the same moment; answer what each came to, or the name of its refusal."""
    gate = threading.Barrier(len(acts))

    def go(act: Callable[[], object]) -> object:
        gate.wait()
        try:
            return act()
        except ask.Refused as refused:
            return refused.code
        except Wrong as wrong:
            return wrong.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(go, acts))


def test_one_page_is_one_refund_however_often_it_is_pressed(rehearsal: Rehearsal, order: Order) -> None:
    token = ask.issue(order, desk.person())
    made = together(*[lambda: desk.request(order, crabs=1, token=token).pk] * 8)
    shop.work_off()
    # Also later: back, and once more.
    assert {*made, desk.request(order, crabs=1, token=token).pk} == {Refund.objects.get().pk}
    assert [(one["amount"], one["status"]) for one in desk.at_stripe(rehearsal)] == [(4800, "succeeded")]


def test_of_two_people_who_refund_the_same_at_once_one_does(rehearsal: Rehearsal, order: Order) -> None:
    people = [desk.person(f"operator{n}") for n in range(6)]
    tokens = [ask.issue(order, one) for one in people]
    came = together(
        *[
            lambda one=one, token=token: desk.request(order, one, crabs=1, token=token).pk  # type: ignore[misc]
            for one, token in zip(people, tokens, strict=True)
        ]
    )
    shop.work_off()
    assert sorted(map(str, came)) == sorted([str(Refund.objects.get().pk), *["overtaken"] * 5])
    assert len(desk.at_stripe(rehearsal)) == 1


def test_somebody_elses_token_or_another_orders_is_worth_nothing(order: Order) -> None:
    sato, suzuki = desk.person(), desk.person("suzuki")
    for token in (ask.issue(order, suzuki), "", "x", "a:b:c", ask.issue(Order(pk=order.pk + 1), sato)):
        with pytest.raises(ask.Refused, match="old_page"):
            desk.request(order, sato, crabs=1, token=token or "nothing")


def test_refunds_never_come_to_more_than_was_paid(rehearsal: Rehearsal, order: Order) -> None:
    desk.request(order, other=6000)
    shop.work_off()
    with pytest.raises(Wrong) as wrong:
        desk.request(order, other=4401)
    assert (wrong.value.code, wrong.value.most) == ("more_than_left", 4400)
    desk.request(order, other=4400)
    shop.work_off()
    assert sum(one["amount"] for one in desk.at_stripe(rehearsal)) == order.total
    with pytest.raises(Wrong):
        desk.request(order, other=1)


def test_what_a_person_has_accepted_in_the_totals_place_is_what_can_be_given_back(order: Order) -> None:
    AcceptedAmount.objects.create(order=order, received=12_000, currency="jpy", refunded=0, who="ito", why="tip")
    assert ask.purse(order).left == 12_000
    desk.request(order, other=12_000)
    with pytest.raises(IntegrityError), transaction.atomic():
        _row(order, amount=1).save()


def _row(order: Order, **facts: object) -> Refund:
    return Refund(
        **{
            "order": order, "number": 9, "token": uuid.uuid4(), "amount": 100, "other": 100, "reason": "goodwill",
            "note": "a row", "requested_by": desk.person(), **facts,
        }
    )  # fmt: skip


def test_the_database_itself_refuses_what_must_not_be(order: Order) -> None:
    now = timezone.now()
    yes = {"approved_by": desk.person(), "approved_at": now}
    asked = {**yes, "asked_at": now, "asked_with": "0" * 64}
    _row(order, number=1, amount=10_000, other=10_000, state="succeeded", **asked).save()
    for wrong in (
        {"amount": 401},  # with the 10,000 more than was paid
        {"amount": 0},
        {"note": ""},
        {"state": "approved"},  # nobody said yes
        {"state": "asked", **yes},  # nothing was written down before the call
        {"state": "approved", "needs_two": True, **yes},  # the same person twice
        {"state": "approved", **yes},  # another one is under way
        {"number": 1},
        {"token": Refund.objects.get().token},
        {"key": Refund.objects.get().key},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            _row(order, **wrong).save()
    made = _row(order, amount=400)
    made.save()
    for change in ({"amount": 300}, {"requested_by": desk.person("suzuki")}, {"key": uuid.uuid4()}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Refund.objects.filter(pk=made.pk).update(**change)


def test_two_rows_at_once_that_are_too_much_together_are_one(order: Order) -> None:
    def insert(number: int) -> str:
        try:
            with transaction.atomic():
                _row(order, number=number, amount=6000, other=6000).save()
        except IntegrityError:
            return "refused"
        return "made"

    assert sorted(together(*[lambda n=n: insert(n) for n in (1, 2, 3, 4)])) == [  # type: ignore[misc]
        "made", "refused", "refused", "refused",
    ]  # fmt: skip


def test_without_its_guards_two_people_give_the_money_back_twice(
    rehearsal: Rehearsal, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the token, the number and the count guard against does happen without them."""
    from dataclasses import replace

    purse = ask.purse
    monkeypatch.setattr(ask, "purse", lambda held: replace(purse(held), left=held.total, given=0))
    monkeypatch.setattr(ask, "_not_while_played", lambda held: None)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE refund_refund DISABLE TRIGGER refund_guard")
    try:
        for _ in range(2):
            desk.request(order, other=5000)
            shop.work_off()
        assert [one["amount"] for one in desk.at_stripe(rehearsal)] == [5000, 5000]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE refund_refund ENABLE TRIGGER refund_guard")


# Four eyes ------------------------------------------------------------------------------------------------------


def test_above_the_limit_nothing_happens_until_somebody_else_says_yes(
    rehearsal: Rehearsal, order: Order, settings: LazySettings
) -> None:
    settings.REFUND_ALONE_UP_TO = 5000
    sato, suzuki = desk.person(), desk.person("suzuki")
    refund = desk.request(order, sato, crabs=2)
    shop.work_off()
    assert (refund.state, desk.at_stripe(rehearsal)) == (State.REQUESTED, [])
    with pytest.raises(ask.Refused, match="same_person"):
        ask.approve(refund, by=sato)

    ask.approve(refund, by=suzuki)
    shop.work_off()

    refund.refresh_from_db()
    assert (refund.state, refund.requested_by, refund.approved_by) == (State.SUCCEEDED, sato, suzuki)
    assert [one["amount"] for one in desk.at_stripe(rehearsal)] == [9600]
    with pytest.raises(ask.Refused, match="decided"):
        ask.approve(refund, by=suzuki)


def test_a_refund_that_waits_for_a_second_person_rings_until_it_is_decided(
    rehearsal: Rehearsal, order: Order, settings: LazySettings
) -> None:
    settings.REFUND_ALONE_UP_TO = 0
    sato, suzuki = desk.person(), desk.person("suzuki")
    decisions = (partial(ask.reject, by=suzuki), partial(ask.withdraw, by=sato), partial(ask.approve, by=suzuki))
    for number, decide in enumerate(decisions, start=1):
        refund = desk.request(order, sato, other=100)
        case = Case.objects.get(code="refund_waits", about=f"{order.number} №{number}")
        assert (case.order, case.closed_at) == (order, None)
        assert case.ring_at is not None and case.ring_at <= timezone.now()
        decide(refund)
        assert not Case.objects.filter(closed_at=None).exists()
    settings.REFUND_ALONE_UP_TO = 5000
    shop.work_off()
    desk.request(order, sato, other=100)
    assert Case.objects.count() == 3


def test_slices_do_not_get_around_the_limit(rehearsal: Rehearsal, order: Order, settings: LazySettings) -> None:
    settings.REFUND_ALONE_UP_TO = 5000
    assert desk.request(order, other=5000).state == State.APPROVED
    shop.work_off()
    assert desk.request(order, other=1).state == State.REQUESTED


def test_yes_no_and_never_mind_at_once_are_one_of_them(
    rehearsal: Rehearsal, order: Order, settings: LazySettings
) -> None:
    settings.REFUND_ALONE_UP_TO = 0
    sato, suzuki, ito = desk.person(), desk.person("suzuki"), desk.person("ito")
    refund = desk.request(order, sato, crabs=1)
    came = together(
        *[lambda: ask.approve(refund, by=suzuki).state] * 3,
        *[lambda: ask.approve(refund, by=ito).state] * 2,
        lambda: ask.reject(refund, by=ito).state,
        lambda: ask.withdraw(refund, by=sato).state,
    )
    shop.work_off()
    ends = [one for one in came if one != "decided"]
    made = len(desk.at_stripe(rehearsal))
    # An approved one may still be taken back, as long as Stripe has not been asked.
    assert ends in (["approved"], ["rejected"], ["withdrawn"], ["approved", "withdrawn"]), came
    assert (made, desk.stands(refund)) == ((1, "succeeded") if ends == ["approved"] else (0, ends[-1]))


def test_a_refund_that_was_withdrawn_in_time_is_never_asked_for(rehearsal: Rehearsal, order: Order) -> None:
    refund = desk.request(order, crabs=1)
    ask.withdraw(refund, by=desk.person())
    shop.work_off()
    assert (desk.stands(refund), desk.at_stripe(rehearsal)) == ("withdrawn", [])
    assert Execution.objects.get(flow="refund").status == "SUCCEEDED"
    again = desk.request(order, crabs=1)
    shop.work_off()
    assert (again.number, desk.stands(again)) == (2, "succeeded")
    with pytest.raises(ask.Refused, match="decided"):
        ask.withdraw(again, by=desk.person())


# The order's own flow -------------------------------------------------------------------------------------------


def test_nobody_refunds_an_order_that_is_not_paid(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=shop.DECLINED)
    shop.work_off()
    with pytest.raises(ask.Refused, match="not_paid"):
        desk.request(order, crabs=1)


def test_resume_and_refund_at_once_come_one_after_the_other(rehearsal: Rehearsal, order: Order) -> None:
    """F6: an order that has stopped after its payment is resumed and refunded at the same moment."""
    stopped = order.executions.get()
    Execution.objects.filter(pk=stopped.pk).update(status="FAILED", position="SendMail", error="Unavailable")
    Order.objects.filter(pk=order.pk).update(status="recorded")
    order.ledger.filter(step="SendMail").delete()
    Case.objects.create(
        order=order, execution=stopped, code="Unavailable", step="SendMail", why="x", failed_at=timezone.now()
    )
    came = together(
        lambda: engine.resume(stopped, who="ito") and "resumed",
        lambda: desk.request(order, crabs=1).state,
    )
    assert came[0] == "resumed"
    assert came[1] in ("approved", "playing")
    shop.work_off()
    order.refresh_from_db()
    assert order.status == "complete"
    assert len(desk.at_stripe(rehearsal)) == (1 if came[1] == "approved" else 0)


def test_after_the_whole_payment_was_refunded_a_stopped_order_does_not_go_on(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = shop.order_one(rehearsal, crab)
    for step in ("TakeStock", "TakePayment"):
        perform(STEPS[step], order.pk, execution="checkout-1-1")
    # The shelf has been emptied meanwhile, so that the order stops for a person.
    order.reservations.update(state="returned")
    Level.objects.update(on_hand=0, reserved=0)
    shop.work_off()
    order.refresh_from_db()
    assert (order.status, order.cases.get().code) == ("paid", "paid_unallocated")

    by = desk.person()
    wish = ask.whole(order, reason="missing", note="the boat sank", back=False)
    refund = ask.request(order, by=by, wish=wish, token=ask.issue(order, by))
    shop.work_off()
    assert (desk.stands(refund), refund.amount) == ("succeeded", order.total)
    # Its own end has not closed the order's case.
    assert order.cases.get(flow="checkout").closed_at is None

    Level.objects.update(on_hand=10)
    assert engine.resume(order.executions.filter(flow="checkout").latest("number"), who="ito") is not None
    shop.work_off()
    order.refresh_from_db()
    assert (order.status, order.cases.get(flow="checkout").code) == ("paid", "refunded_before_recorded")
    assert not order.deliveries.exists()


def test_goods_that_a_refund_has_put_back_on_the_shelf_are_not_sent_after_all(
    rehearsal: Rehearsal, crab: Product
) -> None:
    """Only the parcel's price was kept: whoever resumes the order must not send what has been given back."""
    order = _stopped_before_it_was_recorded(rehearsal, crab)
    refund = desk.request(order, crabs=1, back=True)
    shop.work_off()
    assert (desk.stands(refund), refund.amount < order.total, shop.levels(crab)) == ("succeeded", True, (10, 0, 0))

    assert engine.resume(order.executions.filter(flow="checkout").latest("number"), who="ito") is not None
    shop.work_off()
    order.refresh_from_db()
    assert (order.status, order.cases.get(flow="checkout").code) == ("paid", "refunded_before_recorded")
    assert (order.deliveries.exists(), shop.levels(crab)) == (False, (10, 0, 0))


def test_goods_that_a_refund_has_left_with_the_order_are_sent(rehearsal: Rehearsal, crab: Product) -> None:
    order = _stopped_before_it_was_recorded(rehearsal, crab)
    desk.request(order, crabs=1, back=False)
    shop.work_off()
    assert engine.resume(order.executions.filter(flow="checkout").latest("number"), who="ito") is not None
    shop.work_off()
    order.refresh_from_db()
    assert (order.status, shop.levels(crab)) == ("complete", (9, 0, 1))


def _stopped_before_it_was_recorded(rehearsal: Rehearsal, crab: Product) -> Order:
    """A paid order that holds its goods and waits for a person."""
    order = shop.order_one(rehearsal, crab)
    for step in ("TakeStock", "TakePayment"):
        perform(STEPS[step], order.pk, execution="checkout-1-1")
    stopped = order.executions.get()
    Execution.objects.filter(pk=stopped.pk).update(status="FAILED", position="RecordOrder", error="Unavailable")
    Case.objects.create(
        order=order, execution=stopped, code="Unavailable", step="RecordOrder", why="x", failed_at=timezone.now()
    )
    return order


def test_what_was_written_off_can_be_refunded_again_when_its_refund_is_lost(
    rehearsal: Rehearsal, order: Order
) -> None:
    by = desk.person()
    wish = ask.whole(order, reason="missing", note="the boat sank", back=False)
    refund = ask.request(order, by=by, wish=wish, token=ask.issue(order, by))
    shop.work_off()
    WriteOff.objects.create(order=order, who="ito", why="refunded", kept=0, goods_back=False, at=timezone.now())
    Order.objects.filter(pk=order.pk).update(status="written_off")
    order.refresh_from_db()
    with pytest.raises(ask.Refused, match="not_paid"):
        desk.request(order, other=100)

    # Weeks later the bank sends it back.
    Refund.objects.filter(pk=refund.pk).update(state="failed", failure="expired_or_canceled_card")
    assert desk.request(order, other=100).state == "approved"


def test_the_whole_order_can_be_wished_for_in_one_call(rehearsal: Rehearsal, order: Order, crab: Product) -> None:
    desk.request(order, other=1000)
    shop.work_off()
    by = desk.person()
    wish = ask.whole(order, reason="canceled", note="canceled by phone", back=True)
    refund = ask.request(order, by=by, wish=wish, token=ask.issue(order, by))
    shop.work_off()
    assert (refund.amount, desk.stands(refund), shop.levels(crab)) == (9400, "succeeded", (10, 0, 0))
