"""Every call to Stripe times every way in which its answer can be lost: unknown is never "failed", and looked at first.

The table is generated: create, update, confirm, look and cancel, each with every fault of the rehearsal.
"""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
from django.test import Client
from django.utils import timezone

from rehearsal import Fault
from rehearsal.api import Rehearsal
from rehearsal.faults import FaultKind
from tests import shop
from todoku.bad_news import Unavailable
from todoku.cart import fill
from todoku.catalog.models import Product
from todoku.gateways import stripe as gateway
from todoku.gateways.gateway import Refused
from todoku.notify.models import Case
from todoku.order import links
from todoku.order.models import Order, Status
from todoku.payment.models import Attempt, Intent, Outcome
from todoku.payment.prepare import prepare
from todoku.quote import ask

CREATE, INTENT = "/v1/payment_intents", "/v1/payment_intents/pi_*"
THREE_D_SECURE = "4000002760003184"
#: A definite no, and a bank that takes its time, leave nothing unknown.
KINDS = [kind for kind in get_args(FaultKind) if kind not in ("not_available", "processing")]
KEPT = ("error_before", "error_after")


@pytest.fixture(autouse=True)
def _steady(monkeypatch: pytest.MonkeyPatch, rehearsal: Rehearsal) -> None:
    """What is too slow is too slow at once, and the flow's waits are as long as they can be."""
    rehearsal._sleep = lambda seconds: None
    monkeypatch.setattr(random, "random", lambda: 1.0)


def _break(rehearsal: Rehearsal, kind: Any, path: str, method: str = "POST", times: int | None = None) -> None:
    rehearsal.faults.set(
        Fault(kind, method=method, path=path, times=times, seconds=60 if kind.startswith("slow") else 0)
    )


def _asked(rehearsal: Rehearsal, since: int = 0) -> list[str]:
    return [
        one["method"] + " " + (one["path"].rpartition("/")[2] if one["method"] == "POST" else "look")
        for one in list(rehearsal.requests)[since:]
        if not one["browser"]
    ]


def _keys(rehearsal: Rehearsal, what: str) -> set[str]:
    return {one["key"] for one in rehearsal.requests if one["key"] and one["key"].split(":")[1] == what}


