"""On a healthy shop reconciliation finds nothing, whenever it runs: between any two steps, and while it is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from todoku.catalog.models import Product
from todoku.engines import engine, interpreter
from todoku.gateways import stripe as gateway
from todoku.gateways.gateway import Payment
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.payment.models import Intent
from todoku.reconciliation import read, rules, run
from todoku.reconciliation.compare import compare
from todoku.reconciliation.facts import OrderFacts
from todoku.reconciliation.models import Finding, Run
from todoku.stock.count import adjust

CHALLENGE = "4000000000003220"


def look(counts: list[int]) -> None:
    """Reconcile everything, and insist that there is nothing."""
    since = timezone.now() - timedelta(days=2)
    book = compare(gateway.for_worker(), since=since, until=None, whole=True, watched=[])
    assert (book.trouble, book.left, book.drifts) == ("", {}, {})
    counts[0] += 1


@pytest.fixture
def in_between(rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Reconcile before and after every call to Stripe, and between any two states of every play."""
    counts, busy = [0], threading.local()
    # Inside a play an error would only be one more failed try.
    alarms: list[BaseException] = []

    def quietly() -> None:
        if not connection.in_atomic_block and not getattr(busy, "now", False):
            busy.now = True
            try:
                look(counts)
            except BaseException as error:
                alarms.append(error)
            finally:
                busy.now = False

    choose: Callable[..., str] = interpreter.choose
    fill: Callable[..., object] = interpreter.fill
    monkeypatch.setattr(interpreter, "choose", lambda *given: (quietly(), choose(*given))[1])
    monkeypatch.setattr(interpreter, "fill", lambda *given: (quietly(), fill(*given))[1])
    rehearsal.observers.append(lambda *seen: quietly())
    yield counts
    assert alarms == []


def arrive(rehearsal: Rehearsal, order: Order, knock: str = "webhook") -> str:
    engine.play("checkout", order, knock=knock)
    shop.work_off()
    return Order.objects.get(pk=order.pk).status


def test_there_is_no_false_alarm_at_any_step_of_any_order(
    rehearsal: Rehearsal, crab: Product, in_between: list[int]
) -> None:
    card = shop.order_one(rehearsal, crab)
    challenged = shop.order_one(rehearsal, crab, number=CHALLENGE)
    konbini = shop.order_at_konbini(rehearsal, crab)
    declined_cart = shop.fill_cart((crab, 1))
    declined = shop.press(rehearsal, declined_cart, shop.agree(declined_cart), shop.DECLINED).order
    shop.agree(shop.fill_cart((crab, 1)))
    look(in_between)
    shop.work_off()
    look(in_between)
    rehearsal.authenticate(challenged.intent.stripe_id, passed=True)
    look(in_between)
    rehearsal.pay_at_till(konbini.intent.stripe_id)
    look(in_between)
    assert arrive(rehearsal, challenged) == "complete"
    assert arrive(rehearsal, konbini) == "complete"
    shop.press(rehearsal, declined_cart, shop.agree(declined_cart))
    look(in_between)
    shop.work_off()
    look(in_between)
    assert {Order.objects.get(pk=order.pk).status for order in (card, declined)} == {"complete"}
    assert in_between[0] >= 60


class SlowList:
    """Stripe's list as it was when it was asked for; the shop goes on before it has arrived."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self.meanwhile = meanwhile

    def payments(self, *, since: datetime, until: datetime | None = None) -> Iterator[Payment]:
        """List, and let time pass."""
        listed = list(gateway.for_worker().payments(since=since, until=until))
        self.meanwhile()
        return iter(listed)

    def __getattr__(self, name: str) -> object:
        return getattr(gateway.for_worker(), name)


def test_an_order_that_moves_on_while_stripe_s_list_is_read_is_no_drift(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    slow = SlowList(shop.work_off)
    since = timezone.now() - timedelta(days=2)
    book = compare(slow, since=since, until=None, whole=True, watched=[])  # type: ignore[arg-type]
    assert Order.objects.get(pk=order.pk).status == "complete"
    assert book.drifts == {}


def test_an_order_that_is_being_played_or_has_a_person_is_left_alone(rehearsal: Rehearsal, crab: Product) -> None:
    placed = shop.order_one(rehearsal, crab)
    [order] = read.orders([placed.pk])
    intent = read.intents_named([order.stripe_id or ""])[order.stripe_id or ""]
    paid = replace(gateway.for_worker().look(order.stripe_id or ""), status="succeeded", amount_received=order.total)
    now = timezone.now()

    def found(facts: OrderFacts) -> list[str]:
        return [one.code for one in rules.of_payment(paid, intent, facts, now=now, live=False)]  # type: ignore[union-attr]

    assert order.play == "RUNNING"
    order = replace(order, next_look_at=None)
    assert found(order) == []
    assert found(replace(order, play="FAILED", has_case=True)) == []
    assert found(replace(order, play="SUCCEEDED")) == ["paid_not_known"]
    assert found(replace(order, play_started_at=now - rules.LONGEST_PLAY)) == ["paid_not_known"]


def test_a_hundred_runs_of_a_healthy_shop_find_nothing_and_ring_for_nothing(
    rehearsal: Rehearsal, crab: Product
) -> None:
    adjust({crab.pk: 50}, who="test", why="plenty")
    orders = [shop.order_one(rehearsal, crab) for _ in range(6)]
    orders.append(shop.order_at_konbini(rehearsal, crab))
    orders.append(shop.order_one(rehearsal, crab, number=shop.DECLINED))
    stop = threading.Event()
    played: list[BaseException] = []

    def busy() -> None:
        try:
            for order in orders:
                shop.work_off()
                shop.order_one(rehearsal, crab)
                engine.play("checkout", order, knock="poller")
            shop.work_off()
        except BaseException as error:
            played.append(error)
        finally:
            stop.set()
            connections.close_all()

    shopping = threading.Thread(target=busy)
    shopping.start()
    runs = 0
    while runs < 100 or not stop.is_set():
        run.reconcile_window() if runs % 5 else run.reconcile_in_full()
        runs += 1
    shopping.join()
    assert not played
    assert Run.objects.count() == runs
    assert not Run.objects.exclude(trouble="", found=0, swept=0).exists()
    assert not Finding.objects.exists()
    assert not Case.objects.exists()
    assert not Intent.objects.exclude(canceled_at=None).exists()
