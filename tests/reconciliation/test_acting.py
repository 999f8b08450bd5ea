"""What reconciliation does about a drift: it plays, it cancels, or it calls a person, once; nothing else."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.reconciliation import planting
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.gateways import stripe as gateway
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.order.place import Answer, Placed, Refused, place
from todoku.payment.models import Intent
from todoku.payment.prepare import prepare
from todoku.quote.models import Quote
from todoku.reconciliation import run, sweep
from todoku.reconciliation.models import Finding, Run
from todoku.ringing.models import Channel, Ring
from todoku.ringing.ring import ring_new


def fresh(order: Order) -> Order:
    return Order.objects.select_related("intent").get(pk=order.pk)


def found_mails() -> list[mail.EmailMessage]:
    """The bell's mails: those to the operators."""
    return [letter for letter in mail.outbox if letter.to == ["operator@example.jp"]]


def make(kind: str, rehearsal: Rehearsal, crab: Product) -> Order:
    order = planting.MAKE[kind](rehearsal, crab)
    shop.work_off()
    return fresh(order)


def test_money_that_an_order_does_not_know_of_brings_it_home(rehearsal: Rehearsal, crab: Product) -> None:
    declined, voucher = make("not_paid", rehearsal, crab), make("waiting", rehearsal, crab)
    planting.THEIRS["paid_not_known"][1](rehearsal, declined)
    planting.THEIRS["voucher_paid"][1](rehearsal, voucher)

    report = run.reconcile_window()

    assert {(one.drift.code, one.did) for one in report.outcomes} >= {
        ("paid_not_known", "played"),
        ("voucher_paid", "played"),
    }
    assert report.needs_a_person == []
    shop.work_off()
    assert (fresh(declined).status, fresh(voucher).status) == ("complete", "complete")
    assert run.reconcile_window().outcomes == []
    assert not Case.objects.exists()


def test_stripe_s_news_before_the_next_look_are_a_knock_and_no_finding(rehearsal: Rehearsal, crab: Product) -> None:
    order = make("waiting", rehearsal, crab)
    rehearsal.pay_at_till(order.intent.stripe_id)
    report = run.reconcile_window()
    assert (report.outcomes, report.run.knocked) == ([], 1)
    shop.work_off()
    assert fresh(order).status == "complete"


def test_what_playing_does_not_mend_calls_a_person_in_the_end(rehearsal: Rehearsal, crab: Product) -> None:
    order = make("complete", rehearsal, crab)
    planting.on(order, status="recorded", recorded_at=planting.long_ago())
    done = []
    for _ in range(run.IN_VAIN + 2):
        report = run.reconcile_window()
        done += [one.did for one in report.outcomes if one.drift.code == "paid_and_stuck"]
        # Nobody plays: there is no worker.
        order.executions.filter(status="RUNNING").update(status="SUCCEEDED")
    assert done == ["played"] * run.IN_VAIN + ["reported", "known"]
    assert Case.objects.get(code="paid_and_stuck").order_id == order.pk


def test_a_finding_rings_once_and_is_gone_when_it_is_gone(rehearsal: Rehearsal, crab: Product) -> None:
    order = make("complete", rehearsal, crab)
    planting.on(crab.level, on_hand=5)
    for _ in range(3):
        run.reconcile_window()
        ring_new()
    [letter] = found_mails()
    assert "KANI" in letter.subject
    assert "棚を数えてください" in letter.body
    assert "Count the shelf" in letter.body
    case = Case.objects.get()
    assert (case.code, case.about, case.failures) == ("on_hand_off", "KANI", 3)
    assert Finding.objects.count() == 1, "the run of every few minutes repeats nothing"

    planting.on(crab.level, on_hand=9)
    report = run.reconcile_window()
    assert (report.outcomes, report.run.withdrawn) == ([], 1)
    case.refresh_from_db()
    assert case.closed_by == bell.ITSELF
    assert fresh(order).status == "complete"


def test_a_finding_that_a_person_has_closed_stays_closed(rehearsal: Rehearsal, crab: Product) -> None:
    order = make("complete", rehearsal, crab)
    rehearsal.refund_by_hand(planting.charge_of(order), 500)
    run.reconcile_window()
    Case.objects.update(closed_at=timezone.now(), closed_by="hanako")
    report = run.reconcile_in_full()
    assert [one.did for one in report.outcomes] == ["settled"]
    assert report.run.found == 0
    assert Case.objects.filter(closed_at=None).count() == 0