def _page(order: Order) -> str:
    visitor = Client()
    visitor.cookies["todoku_language"] = "en"
    answer = visitor.get(f"/orders/{links.token(order)}/", follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def _says_that_it_is_checking(order: Order) -> None:
    page = _page(order)
    assert "We are checking your payment" in page and "Please do not pay again." in page
    assert not any(word in page.lower() for word in ("failed", "declined", "not paid", "error"))


def _arrives(rehearsal: Rehearsal, order: Order) -> None:
    shop.work_off()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert shop.charges(rehearsal)[0]["amount"] == order.total
    assert not Case.objects.filter(closed_at=None).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_create_without_an_answer_charges_nothing_and_goes_on_later(
    rehearsal: Rehearsal, crab: Product, kind: str
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = ask.quote(cart)
    _break(rehearsal, kind, CREATE)
    with pytest.raises(Unavailable):
        prepare(quote)
    assert not Intent.objects.filter(ready=True).exists()
    rehearsal.faults.clear()

    order = shop.press(rehearsal, cart, shop.agree(cart)).order  # type: ignore[union-attr]
    # A failure that is kept would come back under its key for a day; every other key stays.
    assert len(_keys(rehearsal, "create")) == (2 if kind in KEPT else 1)
    _arrives(rehearsal, order)


@pytest.mark.parametrize("kind", KINDS)
def test_update_without_an_answer_never_leaves_an_order_over_another_amount(
    rehearsal: Rehearsal, crab: Product, kind: str
) -> None:
    cart = shop.fill_cart((crab, 1))
    shop.agree(cart)
    fill.change(cart.shopper, crab.sku, 2)
    quote = ask.quote(cart)
    _break(rehearsal, kind, INTENT)
    with pytest.raises(Unavailable):
        prepare(quote)
    assert not Intent.objects.filter(quote=quote, ready=True).exists()
    rehearsal.faults.clear()

    order = shop.press(rehearsal, cart, shop.agree(cart)).order  # type: ignore[union-attr]
    held = {one["id"]: one["amount"] for one in shop.stripe_payments(rehearsal)}
    assert order.total == order.intent.amount == held[order.intent.stripe_id] > 5400
    # Under a key whose failure is kept nothing can be learned: the quote has got an intent of its own.
    assert len(held) == (2 if kind in KEPT else 1)
    _arrives(rehearsal, order)


@pytest.mark.parametrize("kind", KINDS)
def test_confirm_without_an_answer_is_being_checked_and_looked_at_first(
    rehearsal: Rehearsal, crab: Product, kind: str
) -> None:
    order = shop.order_one(rehearsal, crab)
    _break(rehearsal, kind, f"{INTENT}/confirm")
    shop.work_off(hurry=False)
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.asked_at is not None) == (Outcome.ASKED, True)
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    _says_that_it_is_checking(order)

    rehearsal.faults.clear()
    before = len(rehearsal.requests)
    if kind == "error_before":
        # Asked once more under its key, Stripe says again that it failed: a cancel has a definite answer.
        shop.work_off()
        assert _asked(rehearsal, before) == ["GET look", "POST confirm", "GET look", "POST cancel"]
        assert (Order.objects.get().status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))
        assert shop.charges(rehearsal) == []
    else:
        _arrives(rehearsal, order)
        assert _asked(rehearsal, before)[0] == "GET look"
        assert not _keys(rehearsal, "cancel")
    assert _keys(rehearsal, "confirm") == {f"{attempt.key}:confirm"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_without_an_answer_asks_for_nothing(rehearsal: Rehearsal, crab: Product, kind: str) -> None:
    order = shop.order_one(rehearsal, crab)
    _break(rehearsal, "drop_before", f"{INTENT}/confirm", times=3)
    shop.work_off(hurry=False)
    _break(rehearsal, kind, INTENT, method="GET")
    before = len(rehearsal.requests)
    _one_more_try()
    assert set(_asked(rehearsal, before)) == {"GET look"}
    assert Attempt.objects.get().outcome == Outcome.ASKED
    _says_that_it_is_checking(order)
    rehearsal.faults.clear()
    _arrives(rehearsal, order)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_without_an_answer_keeps_the_stock_until_stripe_has_said_yes(
    rehearsal: Rehearsal, crab: Product, kind: str
) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off(hurry=False)
    Order.objects.update(pay_by=timezone.now(), next_look_at=timezone.now())
    _break(rehearsal, kind, f"{INTENT}/cancel")
    from todoku.engines.poller import look_again

    look_again()
    shop.work_off(hurry=False)
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert not any(word in _page(order).lower() for word in ("failed", "declined", "canceled"))

    rehearsal.faults.clear()
    before = len(rehearsal.requests)
    shop.work_off()
    assert _asked(rehearsal, before)[0] == "GET look"
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))
    assert (shop.charges(rehearsal), Case.objects.filter(closed_at=None).count()) == ([], 0)


def _one_more_try() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'")
    shop.work_off(hurry=False)


# A payment that comes through late ------------------------------------------------------------------------------------


