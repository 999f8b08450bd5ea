"""The whole shop with TODOKU_ENGINE=step-functions: buy, decline, 3-D Secure, konbini, failure, Resume."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as sent
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from procrastinate.contrib.django import app

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from tests.aws import moto_plugin, street
from tests.races.together import together
from todoku import lambdas
from todoku.bad_news import NeedsOperator
from todoku.catalog.models import Product
from todoku.engines import aws, engine, poller, step_functions
from todoku.engines.management.commands.worker import once
from todoku.engines.models import Definition, Execution, Mishap, State
from todoku.flows.checkout import STEPS
from todoku.flows.models import Done
from todoku.flows.step import Step, perform_named
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.reconciliation.jobs import reconcile_window
from todoku.reconciliation.models import Run
from todoku.ringing.models import Channel

pytestmark = pytest.mark.usefixtures("at_aws")


def _stopped_at_the_mail(rehearsal: Rehearsal, crab: Product, mailbox: Mailbox) -> Execution:
    """A paid order whose execution has failed, because nobody takes its mail."""
    mailbox.refuse("closed")
    shop.order_one(rehearsal, crab)
    street.rest()
    failed = Execution.objects.get()
    assert (failed.status, failed.position) == (State.FAILED, "SendMail")
    return failed


def test_a_paid_order_arrives(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    street.rest()

    order.refresh_from_db()
    assert order.status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)
    execution = Execution.objects.get()
    assert execution.status == State.SUCCEEDED
    assert execution.arn.endswith(f":execution:todoku-checkout:checkout-{order.pk}-1")
    assert list(Done.objects.order_by("id").values_list("step", flat=True)) == [
        "TakeStock", "TakePayment", "RecordOrder", "CloseCart", "PublishToMyPage", "SendMail",
    ]  # fmt: skip
    assert set(Done.objects.values_list("execution", flat=True)) == {execution.name}
    assert [one.exec_status for one in street.executions()] == ["SUCCEEDED"]
    assert any(order.number in one.subject for one in sent.outbox)


def test_a_declined_card_gives_the_stock_back_and_a_second_card_pays(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    shop.press(rehearsal, cart, quote, shop.DECLINED)
    street.rest()
    assert Order.objects.get().status == Status.NOT_PAID
    assert shop.levels(crab) == (10, 0, 0)

    shop.press(rehearsal, cart, quote)
    street.rest()
    assert Order.objects.get().status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert [one.name for one in street.executions()] == [
        f"checkout-{Order.objects.get().pk}-{n}" for n in (1, 2)
    ]
    # A decline is an answer: nothing was tried again.
    assert moto_plugin.waits == []


def test_a_question_of_the_bank_is_waited_for_and_whoever_knocks_brings_it_home(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = shop.order_one(rehearsal, crab, number="4000002760003184")
    street.rest()
    order.refresh_from_db()
    assert order.status == Status.PLACED
    assert Execution.objects.get().status == State.SUCCEEDED

    rehearsal.authenticate(order.intent.stripe_id)
    with transaction.atomic():
        engine.play("checkout", order, knock="webhook")
    street.rest()
    order.refresh_from_db()
    assert order.status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


def test_a_konbini_order_is_paid_days_later(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_at_konbini(rehearsal, crab)
    street.rest()
    assert shop.levels(crab) == (9, 1, 0)

    rehearsal.pay_at_till(order.intent.stripe_id, "lawson")
    Order.objects.filter(pk=order.pk).update(next_look_at=timezone.now())
    poller.look_again()
    street.rest()
    order.refresh_from_db()
    assert order.status == Status.COMPLETE
    assert shop.levels(crab) == (9, 0, 1)


def test_a_mail_server_that_is_away_calls_a_person_and_resume_redrives_the_execution(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox
) -> None:
    mailbox.refuse("later")
    order = shop.order_one(rehearsal, crab)
    street.rest()

    [failed] = Execution.objects.all()
    assert (failed.status, failed.position, failed.error) == (State.FAILED, "SendMail", "Unavailable")
    assert Mishap.objects.filter(execution=failed).count() == 6  # the first try and five more
    case = Case.objects.get()
    assert (case.step, case.code, case.closed_at) == ("SendMail", "Unavailable", None)
    assert "hanako" not in case.technical + failed.cause
    assert "hanako" not in str(street.executions()[0].cause)

    mailbox.refuse(None)
    asked = len(rehearsal.requests)
    play = engine.resume(failed, who="sato")
    assert play is not None
    street.rest()
    play.refresh_from_db()
    assert (play.status, play.arn) == (State.SUCCEEDED, failed.arn)
    [at_aws] = street.executions()
    assert (at_aws.redrives, moto_plugin.states_of(at_aws)[-2:]) == (1, ["SendMail", "Done"])
    assert moto_plugin.states_of(at_aws).count("TakePayment") == 1
    assert len(rehearsal.requests) == asked
    order.refresh_from_db()
    assert (order.status, Case.objects.get().closed_by) == (Status.COMPLETE, "sato")
    assert Done.objects.get(step="SendMail").execution == play.name


def test_with_another_definition_resume_starts_from_the_top_and_repeats_nothing(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox
) -> None:
    mailbox.refuse("closed")
    order = shop.order_one(rehearsal, crab)
    street.rest()
    failed = Execution.objects.get()
    older = Definition.objects.create(flow="checkout", digest="0" * 64, text=failed.definition.text + " ")
    Execution.objects.filter(pk=failed.pk).update(definition=older)
    failed.refresh_from_db()

    mailbox.refuse(None)
    play = engine.resume(failed, who="sato")
    assert play is not None
    street.rest()
    play.refresh_from_db()
    assert (play.status, play.arn) == (State.SUCCEEDED, failed.arn.removesuffix("-1") + "-2")
    assert [getattr(one, "redrives", 0) for one in street.executions()] == [0, 0]
    assert len(shop.charges(rehearsal)) == 1
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE


def test_after_fourteen_days_resume_starts_from_the_top(rehearsal: Rehearsal, crab: Product, mailbox: Mailbox) -> None:
    failed = _stopped_at_the_mail(rehearsal, crab, mailbox)
    Execution.objects.filter(pk=failed.pk).update(stopped_at=timezone.now() - timedelta(days=14))
    failed.refresh_from_db()

    mailbox.refuse(None)
    play = engine.resume(failed, who="sato")
    assert play is not None
    street.rest()
    play.refresh_from_db()
    assert play.status == State.SUCCEEDED
    assert play.arn != failed.arn
    assert Order.objects.get().status == Status.COMPLETE


def test_a_start_that_aws_did_not_take_is_sent_by_the_rounds(
    rehearsal: Rehearsal, crab: Product, at_aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away, socket.create_server(("127.0.0.1", 0)) as nobody:
        away.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody.getsockname()[1] + 0}")
        nobody.close()
        aws.forget()
        order = shop.order_one(rehearsal, crab)
    assert (Execution.objects.get().status, Execution.objects.get().arn) == (State.RUNNING, "")
    aws.forget()

    monkeypatch.setattr(step_functions, "SEND_AFTER", timedelta(0))
    together(*[step_functions.send_due] * 4)
    street.rest()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert len(street.executions()) == 1


def test_a_press_that_is_rolled_back_starts_nothing(rehearsal: Rehearsal, crab: Product) -> None:
    def press_and_break() -> None:
        with transaction.atomic():
            shop.order_one(rehearsal, crab)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        press_and_break()
    assert (street.executions(), Order.objects.count(), Execution.objects.count()) == ([], 0, 0)


def test_an_end_whose_event_was_lost_is_asked_for(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    moto_plugin.delivers_events[0] = False
    mailbox.refuse("closed")
    shop.order_one(rehearsal, crab)
    street.rest()
    assert (Execution.objects.get().status, Case.objects.count()) == (State.RUNNING, 0)

    monkeypatch.setattr(step_functions, "SETTLE_AFTER", timedelta(0))
    assert step_functions.settle_overdue() == 1
    assert (Execution.objects.get().status, Case.objects.get().step) == (State.FAILED, "SendMail")
    assert step_functions.settle_overdue() == 0


def test_an_event_that_comes_after_the_redrive_ends_nothing(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = _stopped_at_the_mail(rehearsal, crab, mailbox)
    late = moto_plugin.event_of(street.executions()[0])
    mailbox.refuse(None)

    # The mail server takes its time, and the old event comes meanwhile, and once more at the end.
    send, ready = STEPS["SendMail"], threading.Event()

    def takes_its_time(order: Order) -> Any:
        assert send.outside is not None and ready.wait(20)
        return send.outside(order)

    monkeypatch.setitem(STEPS, "SendMail", replace(send, outside=takes_its_time))
    engine.resume(failed, who="sato")
    lambdas.ended(late, None)
    assert [play.status for play in Execution.objects.order_by("number")] == [State.FAILED, State.RUNNING]
    ready.set()
    street.rest()
    lambdas.ended(late, None)
    assert [play.status for play in Execution.objects.order_by("number")] == [State.FAILED, State.SUCCEEDED]
    assert Case.objects.get().closed_at is not None


def test_an_answer_of_aws_from_before_the_redrive_ends_nothing(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DescribeExecution is eventually consistent: for a moment it may still tell of the failure that was redriven."""
    failed = _stopped_at_the_mail(rehearsal, crab, mailbox)
    client = aws.client("stepfunctions")
    old = client.describe_execution(executionArn=failed.arn)
    mailbox.refuse(None)
    moto_plugin.delivers_events[0] = False

    engine.resume(failed, who="sato")
    street.rest()
    with monkeypatch.context() as behind:
        behind.setattr(client, "describe_execution", lambda executionArn: old)
        assert not step_functions.settle(failed.arn)
    assert step_functions.settle(failed.arn)
    assert [play.status for play in Execution.objects.order_by("number")] == [State.FAILED, State.SUCCEEDED]
    assert Case.objects.get().closed_at is not None


