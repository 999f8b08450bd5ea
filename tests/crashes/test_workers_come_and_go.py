"""Workers that sleep, are told to stop, or lose their database: the order arrives, and is charged once."""

from __future__ import annotations

import os
import signal
import time

from django.db import connection

from tests import shop
from tests.crashes.street import StripeAndMail, Workers, wait_for
from todoku.engines.models import Execution
from todoku.order.models import Order, Status


def _confirms(street: StripeAndMail) -> int:
    return sum(asked["path"].endswith("/confirm") for asked in street.rehearsal.requests)


def _complete(order: Order) -> bool:
    return Order.objects.filter(pk=order.pk, status=Status.COMPLETE).exists()


def _arrived_once(street: StripeAndMail, order: Order) -> None:
    assert _complete(order)
    assert [charge["status"] for charge in street.rehearsal.rows("charges")] == ["succeeded"]
    assert len(street.mailbox.list()) == 1
    assert list(Execution.objects.values_list("status", flat=True)) == ["SUCCEEDED"]
    assert order.ledger.count() == 6


def test_a_worker_that_slept_does_not_take_its_own_play_for_a_dead_ones(
    street: StripeAndMail, workers: Workers
) -> None:
    order = shop.order_one(street.rehearsal, shop.sell())
    street.rehearsal.confirm_seconds = 3.0
    pid = workers.start(concurrency=4, dead_after=0.6)
    wait_for(lambda: len(street.rehearsal._busy) == 1)

    os.kill(pid, signal.SIGSTOP)  # the lid is closed
    time.sleep(1.5)
    os.kill(pid, signal.SIGCONT)

    wait_for(lambda: _complete(order) and not shop.waiting_jobs())
    _arrived_once(street, order)
    assert _confirms(street) == 1


def test_a_play_that_another_worker_took_over_is_done_once_when_the_sleeper_wakes(
    street: StripeAndMail, workers: Workers
) -> None:
    order = shop.order_one(street.rehearsal, shop.sell())
    street.rehearsal.confirm_seconds = 1.0
    sleeper = workers.start(dead_after=60)
    wait_for(lambda: len(street.rehearsal._busy) == 1)
    os.kill(sleeper, signal.SIGSTOP)
    time.sleep(1.2)
    workers.start(dead_after=0.6)
    wait_for(lambda: _complete(order))
    os.kill(sleeper, signal.SIGCONT)
    time.sleep(0.5)
    wait_for(lambda: not shop.waiting_jobs())
    _arrived_once(street, order)


def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand(street: StripeAndMail, workers: Workers) -> None:
    order = shop.order_one(street.rehearsal, shop.sell())
    street.rehearsal.confirm_seconds = 1.0
    pid = workers.start(concurrency=4)
    wait_for(lambda: len(street.rehearsal._busy) == 1)
    os.kill(pid, signal.SIGTERM)
    assert workers.wait(pid) == 0
    _arrived_once(street, order)
    assert shop.waiting_jobs() == 0


def _end_all_sessions() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        assert cursor.fetchone()[0] >= 1
    # The test's own idle sessions went too.
    connection.close()
    connection.close_pool()


def test_a_worker_whose_database_sessions_are_all_ended_goes_on_by_itself(
    street: StripeAndMail, workers: Workers
) -> None:
    crab = shop.sell()
    order = shop.order_one(street.rehearsal, crab)
    street.rehearsal.confirm_seconds = 1.0
    pid = workers.start(concurrency=4, dead_after=1.0)
    wait_for(lambda: len(street.rehearsal._busy) == 1)
    _end_all_sessions()
    wait_for(lambda: _complete(order) and not shop.waiting_jobs(), seconds=40)
    _arrived_once(street, order)

    # Once more, when it has nothing to do: it still notices what comes then.
    street.rehearsal.confirm_seconds = 0.0
    _end_all_sessions()
    another = shop.order_one(street.rehearsal, crab)
    wait_for(lambda: _complete(another), seconds=40)
    # It does not only limp from one start to the next.
    failed = workers.log.read_text().count("Side task")
    time.sleep(2.5)
    assert workers.log.read_text().count("Side task") == failed
    os.kill(pid, signal.SIGTERM)
    assert workers.wait(pid) == 0
