"""The refund flow through every fault: at most one refund at Stripe, and it comes to an end or to a person."""

from __future__ import annotations

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.clock import Clock
from tests.refund import desk
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution
from todoku.engines.poller import look_again
from todoku.flows.step import perform
from todoku.notify.models import Case, Mail
from todoku.order.models import Order
from todoku.refund.models import Refund
from todoku.refund.rules import NEXT_KEY_AFTER
from todoku.refund.steps import STEPS

LATE, FAILS = "4000000000007726", "4000000000005126"


@pytest.fixture
def order(rehearsal: Rehearsal, crab: Product) -> Order:
    """Two crabs of 4,800 yen and 800 yen for the parcel: 10,400 yen, paid and complete."""
    return desk.bought(rehearsal, crab)


def amounts(rehearsal: Rehearsal) -> list[int]:
    """What Stripe has given back, and not taken back again."""
    return [one["amount"] for one in desk.at_stripe(rehearsal) if one["status"] not in ("failed", "canceled")]


def test_goods_money_and_mail_go_back_once(rehearsal: Rehearsal, order: Order, crab: Product) -> None:
    refund = desk.request(order, crabs=1, back=True, shipping=300)
    shop.work_off()
    assert desk.stands(refund) == "succeeded"
    [made] = desk.at_stripe(rehearsal)
    assert (made["amount"], made["payment_intent"], made["reason"]) == (5100, order.intent.stripe_id, None)
    assert made["metadata"]["todoku_refund"] == str(refund.key)
    assert shop.levels(crab) == (9, 0, 1)
    mail = Mail.objects.get(order=order, kind="refund-1")
    assert "返金" in mail.subject
    assert "5,100円" in mail.text
    assert "返金後のお支払い額　5,300円" in mail.text
    assert mail.sent_at is not None

    for _ in range(2):
        desk.knock(order)
    assert (amounts(rehearsal), shop.levels(crab)) == ([5100], (9, 0, 1))
    assert Mail.objects.filter(kind__startswith="refund").count() == 1
    assert not Case.objects.exists()


def test_without_a_persons_row_the_flow_only_looks(rehearsal: Rehearsal, order: Order) -> None:
    for knock in ("webhook", "poller", "reconciliation"):
        assert engine.play("refund", order, knock=knock) is None
    engine.play("refund", order, knock="press")
    shop.work_off()
    assert (Execution.objects.get(flow="refund").status, desk.at_stripe(rehearsal)) == ("SUCCEEDED", [])


#: Every way in which an answer can be lost or late, but the one that Stripe keeps and that has done nothing.
LOST: tuple[Any, ...] = (
    "drop_before", "drop_after", "rate_limit", "lock_timeout", "conflict", "malformed", "truncated", "wrong_type",
    "bad_gateway", "error_before_unkept", "error_after_unkept", "error_after",
)  # fmt: skip


def test_whatever_happens_to_the_answer_the_money_goes_back_once(rehearsal: Rehearsal, order: Order) -> None:
    for number, kind in enumerate(LOST, 1):
        rehearsal.faults.set(Fault(kind, path="/v1/refunds", times=3))
        refund = desk.request(order, other=100)
        shop.work_off()
        rehearsal.faults.clear()
        assert (desk.stands(refund), amounts(rehearsal)) == ("succeeded", [100] * number), kind


def test_a_failure_that_stripe_keeps_gets_another_key_only_after_an_hour_and_a_look(
    rehearsal: Rehearsal, order: Order
) -> None:
    rehearsal.faults.set(Fault("error_before", path="/v1/refunds", times=1))
    refund = desk.request(order, crabs=1)
    shop.work_off()
    refund.refresh_from_db()
    assert (refund.state, refund.keys_spent, amounts(rehearsal)) == ("asked", 0, [])
    case = Case.objects.get(order=order, flow="refund")
    assert (case.step, case.closed_at) == ("TakeBack", None)

    desk.long_ago(refund, seconds=NEXT_KEY_AFTER.total_seconds() + 1)
    look_again()  # it is not yet due
    Refund.objects.update(next_look_at=timezone.now())
    look_again()
    shop.work_off()
    refund.refresh_from_db()
    assert (refund.state, refund.keys_spent, amounts(rehearsal)) == ("succeeded", 1, [4800])
    case.refresh_from_db()
    assert case.closed_at is not None