def test_a_fault_of_our_own_fails_by_its_name_and_quotes_no_row(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(order: Order, _: object) -> dict[str, str]:
        raise IntegrityError(f"broken\nDETAIL:  Failing row contains ({order.email})")

    monkeypatch.setitem(STEPS, "PublishToMyPage", Step("PublishToMyPage", effect=breaks))
    shop.order_one(rehearsal, crab)
    street.rest()
    failed = Execution.objects.get()
    assert (failed.status, failed.position, failed.error) == (State.FAILED, "PublishToMyPage", "IntegrityError")
    [at_aws] = street.executions()
    assert at_aws.error == "IntegrityError"
    assert "hanako" not in at_aws.cause + failed.cause + Case.objects.get().technical


@pytest.mark.parametrize("days", [1, 15])
def test_a_failure_rings_at_sns_and_resume_mends_it(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Within fourteen days the execution is redriven, and after that a new one begins: it is the same button."""
    topic = street.make_topic()
    Channel.objects.create(name="topic", kind="sns", address=topic)

    def breaks(order: Order, _: object) -> dict[str, str]:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as broken:
        broken.setitem(STEPS, "PublishToMyPage", replace(STEPS["PublishToMyPage"], effect=breaks))
        order = shop.order_one(rehearsal, crab)
        street.rest()
    case, failed = Case.objects.get(), Execution.objects.get()
    # Whoever hears from EventBridge that it has failed also rings.
    [(subject, text)] = street.published(topic)
    assert order.number in subject and order.number in text and "5,400円" in text
    assert f"/console/notify/case/{case.pk}/change/" in text
    assert "hanako" not in text and "北野" not in text

    street.executions()[0].stop_date -= timedelta(days=days)
    Execution.objects.update(stopped_at=timezone.now() - timedelta(days=days))
    failed.refresh_from_db()
    play = engine.resume(failed, who="sato")
    assert play is not None
    street.rest()
    play.refresh_from_db()
    order.refresh_from_db()
    assert (play.status, play.arn == failed.arn, order.status) == (State.SUCCEEDED, days == 1, Status.COMPLETE)
    assert (len(shop.charges(rehearsal)), len(street.published(topic))) == (1, 1)


def test_a_step_that_needs_a_person_is_not_tried_again_and_says_why(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: Order) -> None:
        raise NeedsOperator("mail_refused", "The mail server refuses the address for good.")

    monkeypatch.setitem(STEPS, "SendMail", Step("SendMail", outside=refuses, effect=STEPS["SendMail"].effect))
    shop.order_one(rehearsal, crab)
    street.rest()
    case = Case.objects.get()
    assert (case.code, case.step, case.why) == (
        "mail_refused", "SendMail", "The mail server refuses the address for good.",
    )  # fmt: skip
    assert Mishap.objects.count() == 1


def test_an_outcome_that_the_flow_does_not_know_fails_and_resume_starts_anew(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as odd:
        odd.setitem(
            STEPS, "TakeStock", Step("TakeStock", effect=lambda _o, _g: {"outcome": "odd"}, final=lambda _a: False)
        )
        order = shop.order_one(rehearsal, crab)
        street.rest()
    failed = Execution.objects.get(number=1)
    assert (failed.status, failed.position, failed.error) == (State.FAILED, "NotUnderstood", "NeedsOperator")

    play = engine.resume(Execution.objects.order_by("-number")[0], who="sato")
    assert play is not None
    street.rest()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert [getattr(one, "redrives", 0) for one in street.executions()][-1] == 0


def test_a_decline_is_looked_at_again_and_its_execution_is_not_redriven(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(order: Order, _: object) -> dict[str, str]:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as broken:
        broken.setitem(STEPS, "ReturnStock", replace(STEPS["ReturnStock"], effect=breaks))
        shop.order_one(rehearsal, crab, number=shop.DECLINED)
        street.rest()
    failed = Execution.objects.get()
    assert (failed.status, failed.position) == (State.FAILED, "ReturnStock")

    play = engine.resume(failed, who="sato")
    assert play is not None
    street.rest()
    play.refresh_from_db()
    assert (play.status, play.arn) == (State.SUCCEEDED, failed.arn.removesuffix("-1") + "-2")
    assert [getattr(one, "redrives", 0) for one in street.executions()] == [0, 0]
    assert "TakePayment" in moto_plugin.states_of(street.executions()[-1])
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.NOT_PAID, (10, 0, 0))


def test_permission_that_is_missing_is_told_once_and_the_orders_go_on_when_it_is_there(
    rehearsal: Rehearsal, crab: Product, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = settings.STATE_MACHINES
    settings.STATE_MACHINES = {"checkout": right["checkout"] + "-gone"}
    order = shop.order_one(rehearsal, crab)
    monkeypatch.setattr(step_functions, "SEND_AFTER", timedelta(0))
    assert step_functions.send_due() == 0
    assert list(Case.objects.values_list("code", "closed_at")) == [("engine_refused", None)]

    settings.STATE_MACHINES = right
    assert step_functions.send_due() == 1
    street.rest()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert Case.objects.get().closed_at is not None


# Moving over ---------------------------------------------------------------------------------------------------------


def test_orders_in_flight_move_from_the_embedded_engine_and_none_is_lost(
    rehearsal: Rehearsal, crab: Product, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: Order) -> None:
        raise NeedsOperator("mail_refused", "made on purpose")

    at_aws = settings.ENGINE
    settings.ENGINE = "todoku.engines.embedded.Embedded"
    konbini = shop.order_at_konbini(rehearsal, crab)
    shop.work_off()
    with monkeypatch.context() as refused:
        refused.setitem(STEPS, "SendMail", Step("SendMail", outside=refuses, effect=STEPS["SendMail"].effect))
        stopped = shop.order_one(rehearsal, crab)
        shop.work_off()
    half_way = shop.order_one(rehearsal, crab)
    for step in ("TakeStock", "TakePayment"):
        perform_named(STEPS, {"step": step, "order": half_way.pk, "execution": f"checkout-{half_way.pk}-1"})
    not_begun = shop.order_one(rehearsal, crab)

    # The workers are stopped, the setting is changed, and the shop is opened again.
    settings.ENGINE = at_aws
    monkeypatch.setattr(step_functions, "SEND_AFTER", timedelta(0))
    shop.work_off()
    once()
    street.rest()
    for order in (half_way, not_begun):
        assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    engine.resume(Execution.objects.get(order=stopped, status=State.FAILED), who="sato")
    rehearsal.pay_at_till(konbini.intent.stripe_id, "lawson")
    Order.objects.filter(pk=konbini.pk).update(next_look_at=timezone.now())
    once()
    street.rest()
    assert set(Order.objects.values_list("status", flat=True)) == {Status.COMPLETE}
    assert len(shop.charges(rehearsal)) == 4
    assert shop.levels(crab) == (6, 0, 4)
    assert shop.waiting_jobs() == 0


def test_the_rounds_tell_how_long_the_oldest_paid_order_has_waited(
    rehearsal: Rehearsal, crab: Product, mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox.refuse("later")
    order = shop.order_one(rehearsal, crab)
    street.rest()
    Order.objects.filter(pk=order.pk).update(paid_at=timezone.now() - timedelta(minutes=20))
    capsys.readouterr()
    lambdas.rounds({}, None)
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 1200 <= told["OldestUnsettledSeconds"] < 1300
    assert (told["OpenCases"], told["Shop"]) == (1, "todoku-rounds")


def test_one_round_does_all_that_is_due_by_the_clock(
    rehearsal: Rehearsal, crab: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No worker is there for longer than a round: what its clock has to put into the queue must come first."""
    monkeypatch.setattr(app, "periodic_defaults", {"max_delay": 2 * 24 * 3600})
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_periodic_defers, procrastinate_jobs CASCADE")
        assert lambdas.rounds({}, None) == {"failed": []}
        cursor.execute("SELECT DISTINCT task_name FROM procrastinate_periodic_defers")
        came = {name for (name,) in cursor.fetchall()}
    assert came == {periodic.task.name for periodic in app.periodic_registry.periodic_tasks.values()} != set()
    # Of two reconciliations the second waits for the first: the next round does it. Meanwhile a function that slept
    # has lost its connections.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert lambdas.rounds({}, None) == {"failed": []}
    assert shop.waiting_jobs() == 0
    assert {run.kind for run in Run.objects.exclude(ended_at=None)} == {"window", "full"}


def test_a_round_goes_on_with_what_another_had_in_hand_when_its_time_was_over(
    rehearsal: Rehearsal, crab: Product
) -> None:
    job = reconcile_window.defer(timestamp=0)
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 hour')"
            " RETURNING id) UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM gone)"
            " WHERE id = %s",
            [job],
        )
    assert lambdas.rounds({}, None) == {"failed": []}
    assert (shop.waiting_jobs(), Run.objects.exclude(ended_at=None).count()) == (0, 1)


def test_only_the_shops_own_commands_can_be_run_from_outside() -> None:
    assert "no issues" in lambdas.manage({"command": ["check"]}, None)["said"]
    for command in (["shell"], ["flush", "--noinput"], ["dbshell"], ["migrate"], ["resume"]):
        with pytest.raises(ValueError, match="and nothing else"):
            lambdas.manage({"command": command}, None)
