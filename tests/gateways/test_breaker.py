"""The breaker: while Stripe is away nobody hangs, nothing is ordered in vain, and the first answer opens the shop."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from rehearsal import Fault
from rehearsal.api import Rehearsal
from tests import shop
from tests.gateways.passing import let_pass
from tests.gateways.test_limiter import HOUSE
from todoku.bad_news import Unavailable
from todoku.catalog.models import Product
from todoku.engines.watch import watch
from todoku.gateways import breaker
from todoku.gateways import stripe as gateway
from todoku.gateways.gateway import NotAsked, Refused
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.payment.prepare import prepare
from todoku.quote import ask
from todoku.quote.models import Draft

DETAILS = {**shop.HANAKO, "phone": "090-1234-5678"}
AWAY = Fault("drop_before", method="*", path="/v1/payment_intents*", times=None)


@pytest.fixture
def shopper(crab: Product) -> Client:
    """A shopper with a crab in the cart."""
    visitor = Client()
    visitor.cookies["todoku_language"] = "en"
    visitor.post("/cart/put/", {"sku": crab.sku, "quantity": "1"}, follow=True)
    return visitor


def _shut(rehearsal: Rehearsal) -> None:
    rehearsal.faults.set(AWAY)
    for _ in range(breaker.SHUT_AFTER):
        with pytest.raises(Unavailable):
            gateway.for_worker().look("pi_1")
    assert breaker.is_shut()


def _sent(rehearsal: Rehearsal) -> int:
    return len([one for one in rehearsal.requests if not one["browser"]])


def test_the_details_page_says_at_once_that_stripe_is_away_and_keeps_what_was_typed(
    rehearsal: Rehearsal, shopper: Client
) -> None:
    _shut(rehearsal)
    before = _sent(rehearsal)
    answer = shopper.post("/checkout/details/", DETAILS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    page = answer.content.decode()
    assert "We cannot reach the payment service just now. You have not been charged" in page
    assert "北一条西2丁目" in page and Draft.objects.get().street == "北一条西2丁目"
    assert _sent(rehearsal) == before

    rehearsal.faults.clear()
    let_pass(rehearsal, timedelta(seconds=6))
    watch()
    assert shopper.post("/checkout/details/", DETAILS).status_code in (302, 303)


def test_a_press_is_refused_before_an_order_is_placed_and_the_confirm_page_says_why(
    rehearsal: Rehearsal, shopper: Client, crab: Product
) -> None:
    shopper.post("/checkout/details/", DETAILS)
    confirm = shopper.get("/checkout/confirm/")
    quote = confirm.context["quote"].pk
    _shut(rehearsal)
    pressed = {"quote": quote, "confirmation_token": shop.type_card(rehearsal)}
    answer = shopper.post("/checkout/place/", pressed, follow=True)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
    assert "You have not been charged" in answer.content.decode()
    assert (Order.objects.count(), shop.levels(crab)) == (0, (10, 0, 0))

    # The same press, when Stripe is back, is an order.
    rehearsal.faults.clear()
    breaker.heard()
    shopper.post("/checkout/place/", pressed, follow=True)
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE


def test_a_second_press_of_an_order_in_payment_still_leads_to_that_order(rehearsal: Rehearsal, shopper: Client) -> None:
    shopper.post("/checkout/details/", DETAILS)
    quote = shopper.get("/checkout/confirm/").context["quote"].pk
    pressed = {"quote": quote, "confirmation_token": shop.type_card(rehearsal)}
    first = shopper.post("/checkout/place/", pressed)
    _shut(rehearsal)
    assert shopper.post("/checkout/place/", pressed).headers["Location"] == first.headers["Location"]
    assert Order.objects.count() == 1


def test_control_without_the_breaker_every_page_waits_for_stripe(
    rehearsal: Rehearsal, crab: Product, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "PAGE_TIMEOUT", 0.3)
    gateway.forget()
    rehearsal.faults.set(Fault("slow_before", path="/v1/payment_intents*", times=None, seconds=60))
    waited: dict[bool, list[float]] = {True: [], False: []}
    for on in (False, True):
        settings.STRIPE_BREAKER = on
        for _ in range(breaker.SHUT_AFTER + 3):
            quote = ask.quote(shop.fill_cart((crab, 1)))
            began = time.monotonic()
            with pytest.raises(Unavailable):
                prepare(quote)
            waited[on].append(time.monotonic() - began)
    assert min(waited[False]) >= 0.3
    assert min(waited[True][: breaker.SHUT_AFTER]) >= 0.3
    assert max(waited[True][breaker.SHUT_AFTER :]) < 0.2


def test_a_page_is_answered_within_ten_seconds_whatever_the_network_does() -> None:
    from todoku.gateways import limiter

    connect, read = gateway.requests_client(gateway.PAGE_TIMEOUT)._timeout  # type: ignore[attr-defined]
    assert limiter.PAGE.gives_up + connect + read <= 10
    # A second request is sent only after a quick failure, and then never waits longer than the first might have.
    assert limiter.PAGE.gives_up >= gateway.PAGE_SENDS_AGAIN_WITHIN


def test_workers_are_never_refused_and_their_first_answer_opens_the_gate(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    _shut(rehearsal)
    with pytest.raises(NotAsked):
        prepare(ask.quote(shop.fill_cart((crab, 1))))
    rehearsal.faults.clear()
    shop.work_off()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert not breaker.is_shut()


def test_one_probe_at_a_time_and_a_page_probes_only_where_no_worker_does(rehearsal: Rehearsal, crab: Product) -> None:
    _shut(rehearsal)
    assert [breaker.claim_probe(breaker.PROBE_EVERY) for _ in range(3)] == [False] * 3
    let_pass(rehearsal, timedelta(seconds=6))
    assert [breaker.claim_probe(breaker.PROBE_EVERY) for _ in range(3)] == [True, False, False]

    let_pass(rehearsal, timedelta(seconds=21))
    before = _sent(rehearsal)
    for _ in range(4):
        with pytest.raises(Unavailable):
            prepare(ask.quote(shop.fill_cart((crab, 1))))
    assert _sent(rehearsal) - before == 2  # one page's call, which the SDK sent twice
    rehearsal.faults.clear()
    let_pass(rehearsal, timedelta(seconds=21))
    assert prepare(ask.quote(shop.fill_cart((crab, 1)))).ready
    assert not breaker.is_shut()


def test_what_is_an_answer_shuts_nothing(rehearsal: Rehearsal, crab: Product) -> None:
    intent = gateway.for_page().create(key="k:create", amount=5400, metadata={}).id
    for kind in ("rate_limit", "conflict", "lock_timeout"):
        rehearsal.faults.set(Fault(kind, method="GET", path="/v1/payment_intents/*", times=None))  # type: ignore[arg-type]
        for _ in range(breaker.SHUT_AFTER + 1):
            with pytest.raises(Unavailable):
                gateway.for_worker().look(intent)
        rehearsal.faults.clear()
    for _ in range(breaker.SHUT_AFTER + 1):
        with pytest.raises(Refused):
            gateway.for_worker().look("pi_unknown")
    for _ in range(breaker.SHUT_AFTER + 1):
        shop.order_one(rehearsal, crab, number=shop.DECLINED)
    shop.work_off()
    assert breaker.standing() == breaker.Standing()


def test_processes_share_what_they_know(rehearsal: Rehearsal, transactional_db: None) -> None:
    _shut(rehearsal)
    code = (
        "import os, sys, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'tests.settings'; django.setup();"
        "from django.conf import settings; settings.DATABASES['default']['NAME'] = sys.argv[1];"
        "from todoku.gateways import breaker; print(breaker.is_shut()); breaker.heard(); print(breaker.is_shut())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(connection.settings_dict["NAME"])],
        capture_output=True, text=True, cwd=HOUSE, timeout=60, check=True,
    )  # fmt: skip
    assert said.stdout.split() == ["True", "False"]
    time.sleep(breaker.FRESH_FOR + 0.1)
    assert not breaker.is_shut()


def test_the_console_and_the_log_say_that_stripe_is_away(
    rehearsal: Rehearsal, transactional_db: None, caplog: pytest.LogCaptureFixture
) -> None:
    _shut(rehearsal)
    assert [record.getMessage() for record in caplog.records if record.name == "todoku.gateways.breaker"] == [
        "Stripe has not answered 5 times; new checkouts are refused until it does"
    ]
    watch()
    assert not Case.objects.exists()
    for _ in range(3):
        let_pass(rehearsal, timedelta(minutes=3))
        watch()
    case = Case.objects.get()
    assert (case.code, case.order, case.failures, case.about.startswith("Stripe 20")) == ("stripe_away", None, 1, True)
    rehearsal.faults.clear()
    let_pass(rehearsal, timedelta(seconds=6))
    watch()
    case.refresh_from_db()
    assert (case.closed_by, breaker.is_shut()) == ("Todoku", False)