def test_a_key_that_stripe_has_forgotten_is_no_danger_because_the_look_comes_first(
    rehearsal: Rehearsal, order: Order, clock: Clock
) -> None:
    rehearsal.faults.set(Fault("drop_after", path="/v1/refunds", times=None))
    refund = desk.request(order, crabs=1)
    rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/refunds", times=None, skip=1))
    shop.work_off()
    assert desk.stands(refund) == "asked"
    clock.advance(hours=30)
    rehearsal.faults.clear()
    desk.knock(order)
    assert (desk.stands(refund), amounts(rehearsal)) == ("succeeded", [4800])


def test_what_is_not_what_was_first_asked_is_not_sent(rehearsal: Rehearsal, order: Order) -> None:
    refund = desk.request(order, crabs=1)
    Refund.objects.filter(pk=refund.pk).update(state="asked", asked_at=timezone.now(), asked_with="1" * 64)
    shop.work_off()
    assert (amounts(rehearsal), Case.objects.get().code) == ([], "refund_changed")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda r, charge: r.refund_by_hand(charge, 6000), "refund_refused"),
        (lambda r, charge: r.dispute(charge), "refund_refused"),
    ],
    ids=["refunded in the dashboard", "disputed"],
)
def test_what_stripe_refuses_is_told_to_a_person_and_can_be_asked_for_again(
    rehearsal: Rehearsal, order: Order, spoil: Any, code: str
) -> None:
    spoil(rehearsal, order.payment_attempts.get().charge)
    before = amounts(rehearsal)
    refund = desk.request(order, crabs=1)
    shop.work_off()
    assert (desk.stands(refund), amounts(rehearsal)) == ("refused", before)
    case = Case.objects.get(order=order)
    assert (case.code, case.execution, case.closed_at) == (code, None, None)
    assert "№1" in case.about
    # What it was over is free again.
    desk.request(order, other=100)
    shop.work_off()
    assert Refund.objects.filter(number=2).exists()


def test_a_refund_of_another_amount_under_our_name_stops_for_a_person(rehearsal: Rehearsal, order: Order) -> None:
    refund = desk.request(order, crabs=1)
    made = rehearsal.refund_by_hand(order.payment_attempts.get().charge, 500)
    rehearsal.store.change("refunds", made["id"], metadata={"todoku_refund": str(refund.key)})
    shop.work_off()
    assert (Case.objects.get().code, amounts(rehearsal)) == ("refund_differs", [500])


# Cards that take their time -------------------------------------------------------------------------------------


