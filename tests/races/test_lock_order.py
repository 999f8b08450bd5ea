"""Who writes anything of an order locks the order's row first: two who meet wait in a line and never in a circle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.db import connection, connections, transaction

from rehearsal.api import Rehearsal
from tests import shop
from tests.refund import desk
from todoku.catalog.models import Product
from todoku.engines import embedded, engine
from todoku.engines.models import Execution, State
from todoku.flows.step import perform
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.refund import ask
from todoku.refund.steps import STEPS


@contextmanager
def _behind(order: Order, act: Callable[[], object]) -> Iterator[None]:
    """Hold the order's row, have the other one come up to it and wait there, and let go at the end."""
    came: list[object] = []

    def other() -> None:
        try:
            came.append(act())
        except Exception as error:
            came.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    with transaction.atomic():
        Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        thread.start()
        _until_somebody_waits()
        yield
    thread.join(30)
    assert [one for one in came if isinstance(one, Exception)] == []
    assert len(came) == 1


def _until_somebody_waits() -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ANY(%s)", [_others()])
            if cursor.fetchone()[0]:
                return
        time.sleep(0.02)
    raise AssertionError("nobody has come up to the order's row")


def _others() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [row[0] for row in cursor.fetchall()]


def test_a_play_that_fails_and_somebody_who_knocks_at_that_moment_do_not_wait_in_a_circle(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = shop.order_one(rehearsal, crab)
    play = Execution.objects.get(order=order)
    fail = partial(
        embedded.Embedded().end_badly, play, "TakePayment", error="Unavailable", why="made on purpose", technical=""
    )

    with _behind(order, fail):
        # What a shopper does who gives the order up, and the shop that calls it off.
        engine.play("checkout", order, knock="withdrawn")

    # The knock was not lost: the failed play is followed by another one.
    assert list(Execution.objects.order_by("number").values_list("status", flat=True)) == [State.FAILED, State.RUNNING]
    assert Case.objects.get(order=order).code == "Unavailable"


def test_a_worker_about_to_ask_for_a_refund_and_its_withdrawal_do_not_wait_in_a_circle(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order = desk.bought(rehearsal, crab)
    refund = desk.request(order, crabs=1)

    with _behind(order, partial(perform, STEPS["TakeBack"], order.pk, execution="refund-1-1")):
        ask.withdraw(refund, by=desk.person())

    # The withdrawal had the order's row first.
    assert (desk.stands(refund), desk.at_stripe(rehearsal)) == ("withdrawn", [])