def test_a_charge_that_comes_through_after_the_cancel_was_refused_is_found(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    _break(rehearsal, "error_before", f"{INTENT}/confirm", times=1)
    _break(rehearsal, "not_available", f"{INTENT}/cancel", times=1)
    shop.work_off(hurry=False)
    _one_more_try()
    assert (Attempt.objects.get().outcome, shop.levels(crab)) == (Outcome.ASKED, (9, 1, 0))
    _says_that_it_is_checking(order)

    # Stripe rolls its half-done work forward.
    gateway.for_worker().confirm(
        str(order.intent.stripe_id),
        key="by-stripe-itself:confirm",
        confirmation_token=Attempt.objects.get().confirmation_token,
        return_url="http://127.0.0.1:8000/back/",
    )
    _arrives(rehearsal, order)
    assert len(_keys(rehearsal, "cancel")) == 1


def test_a_cancel_that_was_refused_is_asked_again_under_another_key(rehearsal: Rehearsal, crab: Product) -> None:
    # Stripe keeps the refusal under its key for a day: the same key would never hear anything else.
    shop.order_one(rehearsal, crab)
    _break(rehearsal, "error_before", f"{INTENT}/confirm", times=1)
    _break(rehearsal, "not_available", f"{INTENT}/cancel", times=1)
    shop.work_off()
    attempt = Attempt.objects.get()
    assert Order.objects.get().status == Status.CANCELED
    assert _keys(rehearsal, "cancel") == {f"{attempt.key}:cancel", f"{attempt.key}:cancel:1"}


@pytest.mark.parametrize("what", ["authentication", "konbini"])
def test_a_kept_failure_of_a_confirm_that_had_worked_waits_for_the_customer(
    rehearsal: Rehearsal, crab: Product, what: str
) -> None:
    if what == "konbini":
        order = shop.order_at_konbini(rehearsal, crab)
    else:
        order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    _break(rehearsal, "error_after", f"{INTENT}/confirm", times=1)
    shop.work_off()
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.waits_for) == (Outcome.WAITING, what)
    assert not _keys(rehearsal, "cancel")
    assert Order.objects.get(pk=order.pk).status == Status.PLACED


# The network ---------------------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[], object]] = {
    "create": lambda: gateway.for_page().create(key="k:create", amount=5400, metadata={}),
    "update": lambda: gateway.for_page().update("pi_1", key="k:update", amount=5400, metadata={}),
    "look": lambda: gateway.for_worker().look("pi_1"),
    "confirm": lambda: gateway.for_worker().confirm(
        "pi_1", key="k:confirm", confirmation_token="ctoken_12345678", return_url="http://127.0.0.1/back/"
    ),
    "cancel": lambda: gateway.for_worker().cancel("pi_1", key="k:cancel"),
    "list": lambda: list(gateway.for_worker().payments(since=timezone.now())),
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Addresses at which Stripe cannot be reached, each in its own way."""
    mute, rude, closed = (socket.create_server(("127.0.0.1", 0)) for _ in range(3))
    shut_port = closed.getsockname()[1]
    closed.close()
    held: list[socket.socket] = []

    def answer(server: socket.socket, act: Callable[[socket.socket], object]) -> None:
        while True:
            try:
                act(server.accept()[0])
            except OSError:
                return

    def hang_up(caller: socket.socket) -> None:
        caller.recv(10)
        caller.close()

    threading.Thread(target=answer, args=(mute, held.append), daemon=True).start()
    threading.Thread(target=answer, args=(rude, hang_up), daemon=True).start()
    yield {
        "refused": f"http://127.0.0.1:{shut_port}",
        "silence": f"http://127.0.0.1:{mute.getsockname()[1]}",
        "hangs up": f"http://127.0.0.1:{rude.getsockname()[1]}",
        "no TLS": f"https://127.0.0.1:{rude.getsockname()[1]}",
        "no such name": "https://api.stripe.invalid",
    }
    for one in (mute, rude, *held):
        one.close()


@pytest.mark.parametrize(
    ("call", "how"), list(itertools.product(CALLS, ["refused", "silence", "hangs up", "no TLS", "no such name"]))
)
def test_a_network_that_fails_leaves_the_outcome_unknown(
    servers: dict[str, str], settings: Any, monkeypatch: pytest.MonkeyPatch, call: str, how: str
) -> None:
    settings.STRIPE_BREAKER = False
    settings.STRIPE = replace(settings.STRIPE, api=servers[how])
    settings.STRIPE_HTTP_CLIENT = "todoku.gateways.stripe.requests_client"
    monkeypatch.setattr(gateway, "PAGE_TIMEOUT", 0.2)
    monkeypatch.setattr(gateway, "WORKER_TIMEOUT", 0.2)
    monkeypatch.setattr("stripe.HTTPClient.INITIAL_DELAY", 0.01)
    monkeypatch.setattr("stripe.HTTPClient.MAX_DELAY", 0.01)
    gateway.forget()
    try:
        with pytest.raises(Unavailable) as unknown:
            CALLS[call]()
        assert not isinstance(unknown.value, Refused)
        assert "sk_test" not in str(unknown.value)
    finally:
        gateway.forget()
