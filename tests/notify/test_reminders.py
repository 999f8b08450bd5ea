"""The reminder of a konbini voucher: in time, once, and only while it is still to be paid."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from tests import shop
from tests.clock import Clock
from tests.quick import knock, play
from tests.races.together import together
from todoku.catalog.models import Product
from todoku.notify import outbox
from todoku.notify.models import Mail
from todoku.notify.reminders import remind_due
from todoku.order.models import Order
from todoku.payment import rules
from todoku.payment.models import Voucher


@pytest.fixture
def order(rehearsal: Rehearsal, crab: Product, clock: Clock) -> Order:
    """An order that waits at the konbini."""
    return play(shop.order_at_konbini(rehearsal, crab))


def reminders() -> int:
    return Mail.objects.filter(kind="konbini_reminder").count()


def to_the_day_before(clock: Clock) -> None:
    due = Voucher.objects.get().remind_at
    assert due is not None
    clock.advance_to(due)


def test_at_ten_on_the_day_before_the_last_day_the_customer_is_reminded_once(
    order: Order, clock: Clock, mailbox: Mailbox
) -> None:
    due = Voucher.objects.get().remind_at
    assert due is not None
    local = timezone.localtime(due)
    assert (local.hour, local.minute) == (10, 0)
    assert local.date() == timezone.localtime(order.pay_by).date() - timedelta(days=1)

    clock.advance_to(due - timedelta(seconds=1))
    assert (remind_due(), reminders()) == (0, 0)
    clock.advance(seconds=1)
    assert (remind_due(), reminders()) == (1, 1)
    assert (remind_due(), reminders()) == (0, 1)
    clock.advance(hours=5)
    assert (remind_due(), Voucher.objects.get().remind_at) == (0, None)

    outbox.send_due()
    letter = Mail.objects.get(kind="konbini_reminder")
    assert letter.sent_at is not None and order.number in letter.subject
    assert Voucher.objects.get().stores[0]["payment_code"] in letter.text
    assert "行き違い" in letter.text
    assert "\n\n\n" not in letter.text


@pytest.mark.parametrize("why", ["paid", "given up", "expired", "switched off too long"])
def test_nobody_is_reminded_who_need_not_pay_any_more(
    why: str, order: Order, rehearsal: Rehearsal, clock: Clock
) -> None:
    if why == "paid":
        rehearsal.pay_at_till(order.intent.stripe_id)
        knock(order)
    elif why == "given up":
        Order.objects.filter(pk=order.pk).update(withdrawn_at=clock.now())
        rehearsal.go_to_till(order.intent.stripe_id)  # it cannot be canceled yet
        knock(order)
    elif why == "expired":
        rehearsal.expire_voucher(order.intent.stripe_id)
        knock(order)
    to_the_day_before(clock)
    if why == "switched off too long":
        clock.advance(days=2)
    assert (remind_due(), reminders(), Voucher.objects.get().remind_at) == (0, 0, None)


def test_a_reminder_that_could_not_be_sent_before_the_payment_is_not_sent_after_it(
    order: Order, rehearsal: Rehearsal, clock: Clock, mailbox: Mailbox
) -> None:
    outbox.send_due()
    to_the_day_before(clock)
    mailbox.refuse("closed")
    assert remind_due() == 1
    outbox.send_due()
    mailbox.refuse(None)
    rehearsal.pay_at_till(order.intent.stripe_id)
    knock(order)
    clock.advance(hours=1)
    outbox.send_due()
    reminder = Mail.objects.get(kind="konbini_reminder")
    assert (reminder.sent_at, reminder.overtaken_at is not None) == (None, True)


def test_a_worker_that_dies_has_done_both_or_neither(order: Order, clock: Clock) -> None:
    to_the_day_before(clock)
    with transaction.atomic():
        assert remind_due() == 1
        transaction.set_rollback(True)  # the worker dies before the commit
    assert reminders() == 0
    assert (remind_due(), reminders()) == (1, 1)


def test_many_workers_at_once_remind_once(order: Order, clock: Clock) -> None:
    to_the_day_before(clock)
    came = together(*[remind_due] * 6)
    assert sum(n for n in came if isinstance(n, int)) == 1, came
    assert reminders() == 1


def test_an_order_that_is_being_played_at_this_moment_is_left_for_the_next_round(order: Order, clock: Clock) -> None:
    to_the_day_before(clock)
    locked, may_go = threading.Event(), threading.Event()

    def plays() -> None:
        with transaction.atomic():
            Order.objects.select_for_update().get(pk=order.pk)
            locked.set()
            may_go.wait(timeout=20)

    def reminds() -> int:
        locked.wait(timeout=20)
        try:
            return remind_due()
        finally:
            may_go.set()

    assert together(plays, reminds) == [None, 0]
    assert remind_due() == 1


@pytest.mark.parametrize(
    ("placed_at", "expires_on", "reminded"),
    [
        ("11-22 12:00", 25, "11-24 10:00"),
        ("11-23 23:59", 26, "11-25 10:00"),
        ("11-24 00:00", 27, "11-26 10:00"),
        ("11-24 03:59", 25, "11-24 10:00"),  # six hours before
        ("11-24 04:01", 25, None),  # the codes themselves have just come
        ("11-24 12:00", 25, None),
        ("11-25 12:00", 25, None),
    ],
)
def test_when_the_reminder_is_due(placed_at: str, expires_on: int, reminded: str | None) -> None:
    def tokyo(text: str) -> datetime:
        return datetime.strptime(f"2026-{text} +0900", "%Y-%m-%d %H:%M %z").astimezone(UTC)

    expires = tokyo(f"11-{expires_on} 23:59") + timedelta(seconds=59)
    assert rules.remind_at(expires, tokyo(placed_at)) == (tokyo(reminded) if reminded else None)