def test_a_storm_rings_once_a_minute_for_each_kind_and_names_every_case(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [make("complete", rehearsal, crab) for _ in range(4)]
    for order in orders:
        rehearsal.refund_by_hand(planting.charge_of(order), 500)
    planting.on(crab.level, on_hand=5)
    run.reconcile_window()
    assert Case.objects.count() == 5
    for _ in range(3):
        ring_new()
    assert len(found_mails()) == 2
    storm = next(letter for letter in found_mails() if "refunded_part" in letter.subject)
    for case in Case.objects.filter(code="refunded_part"):
        assert f"/console/notify/case/{case.pk}/" in storm.body
        assert case.about in storm.body
    last = make("complete", rehearsal, crab)
    rehearsal.refund_by_hand(planting.charge_of(last), 500)
    run.reconcile_window()
    assert ring_new() == 0, "not within the minute"
    Ring.objects.filter(sent_at__isnull=False).update(sent_at=planting.long_ago(0.1))
    assert ring_new() == 1


def test_a_bell_that_cannot_be_sent_is_rung_again(
    rehearsal: Rehearsal, crab: Product, settings: object
) -> None:
    make("complete", rehearsal, crab)
    planting.on(crab.level, on_hand=5)
    run.reconcile_window()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"  # type: ignore[attr-defined]
    settings.EMAIL_PORT = 1  # type: ignore[attr-defined]
    assert ring_new() == 0
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"  # type: ignore[attr-defined]
    assert ring_new() == 0, "it rests"
    Channel.objects.update(rest_until=None)
    assert ring_new() == 1


def old_intent(crab: Product, hours: float = 25) -> Intent:
    """An intent of a cart that was left at the confirm page so long ago."""
    intent = shop.agree(shop.fill_cart((crab, 1))).cart.intents.get()
    planting.on(intent, created_at=planting.long_ago(hours), changed_at=planting.long_ago(hours))
    intent.refresh_from_db()
    return intent


def test_what_carts_left_open_is_canceled_after_a_day_and_not_before(rehearsal: Rehearsal, crab: Product) -> None:
    old, young = old_intent(crab), old_intent(crab, hours=23)
    order = make("waiting", rehearsal, crab)
    declined = make("not_paid", rehearsal, crab)
    Intent.objects.exclude(pk=young.pk).update(created_at=planting.long_ago(), changed_at=planting.long_ago())

    report = run.reconcile_window()

    assert (report.swept, report.outcomes) == (1, [])
    assert {intent["id"]: intent["status"] for intent in shop.stripe_payments(rehearsal)} == {
        old.stripe_id: "canceled",
        young.stripe_id: "requires_payment_method",
        order.intent.stripe_id: "requires_action",
        declined.intent.stripe_id: "requires_payment_method",
    }
    assert list(Intent.objects.exclude(canceled_at=None).values_list("pk", flat=True)) == [old.pk]
    assert run.reconcile_window().swept == 0


def test_a_cart_whose_intent_was_swept_gets_a_new_one(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    planting.on(cart.intents.get(), created_at=planting.long_ago(), changed_at=planting.long_ago())
    run.reconcile_window()
    answer = place(
        cart=cart, quote_id=quote.pk, confirmation_token=shop.type_card(rehearsal), shopper=cart.shopper, language="ja"
    )
    assert isinstance(answer, Refused)
    assert prepare(quote).canceled_at is None
    shop.press(rehearsal, cart, quote)
    shop.work_off()
    assert Order.objects.get().status == "complete"


def test_an_intent_that_turns_out_to_be_paid_is_told_and_never_canceled(rehearsal: Rehearsal, crab: Product) -> None:
    old = old_intent(crab)
    assert old.stripe_id
    planting.pay(rehearsal, old.stripe_id)
    # Outside the list's window: only the sweeper meets it.
    report = run.reconcile(Run.Kind.WINDOW, since=timezone.now() + timedelta(minutes=5))
    assert [(one.drift.code, one.did) for one in report.outcomes] == [("paid_without_order", "reported")]
    old.refresh_from_db()
    assert old.canceled_at is None
    assert run.reconcile_window().needs_a_person[0].did == "known"


def test_a_lost_answer_to_the_cancel_is_asked_again_under_the_same_key(rehearsal: Rehearsal, crab: Product) -> None:
    old = old_intent(crab)
    rehearsal.faults.set(Fault("drop_after", path="*/cancel", times=9))
    assert run.reconcile_window().swept == 0
    rehearsal.faults.clear()
    old.refresh_from_db()
    assert (old.canceled_at, old.ready) == (None, False)
    assert run.reconcile_window().swept == 1
    old.refresh_from_db()
    assert old.canceled_at is not None


def test_of_a_press_and_a_sweep_at_once_one_wins_and_no_paid_order_is_lost(rehearsal: Rehearsal, crab: Product) -> None:
    """The claim is made under the cart's lock, which a press holds while it takes the intent."""
    for n in range(8):
        cart = shop.fill_cart((crab, 1), details={"email": f"hanako{n}@example.com", "phone": f"0901234567{n}"})
        quote = shop.agree(cart)
        planting.on(cart.intents.get(), created_at=planting.long_ago(), changed_at=planting.long_ago())
        token = shop.type_card(rehearsal)
        start = threading.Barrier(2)

        def press(cart: Cart, quote: Quote, token: str, start: threading.Barrier, wait: float) -> Answer:
            start.wait()
            time.sleep(wait)
            try:
                return shop.press(rehearsal, cart, quote, token=token)
            finally:
                connections.close_all()

        with ThreadPoolExecutor() as pool:
            pressed = pool.submit(press, cart, quote, token, start, 0.008 * (n % 4))
            start.wait()
            swept = sweep.sweep(gateway.for_worker(), timezone.now()).canceled
            answer = pressed.result()
        assert isinstance(answer, Placed | Refused), answer
        assert swept + isinstance(answer, Placed) == 1, answer
        shop.work_off()
    assert not Order.objects.exclude(status="complete").exists()


def test_the_intent_of_a_withdrawn_sold_out_order_is_canceled(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    planting.on(crab.level, on_hand=0)
    shop.work_off()
    order = fresh(order)
    assert order.status == "not_paid"
    assert run.reconcile_window().swept == 0
    planting.on(order, withdrawn_at=planting.long_ago(1))
    assert run.reconcile_window().swept == 1
    assert fresh(order).intent.canceled_at is not None


def test_what_is_open_for_a_canceled_order_or_a_lost_answer_is_canceled(rehearsal: Rehearsal, crab: Product) -> None:
    declined = make("not_paid", rehearsal, crab)
    planting.THEIRS["canceled_but_payable"][1](rehearsal, declined)
    planting.THEIRS["answer_lost"][1](rehearsal, declined)
    report = run.reconcile_window()
    assert {(one.drift.code, one.did) for one in report.outcomes} == {
        ("canceled_but_payable", "canceled"),
        ("answer_lost", "canceled"),
    }
    assert {intent["status"] for intent in shop.stripe_payments(rehearsal)} == {"canceled"}
    assert not Intent.objects.filter(canceled_at=None).exists()
    assert not Intent.objects.filter(stripe_id=None).exists()


def test_stripe_away_is_no_finding_and_our_own_side_is_still_compared(rehearsal: Rehearsal, crab: Product) -> None:
    make("complete", rehearsal, crab)
    planting.on(crab.level, on_hand=5)
    rehearsal.faults.set(Fault("error_before", method="GET", times=99))
    report = run.reconcile_window()
    assert report.run.trouble
    assert [one.drift.code for one in report.outcomes] == ["on_hand_off"]


def test_by_hand_it_prints_a_table_and_says_with_its_code_whether_a_person_is_needed(
    rehearsal: Rehearsal, crab: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    order = make("complete", rehearsal, crab)
    call_command("reconcile")
    assert "Everything agrees." in capsys.readouterr().out
    refund = rehearsal.refund_by_hand(planting.charge_of(order), 500)
    for dry in (True, False):
        with pytest.raises(SystemExit) as stopped:
            call_command("reconcile", since="2026-01-01" if dry else None, dry_run=dry)
        assert stopped.value.code == 1
        shown = capsys.readouterr().out
        assert refund["id"] in shown
        assert order.number in shown
        assert ("would report" in shown) == dry
        assert Case.objects.exists() != dry
    assert Run.objects.count() == 2, "a dry run leaves nothing behind"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"since": "yesterday"}, "--since must be a day such as 2026-11-01, not 'yesterday'."),
        ({"since": "2026-02-30"}, "--since must be a day"),
        ({"since": "9999-01-01"}, "--since must lie between"),
        ({"since": "1999-01-01"}, "--since must lie between"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "--until 2026-11-01 lies before --since 2026-11-02."),
        ({"until": "\x00"}, "--until must be a day"),
    ],
)
def test_a_bad_date_is_told_clearly(transactional_db: None, given: dict[str, str], said: str) -> None:
    with pytest.raises(CommandError) as told:
        call_command("reconcile", **given)
    assert said in str(told.value)
    assert told.value.returncode == 2
    assert not Run.objects.exists()


def test_the_number_of_statements_does_not_grow_with_the_orders(rehearsal: Rehearsal, crab: Product) -> None:
    def statements() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            run.reconcile_in_full()
        return len(seen)

    make("complete", rehearsal, crab)
    few = statements()
    for _ in range(5):
        shop.order_one(rehearsal, crab)
    shop.work_off()
    assert statements() <= few