def test_a_refund_that_is_pending_first_is_told_at_once_and_closed_when_it_arrives(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = desk.bought(rehearsal, crab, 1, LATE)
    refund = desk.request(order, crabs=1, back=True)
    shop.work_off()
    assert (desk.stands(refund), shop.levels(crab)) == ("pending", (10, 0, 0))
    assert Mail.objects.get(kind="refund-1").sent_at is not None
    refund.refresh_from_db()
    assert refund.finished_at is None
    assert timedelta(0) < refund.next_look_at - timezone.now() <= timedelta(minutes=1)
    with pytest.raises(Exception, match="another"):
        desk.request(order, other=100)

    rehearsal.advance(61)
    Refund.objects.update(next_look_at=timezone.now())
    assert look_again() == 1
    shop.work_off()
    refund.refresh_from_db()
    assert (refund.state, refund.finished_at is not None, refund.next_look_at) == ("succeeded", True, None)
    assert shop.levels(crab) == (10, 0, 0)


def test_a_refund_that_fails_after_it_succeeded_rings_and_can_be_made_again(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = desk.bought(rehearsal, crab, 1, FAILS)
    refund = desk.request(order, crabs=1)
    shop.work_off()
    assert desk.stands(refund) == "succeeded"
    rehearsal.advance(61)
    desk.knock(order)
    assert (desk.stands(refund), amounts(rehearsal)) == ("failed", [])
    case = Case.objects.get(order=order)
    assert (case.code, case.about, case.closed_at) == ("refund_failed", desk.at_stripe(rehearsal)[0]["id"], None)
    assert "bank transfer yourself" in case.why
    desk.knock(order)
    case.refresh_from_db()
    assert case.failures == 1
    again = desk.request(order, crabs=1)
    shop.work_off()
    assert (desk.stands(again), amounts(rehearsal)) == ("succeeded", [4800])


# Konbini --------------------------------------------------------------------------------------------------------


def test_a_konbini_refund_waits_for_the_customers_bank_account(rehearsal: Rehearsal, crab: Product) -> None:
    order = desk.bought_at_konbini(rehearsal, crab)
    refund = desk.request(order, crabs=1)
    shop.work_off()
    refund.refresh_from_db()
    assert (refund.state, refund.instructions_email) == ("requires_action", "hanako@example.com")
    [made] = desk.at_stripe(rehearsal)
    assert made["instructions_email"] == "hanako@example.com"
    mail = Mail.objects.get(kind="refund-1")
    assert mail.sent_at is not None
    assert "45日以内" in mail.text

    for what, state in (
        ("bank_account", "pending"),
        ("returned", "requires_action"),
        ("bank_account", "pending"),
        ("arrives", "succeeded"),
    ):
        rehearsal.move_refund(made["id"], what)
        desk.knock(order)
        assert desk.stands(refund) == state
    refund.refresh_from_db()
    assert refund.finished_at is not None
    assert not Case.objects.exists()
    assert Mail.objects.filter(kind__startswith="refund").count() == 1


def test_a_konbini_refund_that_nobody_answers_for_45_days_fails_and_a_person_repays(
    rehearsal: Rehearsal, crab: Product, clock: Clock
) -> None:
    order = desk.bought_at_konbini(rehearsal, crab)
    refund = desk.request(order, crabs=1)
    shop.work_off()
    for days, state in ((44.9, "requires_action"), (0.2, "failed")):
        clock.advance(days=days)
        engine.play("refund", order, knock="poller")
        shop.work_off()
        assert desk.stands(refund) == state
    case = Case.objects.get(order=order)
    assert (case.code, case.closed_at) == ("refund_failed", None)
    assert order.ledger.filter(step="RecordRefund").count() == 0


# Crashes and failures of our own --------------------------------------------------------------------------------


def test_a_worker_that_dies_after_any_step_is_followed_by_one_that_goes_on(
    rehearsal: Rehearsal, order: Order, crab: Product
) -> None:
    """Each step is done twice by hand, as a worker that died just before the queue heard of it would have it."""
    refund = desk.request(order, crabs=1, back=True)
    for name in STEPS:
        for _ in range(2):
            perform(STEPS[name], order.pk, execution="refund-1-1", number=1)
    shop.work_off()
    assert (desk.stands(refund), amounts(rehearsal), shop.levels(crab)) == ("succeeded", [4800], (9, 0, 1))
    assert Mail.objects.filter(kind="refund-1").count() == 1


def test_a_mail_server_that_is_away_stops_the_refund_after_the_money_and_resume_sends_the_mail(
    rehearsal: Rehearsal, order: Order, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    from todoku.notify import letters

    def refuse(_mail: Mail) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    with monkeypatch.context() as broken:
        broken.setattr(letters, "post", refuse)
        refund = desk.request(order, crabs=1, back=True)
        shop.work_off()
    case = Case.objects.get(order=order)
    assert (case.flow, case.step, desk.stands(refund)) == ("refund", "SendRefundMail", "succeeded")
    # Nothing that Stripe tells plays it now; a person does.
    assert engine.play("refund", order, knock="webhook") is None
    assert engine.resume(case.execution, who="sato") is not None
    shop.work_off()
    case.refresh_from_db()
    refund.refresh_from_db()
    assert case.closed_at is not None
    assert refund.finished_at is not None
    assert (amounts(rehearsal), shop.levels(crab)) == ([4800], (9, 0, 1))


def test_two_workers_at_once_make_one_refund(rehearsal: Rehearsal, order: Order) -> None:
    from tests.refund.test_asking import together
    from todoku.refund.steps import ask

    refund = desk.request(order, crabs=1)

    def work() -> str:
        try:
            return ask(Order.objects.select_related("intent").get(pk=order.pk)).made[refund.pk].status
        except Exception as error:
            return type(error).__name__

    came = together(*[work] * 6)
    assert "succeeded" in came
    shop.work_off()
    assert (desk.stands(refund), amounts(rehearsal)) == ("succeeded", [4800])
    assert Execution.objects.filter(flow="refund").latest("number").status == "SUCCEEDED"
