"""The embedded engine: retries that outlive a worker, failures that ring, knocks that are never lost."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.db import connection, connections, transaction
from django.utils import timezone

from rehearsal import Fault
from rehearsal.answer import Answer as StripesAnswer
from rehearsal.answer import Request
from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.embedded import restart_lost
from todoku.engines.models import Definition, Execution, Mishap
from todoku.engines.poller import look_again
from todoku.flows import registry
from todoku.notify.models import Case, Mail
from todoku.order.models import Order, Status
from todoku.order.place import Placed
from todoku.payment.models import Attempt, Outcome
from todoku.ringing.models import Ring

CONFIRM = "/v1/payment_intents/*/confirm"
THREE_D_SECURE = "4000002760003184"


def _fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def _plays(order: Order) -> list[tuple[int, str, str]]:
    return list(Execution.objects.filter(order=order).order_by("number").values_list("number", "status", "knock"))


def _knock(order: Order, knock: str = "webhook") -> Execution | None:
    with transaction.atomic():
        return engine.play("checkout", order, knock=knock)


def _asked(rehearsal: Rehearsal) -> list[str]:
    """What the shop has asked Stripe: the method and the end of the path."""
    return [
        f"{asked['method']} {asked['path'].rpartition('/')[2][:7]}"
        for asked in rehearsal.requests
        if not asked["browser"]
    ]


def _use_definition(execution: Execution, change: Callable[[Any], None]) -> None:
    """Let the execution have started with another text of the checkout."""
    found = json.loads(registry.flow("checkout").text)
    change(found)
    text = json.dumps(found)
    execution.definition = Definition.objects.create(flow="checkout", digest=str(hash(text)), text=text)
    execution.save(update_fields=["definition"])


# Retries -------------------------------------------------------------------------------------------------------------


def test_a_retrys_count_and_its_wait_outlive_the_worker(
    rehearsal: Rehearsal, crab: Product, longest_waits: None
) -> None:
    order = shop.order_one(rehearsal, crab)
    fault = rehearsal.faults.set(Fault("drop_before", path=CONFIRM, times=None))

    for tries, seconds in ((1, 2), (2, 4), (3, 8)):
        shop.work_off(hurry=False)
        execution = Execution.objects.get(order=order)
        assert (execution.status, execution.position) == ("RUNNING", "TakePayment")
        assert execution.retries == {"1": tries}
        assert execution.data == {"order": order.pk, "stock": {"outcome": "taken"}}
        mishap = Mishap.objects.get(execution=execution, state="TakePayment", pk=_last_mishap().pk)
        assert (mishap.error, mishap.again_at is not None) == ("Unavailable", True)
        assert abs((mishap.again_at - mishap.at).total_seconds() - seconds) < 0.5
        # Nobody hurries it: a worker that comes now leaves it alone.
        before = len(rehearsal.requests)
        shop.work_off(hurry=False)
        assert len(rehearsal.requests) == before
        _let_waits_pass()

    rehearsal.faults.clear(fault)
    shop.work_off(hurry=False)
    assert _fresh(order).status == Status.COMPLETE
    assert (len(shop.charges(rehearsal)), Mishap.objects.count()) == (1, 3)
    assert not Case.objects.exists()


def _last_mishap() -> Mishap:
    return Mishap.objects.order_by("-pk")[0]


def _let_waits_pass() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")


def test_after_the_last_try_it_fails_a_case_stands_the_bell_rings_and_resume_goes_on(
    rehearsal: Rehearsal, crab: Product, longest_waits: None
) -> None:
    order = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("drop_before", path=CONFIRM, times=None))
    shop.work_off()

    failed = Execution.objects.get(order=order)
    assert (failed.status, failed.position, failed.error) == ("FAILED", "TakePayment", "Unavailable")
    assert "Unavailable: Stripe" in failed.cause and failed.stopped_at is not None
    waits = [
        None if again is None else round((again - at).total_seconds())
        for at, again in Mishap.objects.filter(execution=failed).order_by("pk").values_list("at", "again_at")
    ]
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60, 60, None]
    case = Case.objects.get()
    assert (case.order, case.execution, case.step, case.code) == (order, failed, "TakePayment", "Unavailable")
    assert (case.failures, case.closed_at, case.why) == (1, None, "TakePayment failed: Unavailable.")
    assert case.rung_at is not None
    [bell] = mail.outbox
    assert order.number in bell.subject and bell.subject.endswith("(Unavailable)")
    assert bell.to == ["operator@example.jp"]
    assert order.email not in bell.body and order.name not in bell.body
    assert (_fresh(order).status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))

    # Resumed too early, it fails again: the same case, one failure more, and the bell rings again.
    second = engine.resume(failed, who="sato")
    assert second is not None and (second.number, second.knock, second.who) == (2, "resume", "sato")
    assert engine.resume(failed, who="suzuki") is None  # one is under way
    Ring.objects.update(sent_at=timezone.now() - timedelta(minutes=1))
    shop.work_off()
    case.refresh_from_db()
    assert (case.failures, case.execution_id, Case.objects.count(), len(mail.outbox)) == (2, second.pk, 1, 2)

    rehearsal.faults.clear()
    third = engine.resume(second, who="sato")
    assert third is not None
    shop.work_off()
    case.refresh_from_db()
    assert case.closed_at is not None and case.closed_by == "sato"
    assert _fresh(order).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert _plays(order) == [(1, "FAILED", "press"), (2, "FAILED", "resume"), (3, "SUCCEEDED", "resume")]
    assert engine.resume(third, who="sato") is None
    assert engine.resume(failed, who="sato") is None
    assert len(_plays(order)) == 3


def test_twenty_operators_at_once_resume_it_once(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("rate_limit", path=CONFIRM, times=None))
    shop.work_off()
    rehearsal.faults.clear()
    failed = Execution.objects.get(order=order)

    with ThreadPoolExecutor(20) as pool:
        started = list(pool.map(lambda n: _closing(lambda: engine.resume(failed, who=f"operator {n}")), range(20)))

    [won] = [execution for execution in started if execution is not None]
    shop.work_off()
    assert _plays(order) == [(1, "FAILED", "press"), (2, "SUCCEEDED", "resume")]
    assert Case.objects.get().closed_by == won.who


def _closing(act: Callable[[], Any]) -> Any:
    try:
        return act()
    finally:
        connections.close_all()


# Knocks --------------------------------------------------------------------------------------------------------------


def _knock_while_stripe_confirms(rehearsal: Rehearsal, order: Order) -> list[Execution | None]:
    answers: list[Execution | None] = []

    def knock(request: Request, _answer: StripesAnswer) -> None:
        if request.path.endswith("/confirm"):
            answers.append(_knock(order))

    rehearsal.observers.append(knock)
    return answers


def test_a_knock_during_a_play_that_pays_is_not_played_again(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    answers = _knock_while_stripe_confirms(rehearsal, order)
    shop.work_off()
    assert answers == [None]
    assert _plays(order) == [(1, "SUCCEEDED", "press")]
    assert Execution.objects.get().knocked_at is not None


def test_a_knock_during_a_play_that_does_not_pay_is_played_once_more(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    answers = _knock_while_stripe_confirms(rehearsal, order)
    shop.work_off()
    assert answers == [None]
    assert _plays(order) == [(1, "SUCCEEDED", "press"), (2, "SUCCEEDED", "knocked")]
    assert _fresh(order).status == Status.PLACED
    assert Attempt.objects.get().outcome == Outcome.WAITING


def test_a_knock_during_a_play_that_fails_unpaid_is_played_once_more(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("rate_limit", path=CONFIRM, times=11))
    _knock(order)
    shop.work_off()
    assert _plays(order) == [(1, "FAILED", "press"), (2, "SUCCEEDED", "knocked")]
    assert _fresh(order).status == Status.COMPLETE
    assert Case.objects.get().closed_at is not None


def test_one_order_is_played_once_at_a_time_however_many_knock(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    assert _plays(order) == [(1, "SUCCEEDED", "press")]

    with ThreadPoolExecutor(12) as pool:
        started = list(pool.map(lambda _: _closing(lambda: _knock(order)), range(12)))

    assert len([one for one in started if one is not None]) == 1
    assert _plays(order)[1:] == [(2, "RUNNING", "webhook")]
    assert shop.waiting_jobs() == 1
    shop.work_off()
    # All that was learned meanwhile is looked at in one more play.
    assert _plays(order)[1:] == [(2, "SUCCEEDED", "webhook"), (3, "SUCCEEDED", "knocked")]


def test_knocks_on_an_order_at_rest_do_nothing(rehearsal: Rehearsal, crab: Product) -> None:
    complete = shop.order_one(rehearsal, crab)
    shop.work_off()
    canceled = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    Order.objects.filter(pk=canceled.pk).update(pay_by=timezone.now())
    shop.work_off()
    assert (_fresh(complete).status, _fresh(canceled).status) == (Status.COMPLETE, Status.CANCELED)

    before = len(rehearsal.requests)
    for order, knocks in ((complete, ("webhook", "return", "poller")), (canceled, ("return", "poller"))):
        for knock in knocks:
            assert _knock(order, knock) is None
    shop.work_off()
    assert Execution.objects.count() == 2
    assert len(rehearsal.requests) == before


def test_a_paid_order_that_failed_waits_for_a_person_and_not_for_a_knock(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox
) -> None:
    mailbox.refuse("never")
    order = shop.order_one(rehearsal, crab)
    shop.work_off(most=1, hurry=False)
    assert _fresh(order).status == Status.RECORDED
    assert _knock(order) is None
    assert [play[1] for play in _plays(order)] == ["FAILED"]


def test_the_first_definition_of_a_shop_survives_a_press_that_was_rolled_back(
    rehearsal: Rehearsal, crab: Product
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    with transaction.atomic():
        shop.press(rehearsal, cart, quote)
        transaction.set_rollback(True)
    assert Definition.objects.count() == 0

    assert isinstance(shop.press(rehearsal, cart, quote), Placed)
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE
    assert Definition.objects.count() == 1


# Definitions ---------------------------------------------------------------------------------------------------------


def test_an_execution_keeps_the_definition_it_started_with(
    rehearsal: Rehearsal, crab: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, longest_waits: None
) -> None:
    old = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("drop_before", path=CONFIRM, times=3))  # one try of three requests
    shop.work_off(hurry=False)
    assert Execution.objects.get(order=old).position == "TakePayment"

    # A deploy brings a checkout that sends no mail.
    found = json.loads(registry.flow("checkout").text)
    del found["States"]["SendMail"]
    found["States"]["PublishToMyPage"]["Next"] = "Done"
    (tmp_path / "checkout.asl.json").write_text(json.dumps(found))
    monkeypatch.setattr(registry, "HERE", tmp_path)
    registry.flow.cache_clear()
    try:
        new = shop.order_one(rehearsal, crab)
        shop.work_off()
    finally:
        registry.flow.cache_clear()

    assert (_fresh(old).status, _fresh(new).status) == (Status.COMPLETE, Status.RECORDED)
    assert [letter.subject.rpartition(" ")[2] for letter in mail.outbox if letter.to == [old.email]] != []
    assert Mail.objects.get().order == old
    assert Execution.objects.get(order=old).definition_id != Execution.objects.get(order=new).definition_id
    assert Definition.objects.count() == 2


def test_a_step_that_this_version_no_longer_has_opens_a_case_and_is_not_guessed_at(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = shop.order_one(rehearsal, crab)
    _use_definition(
        Execution.objects.get(), lambda found: found["States"]["TakePayment"]["Parameters"].update(step="TakeMoney")
    )
    shop.work_off()
    case = Case.objects.get()
    assert (case.code, case.step) == ("unknown_step", "TakePayment")
    assert case.why == "This version of the shop has no step called 'TakeMoney'."
    assert Mishap.objects.count() == 1  # NeedsOperator is never tried again
    assert (_fresh(order).status, shop.charges(rehearsal)) == (Status.PLACED, [])
    # The next play uses today's definition.
    engine.resume(Execution.objects.get(), who="sato")
    shop.work_off()
    assert _fresh(order).status == Status.COMPLETE


def test_an_outcome_that_the_flow_does_not_know_opens_a_case(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    _use_definition(
        Execution.objects.get(),
        lambda found: found["States"]["StockTaken"]["Choices"][0].update(StringEquals="held"),
    )
    shop.work_off()
    failed = Execution.objects.get()
    assert (failed.status, failed.position, failed.error) == ("FAILED", "NotUnderstood", "NeedsOperator")
    case = Case.objects.get()
    assert case.why == "A step answered with an outcome that this flow does not know."
    assert (_fresh(order).status, shop.levels(crab), _asked(rehearsal)[1:]) == (Status.PLACED, (9, 1, 0), [])


def test_a_definition_that_this_version_does_not_play_opens_a_case(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    _use_definition(Execution.objects.get(), lambda found: found["States"]["TakeStock"].update(HeartbeatSeconds=5))
    shop.work_off()
    case = Case.objects.get()
    assert case.code == "definition_refused"
    assert "TakeStock: HeartbeatSeconds is outside the subset" in case.why
    engine.resume(Execution.objects.get(), who="sato")
    shop.work_off()
    assert _fresh(order).status == Status.COMPLETE


# Steps that hang -----------------------------------------------------------------------------------------------------


def test_a_stripe_that_hangs_past_the_steps_timeout_is_left_behind_and_asked_again(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = shop.order_one(rehearsal, crab)
    _use_definition(Execution.objects.get(), lambda found: found["States"]["TakePayment"].update(TimeoutSeconds=1))
    rehearsal.faults.set(Fault("slow_after", path=CONFIRM, seconds=2.5))
    shop.work_off()
    assert _fresh(order).status == Status.COMPLETE
    mishap = Mishap.objects.first()
    assert mishap is not None
    assert (mishap.state, mishap.error) == ("TakePayment", "States.Timeout")
    assert "TakePayment gave no answer within 1 seconds" in mishap.cause
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_a_mail_server_that_says_nothing_is_left_behind_and_asked_again(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, settings: Any
) -> None:
    order = shop.order_one(rehearsal, crab)
    _use_definition(Execution.objects.get(), lambda found: found["States"]["SendMail"].update(TimeoutSeconds=1))
    good_port = settings.EMAIL_PORT
    with socket.create_server(("127.0.0.1", 0)) as mute:
        settings.EMAIL_PORT = mute.getsockname()[1]
        settings.EMAIL_TIMEOUT = 3
        shop.work_off(hurry=False)
        settings.EMAIL_PORT = good_port
    assert [mishap.error for mishap in Mishap.objects.all()] == ["States.Timeout"]
    shop.work_off()
    assert _fresh(order).status == Status.COMPLETE
    assert len(mailbox.list()) == 1


# The poller ----------------------------------------------------------------------------------------------------------


def test_the_poller_plays_what_is_due_and_leaves_the_rest(rehearsal: Rehearsal, crab: Product) -> None:
    due = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    later = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    look = _fresh(due).next_look_at
    assert look is not None and timedelta(seconds=50) < look - timezone.now() <= timedelta(seconds=60)
    assert look_again() == 0

    Order.objects.filter(pk=due.pk).update(next_look_at=timezone.now())
    rehearsal.authenticate(due.intent.stripe_id)  # paid, and neither browser nor webhook came to tell
    assert look_again() == 1
    shop.work_off()
    assert (_fresh(due).status, _fresh(due).next_look_at) == (Status.COMPLETE, None)
    assert _plays(due) == [(1, "SUCCEEDED", "press"), (2, "SUCCEEDED", "poller")]
    assert _plays(later) == [(1, "SUCCEEDED", "press")]


def test_several_pollers_at_once_play_each_order_once(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [shop.order_one(rehearsal, crab, number=THREE_D_SECURE) for _ in range(6)]
    shop.work_off()
    Order.objects.update(next_look_at=timezone.now())

    ready = threading.Barrier(4)

    def poll(_: int) -> int:
        ready.wait(timeout=20)
        return int(_closing(look_again))

    with ThreadPoolExecutor(4) as pool:
        looked = list(pool.map(poll, range(4)))

    assert sum(looked) == 6
    assert [_plays(order)[1:] for order in orders] == [[(2, "RUNNING", "poller")]] * 6
    assert shop.waiting_jobs() == 6


# The deadline --------------------------------------------------------------------------------------------------------


def _overdue(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(pay_by=timezone.now(), next_look_at=timezone.now())
    look_again()
    shop.work_off()


def test_past_its_deadline_an_unpaid_order_is_canceled_the_stock_is_back_and_the_cart_can_be_ordered_anew(
    rehearsal: Rehearsal, crab: Product
) -> None:
    cart = shop.fill_cart((crab, 1))
    shop.press(rehearsal, cart, shop.agree(cart), THREE_D_SECURE)
    shop.work_off()
    old = Order.objects.get()
    assert (old.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))

    _overdue(old)

    old = _fresh(old)
    assert (old.status, old.setback) == (Status.CANCELED, {"outcome": "canceled", "reason": "expired"})
    assert old.next_look_at is None
    assert shop.levels(crab) == (10, 0, 0)
    assert [one["status"] for one in shop.stripe_payments(rehearsal)] == ["canceled"]
    assert old.intent.canceled_at is not None

    cart.refresh_from_db()
    assert cart.closed_at is None
    quote = shop.agree(cart)
    assert quote.pk != old.quote_id
    answer = shop.press(rehearsal, cart, quote)
    assert isinstance(answer, Placed) and answer.order.pk != old.pk
    shop.work_off()
    assert _fresh(answer.order).status == Status.COMPLETE
    assert _fresh(old).status == Status.CANCELED
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_a_cancel_that_loses_to_the_payment_goes_forward(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()

    def pay_first(request: Request, _answer: StripesAnswer) -> None:
        # The shop has just looked and found the customer still at the bank's question; now she answers.
        if request.method == "GET" and request.path.endswith(str(order.intent.stripe_id)):
            rehearsal.observers.remove(pay_first)
            rehearsal.authenticate(order.intent.stripe_id)

    rehearsal.observers.append(pay_first)
    _overdue(order)

    assert _asked(rehearsal)[-3:] == [
        f"GET {order.intent.stripe_id[:7]}",
        "POST cancel",
        "GET pi_" + order.intent.stripe_id[3:7],
    ]
    assert _fresh(order).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_an_order_that_was_paid_in_time_is_not_canceled_when_its_deadline_passes(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    rehearsal.authenticate(order.intent.stripe_id)
    _overdue(order)
    assert _fresh(order).status == Status.COMPLETE


def test_a_withdrawn_order_is_canceled_at_stripe_and_its_successor_is_paid(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    shop.press(rehearsal, cart, shop.agree(cart), shop.DECLINED)
    shop.work_off()
    old = Order.objects.get()
    assert old.status == Status.NOT_PAID

    from todoku.cart import fill

    fill.change(cart.shopper, crab.sku, 2)
    answer = shop.press(rehearsal, cart, shop.agree(cart))
    assert isinstance(answer, Placed) and answer.order.pk != old.pk
    shop.work_off()

    old, new = _fresh(old), _fresh(answer.order)
    assert (new.status, new.total) == (Status.COMPLETE, 2 * 4800 + 800)
    assert (old.status, old.withdrawn_at is not None) == (Status.CANCELED, True)
    assert old.setback == {"outcome": "canceled", "reason": "withdrawn"}
    assert sorted((one["amount"], one["status"]) for one in shop.stripe_payments(rehearsal)) == [
        (5400, "canceled"),
        (10400, "succeeded"),
    ]
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (8, 0, 2)


# A performer that comes too late -------------------------------------------------------------------------------------


def test_a_performer_from_an_earlier_attempt_does_not_return_the_present_attempts_stock(
    rehearsal: Rehearsal, crab: Product
) -> None:
    from todoku.flows.checkout import STEPS
    from todoku.flows.step import perform

    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote, shop.DECLINED)
    shop.work_off()
    # A second card; its stock is held, and its payment waits for the bank's question.
    shop.press(rehearsal, cart, quote, THREE_D_SECURE)
    shop.work_off()
    order = Order.objects.get()
    assert (order.status, order.attempts, shop.levels(crab)) == (Status.PLACED, 2, (9, 1, 0))

    # A worker that slept since the first attempt was declined wakes up, and does what came next then.
    perform(STEPS["ReturnStock"], order.pk, execution="checkout-1-1")

    assert (_fresh(order).status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    rehearsal.authenticate(order.intent.stripe_id)
    _knock(order)
    shop.work_off()
    assert (_fresh(order).status, shop.levels(crab)) == (Status.COMPLETE, (9, 0, 1))


def test_a_running_play_whose_job_is_gone_is_played_all_the_same(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
    assert restart_lost() == 1
    assert restart_lost() == 0
    shop.work_off()
    assert _fresh(order).status == Status.COMPLETE
    assert _plays(order) == [(1, "SUCCEEDED", "press")]
