"""Stripe is away for minutes, hours, a day: what is open settles afterwards by itself, and nobody is rung in vain."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from rehearsal import Fault
from rehearsal.api import Rehearsal
from tests import shop
from tests.gateways.passing import let_pass
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.engines.poller import look_again
from todoku.engines.watch import watch
from todoku.gateways import breaker
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.payment.models import Attempt
from todoku.ringing.ring import ring_new

CONFIRM = "/v1/payment_intents/*/confirm"
THREE_D_SECURE = "4000002760003184"


def _go_on(rehearsal: Rehearsal, time: timedelta) -> None:
    """Let time pass and do all that a worker does then."""
    let_pass(rehearsal, time)
    watch()
    ring_new()
    look_again()
    shop.work_off(hurry=False)


def _bells() -> list[str]:
    return [letter.subject for letter in mail.outbox if letter.subject.startswith("[Todoku]")]


def _confirms(rehearsal: Rehearsal) -> list[str]:
    return [one["key"] for one in rehearsal.requests if one["path"].endswith("/confirm") and one["key"]]


@pytest.mark.parametrize(
    ("steps", "step", "posted_again"),
    [(3, timedelta(minutes=3), True), (4, timedelta(minutes=60), False), (5, timedelta(minutes=300), False)],
    ids=["10 minutes", "4 hours", "25 hours"],
)
def test_open_orders_settle_after_an_outage_and_none_is_posted_again_blindly(
    rehearsal: Rehearsal, crab: Product, steps: int, step: timedelta, posted_again: bool
) -> None:
    waiting = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    at_till = shop.order_at_konbini(rehearsal, crab)
    shop.work_off()
    rehearsal.faults.set(Fault("drop_after", path=CONFIRM, times=3))
    charged = shop.order_one(rehearsal, crab)
    shop.work_off(hurry=False)
    unheard = shop.order_one(rehearsal, crab)
    away = Fault("drop_before", method="*", path="/v1/*", times=None)
    rehearsal.faults.clear()
    rehearsal.faults.set(away)
    rehearsal.authenticate(waiting.intent.stripe_id)
    rehearsal.pay_at_till(at_till.intent.stripe_id, "lawson")
    shop.work_off(hurry=False)
    for time in [timedelta(seconds=20)] * 3 + [step] * steps:
        _go_on(rehearsal, time)
    # Nobody was told anything that is not known, and the goods are still held.
    assert set(Order.objects.values_list("status", flat=True)) == {Status.PLACED}
    assert shop.levels(crab)[1] == 4
    # However many wait, the bell has rung once: for Stripe itself.
    assert len(_bells()) == 1 and _bells()[0].endswith("(stripe_away)")
    before = len(rehearsal.requests)

    rehearsal.faults.clear()
    for _ in range(4):
        _go_on(rehearsal, timedelta(minutes=5))

    status = dict(Order.objects.values_list("pk", "status"))
    assert [status[one.pk] for one in (waiting, at_till, charged)] == [Status.COMPLETE] * 3
    assert status[unheard.pk] == (Status.COMPLETE if posted_again else Status.CANCELED)
    assert len(shop.charges(rehearsal)) == (4 if posted_again else 3)
    assert shop.levels(crab) == ((6, 0, 4) if posted_again else (7, 0, 3))
    # Whatever was posted after the outage was looked at before.
    looked: set[str] = set()
    for one in list(rehearsal.requests)[before:]:
        intent = next((part for part in one["path"].split("/") if part.startswith("pi_")), "")
        if one["method"] == "POST" and intent:
            assert intent in looked, one
        looked.add(intent)
    assert len(set(_confirms(rehearsal))) == Attempt.objects.count()
    assert not Case.objects.filter(closed_at=None).exists()
    assert len(_bells()) == 1


def test_an_outage_of_four_minutes_rings_nobody_and_leaves_nothing_behind(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    away = rehearsal.faults.set(Fault("drop_before", method="*", path="/v1/*", times=None))
    shop.work_off(hurry=False)
    for _ in range(8):
        _go_on(rehearsal, timedelta(seconds=30))
    rehearsal.faults.clear(away)
    for _ in range(3):
        _go_on(rehearsal, timedelta(minutes=1))
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert (_bells(), Case.objects.filter(closed_at=None).count()) == ([], 0)


def test_an_order_that_failed_unpaid_is_looked_at_again_within_two_minutes_and_then_ever_more_seldom(
    rehearsal: Rehearsal, crab: Product, settings: object
) -> None:
    settings.STRIPE_BREAKER = False  # type: ignore[attr-defined]
    order = shop.order_one(rehearsal, crab)
    Order.objects.update(pay_by=timezone.now() + timedelta(hours=5), next_look_at=None)
    rehearsal.faults.set(Fault("drop_before", path=CONFIRM, times=None))
    pauses = []
    for number in range(1, 5):
        _until_failed(number)
        look = Order.objects.get().next_look_at
        assert look is not None
        pauses.append((look - timezone.now()).total_seconds() / 60)
        let_pass(rehearsal, look - timezone.now() + timedelta(seconds=1))
        look_again()
    assert 1 <= round(pauses[0], 1) <= 1.25
    assert [minutes >= least - 0.1 for minutes, least in zip(pauses, (1, 2, 4, 8), strict=True)] == [True] * 4
    assert max(pauses) <= 10
    case = Case.objects.get()
    assert case.failures == 4

    rehearsal.faults.clear()
    shop.work_off()
    case.refresh_from_db()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert (case.closed_at is not None, case.closed_by) == (True, "Todoku")
    assert len(_bells()) <= 1


def _until_failed(number: int) -> None:
    from django.db import connection

    for _ in range(30):
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND task_name = 'todoku.play'"
            )
        shop.work_off(hurry=False)
        if Execution.objects.filter(number=number, status="FAILED").exists():
            return
    raise AssertionError(f"play {number} does not fail")


def test_the_bell_for_what_may_heal_waits_and_rings_once_if_it_does_not(rehearsal: Rehearsal, crab: Product) -> None:
    shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("rate_limit", path=CONFIRM, times=None))
    _until_failed(1)
    assert (Case.objects.filter(closed_at=None).count(), _bells()) == (1, [])
    let_pass(rehearsal, timedelta(minutes=14))
    shop.work_off(hurry=False)
    assert _bells() == []
    for _ in range(3):
        let_pass(rehearsal, timedelta(minutes=2))
        look_again()
        shop.work_off(hurry=False)
    assert len(_bells()) == 1 and _bells()[0].endswith("(Unavailable)")


def test_a_revoked_key_shuts_the_gate_rings_once_and_all_goes_on_when_it_is_mended(
    rehearsal: Rehearsal, crab: Product
) -> None:
    from todoku.gateways import stripe as gateway

    orders = [shop.order_one(rehearsal, crab) for _ in range(3)]
    right, rehearsal.secret_key = rehearsal.secret_key, "sk_test_another"
    gateway.forget()
    shop.work_off(hurry=False)
    assert breaker.standing().reason == breaker.KEY
    _go_on(rehearsal, timedelta(seconds=10))
    assert len(_bells()) == 1 and _bells()[0].endswith("(stripe_without_key)")
    assert "sk_test" not in "".join(str(letter.message()) for letter in mail.outbox)

    rehearsal.secret_key = right
    for _ in range(4):
        _go_on(rehearsal, timedelta(minutes=1))
    assert not breaker.is_shut()
    assert {Order.objects.get(pk=one.pk).status for one in orders} == {Status.COMPLETE}
    assert len(shop.charges(rehearsal)) == 3
    assert (len(_bells()), Case.objects.filter(closed_at=None).count()) == (1, 0)
