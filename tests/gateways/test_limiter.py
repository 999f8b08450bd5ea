"""The limiter: many processes together stay under Stripe's rate limits, and nothing is lost by waiting."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from rehearsal.api import Rehearsal
from rehearsal.rate_limits import Limits
from tests import shop
from todoku.bad_news import Unavailable
from todoku.catalog.models import Product
from todoku.database import let_go
from todoku.engines.models import Mishap
from todoku.gateways import limiter
from todoku.gateways import stripe as gateway
from todoku.gateways.gateway import NotAsked
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.stock.models import Level

HOUSE = Path(__file__).resolve().parents[2]


def _busiest(moments: list[float], seconds: float = 1.0) -> int:
    """The most calls in any window of so many seconds."""
    ordered = sorted(moments)
    first = most = 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _closing(act: Callable[[], Any]) -> Any:
    try:
        return act()
    finally:
        connections.close_all()


@pytest.mark.parametrize("limited", [True, False], ids=["with the limiter", "control: without it"])
def test_calls_of_forty_threads_are_never_too_many_for_stripe(
    rehearsal: Rehearsal, transactional_db: None, settings: Any, limited: bool
) -> None:
    settings.STRIPE_BREAKER = False
    intent = gateway.for_page().create(key="k:create", amount=5400, metadata={}).id
    rehearsal.limit(Limits(per_second=100, per_endpoint=50))
    settings.STRIPE_PER_SECOND, settings.STRIPE_PER_ENDPOINT = (80, 40) if limited else (0, 0)
    refused: list[str] = []

    def look(_: int) -> None:
        try:
            gateway.for_worker().look(intent)
        except Unavailable as error:
            refused.append(str(error))

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(lambda n: _closing(lambda: look(n)), range(120)))
    assert len(refused) <= 1 if limited else len(refused) >= 10, refused[:3]


def test_many_checkouts_pressed_at_once_all_arrive_and_stripe_has_nothing_to_refuse(
    rehearsal: Rehearsal, crab: Product, settings: Any
) -> None:
    Level.objects.update(on_hand=500)
    orders = [shop.order_one(rehearsal, crab) for _ in range(50)]
    rehearsal.limit("live")
    settings.STRIPE_PER_SECOND, settings.STRIPE_PER_ENDPOINT = 80, 20
    refused: list[int] = []
    rehearsal.observers.append(lambda _request, answer: refused.append(answer.status) if answer.status == 429 else None)
    shop.work_off(hurry=False)
    assert refused == []
    assert Mishap.objects.count() == 0
    assert Order.objects.filter(status=Status.COMPLETE).count() == len(orders)
    assert len([row for row in rehearsal.rows("charges") if row["status"] == "succeeded"]) == len(orders)
    assert not Case.objects.exists()


def test_real_processes_share_one_limit(transactional_db: None, settings: Any) -> None:
    settings.STRIPE_PER_SECOND, settings.STRIPE_PER_ENDPOINT = 40, 20
    limiter.book("warm", limiter.WORKER)
    asked = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.gateways.booking", str(connection.settings_dict["NAME"]), "25"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=HOUSE,
        )
        for _ in range(3)
    ]
    moments = [float(line) for one in asked for line in one.communicate(timeout=60)[0].split()]
    assert len(moments) == 75
    # Twenty in a second and the three that a quiet second allows at once; the rest is what clocks and sleeps differ.
    assert _busiest(moments) <= 25
    assert max(moments) - min(moments) >= 75 / 20 - 0.6


def test_a_page_goes_before_a_worker_and_a_list_after_both(transactional_db: None, settings: Any) -> None:
    settings.STRIPE_PER_SECOND = settings.STRIPE_PER_ENDPOINT = 20
    got: dict[str, list[float]] = {"page": [], "worker": [], "list": []}
    start = time.monotonic()

    def ask(who: str, endpoint: str, patience: limiter.Patience) -> None:
        got[who].append(limiter.book(endpoint, patience) - start)

    with ThreadPoolExecutor(60) as pool:
        for _ in range(40):
            pool.submit(_closing, lambda: ask("worker", "confirm", limiter.WORKER))
        for _ in range(3):
            pool.submit(_closing, lambda: ask("list", "list payments", limiter.LIST))
        time.sleep(0.3)
        pressed = time.monotonic() - start
        for _ in range(8):
            pool.submit(_closing, lambda: ask("page", "create", limiter.PAGE))
    assert {who: len(moments) for who, moments in got.items()} == {"page": 8, "worker": 40, "list": 3}
    # Those in front had booked a moment ahead at most; the rest of the workers came after the pages.
    assert max(got["page"]) - pressed < 1.6
    assert sum(moment > max(got["page"]) for moment in got["worker"]) >= 10
    assert max(got["list"]) > max(got["page"])
    assert _busiest([moment for moments in got.values() for moment in moments]) <= 24


def test_a_page_that_would_have_to_wait_too_long_is_told_at_once_and_nothing_was_sent(
    rehearsal: Rehearsal, transactional_db: None, settings: Any
) -> None:
    settings.STRIPE_PER_SECOND = settings.STRIPE_PER_ENDPOINT = 2
    for _ in range(5):
        limiter.book("create", limiter.PAGE)
    before, began = len(rehearsal.requests), time.monotonic()
    with pytest.raises(NotAsked) as busy:
        gateway.for_page().create(key="k:create", amount=5400, metadata={})
    assert time.monotonic() - began < 2.5
    assert busy.value.again_in > 0
    assert len(rehearsal.requests) == before


def test_who_waits_in_line_holds_no_connection(transactional_db: None, settings: Any) -> None:
    """A pool of four connections and twenty threads: whoever books must always find one."""
    settings.STRIPE_PER_SECOND = settings.STRIPE_PER_ENDPOINT = 40
    done: list[float] = []

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        done.append(limiter.book("confirm", limiter.WORKER))
        let_go()

    threads = [threading.Thread(target=_closing, args=(ask,)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert len(done) == 30


def test_after_a_crash_of_the_database_the_empty_row_is_made_anew(transactional_db: None, settings: Any) -> None:
    settings.STRIPE_PER_SECOND = settings.STRIPE_PER_ENDPOINT = 20
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'gateways_gate'")
        assert cursor.fetchone() == ("u",)
        cursor.execute("TRUNCATE gateways_gate")
    assert limiter.book("create", limiter.PAGE) > 0
