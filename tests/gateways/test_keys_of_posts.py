"""Every POST has a key that comes from a row committed before the call, and one unknown outcome never pays twice."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from rehearsal import Fault
from rehearsal.answer import Answer, Request
from rehearsal.api import Rehearsal
from tests import shop
from tests.gateways.passing import let_pass
from todoku.bad_news import Unavailable
from todoku.cart import fill
from todoku.catalog.models import Product
from todoku.engines.embedded import Embedded
from todoku.engines.poller import look_again
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.order.place import Placed
from todoku.payment.models import Attempt, Intent, Outcome
from todoku.payment.prepare import prepare
from todoku.quote import ask

CONFIRM = "/v1/payment_intents/*/confirm"
THREE_D_SECURE = "4000002760003184"


@pytest.fixture
def second_connection(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    """Another session of the database: it sees only what is committed."""
    known = connection.settings_dict
    opened = psycopg.connect(
        host=known["HOST"], port=known["PORT"] or None, user=known["USER"], dbname=known["NAME"], autocommit=True
    )
    yield opened
    opened.close()


def _posts(rehearsal: Rehearsal) -> list[tuple[str, str]]:
    """The shop's POSTs: what was asked, and under which key."""
    return [
        (asked["path"].rpartition("/")[2], asked["key"])
        for asked in rehearsal.requests
        if asked["method"] == "POST" and not asked["browser"]
    ]


def _confirm_keys(rehearsal: Rehearsal) -> list[str]:
    return [key for what, key in _posts(rehearsal) if what == "confirm"]


def test_in_a_whole_purchase_every_post_has_a_key_from_a_row_that_was_committed_before(
    rehearsal: Rehearsal, crab: Product, second_connection: psycopg.Connection[Any]
) -> None:
    checked: list[str] = []

    def check(request: Request, _answer: Answer) -> None:
        if request.method != "POST" or request.publishable:
            return
        key = request.idempotency_key
        assert key is not None, request.path
        row, what, *more = key.split(":")
        if what in ("create", "update"):
            found = second_connection.execute(
                "SELECT amount, ready, quote_id FROM payment_intent WHERE id = %s", [uuid.UUID(row)]
            ).fetchone()
            assert found is not None, key
            assert (found[0], found[1]) == (int(request.params["amount"]), False), key
            assert more == ([] if what == "create" else [str(found[2])]), key
        else:
            found = second_connection.execute(
                "SELECT outcome, asked_at, confirmation_token FROM payment_attempt WHERE key = %s", [uuid.UUID(row)]
            ).fetchone()
            assert found is not None, key
            if what == "confirm":
                assert (found[0], found[1] is not None) == ("asked", True), key
                assert found[2] == request.params["confirmation_token"], key
        checked.append(what)

    rehearsal.observers.append(check)
    cart = shop.fill_cart((crab, 1))
    shop.agree(cart)
    fill.change(cart.shopper, crab.sku, 2)
    quote = shop.agree(cart)  # the quote changed: the intent is updated
    shop.press(rehearsal, cart, quote, shop.DECLINED)
    shop.work_off()
    shop.press(rehearsal, cart, quote, THREE_D_SECURE)
    shop.work_off()
    order = Order.objects.get()
    rehearsal.authenticate(order.intent.stripe_id, passed=False)
    Embedded().play("checkout", order, knock="return")
    shop.work_off()
    shop.press(rehearsal, cart, quote, shop.VISA)
    shop.work_off()
    canceled = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    Order.objects.filter(pk=canceled.pk).update(pay_by=timezone.now())
    shop.work_off()

    order.refresh_from_db()
    assert (order.status, order.attempts, order.total) == (Status.COMPLETE, 3, 10400)
    assert Order.objects.get(pk=canceled.pk).status == Status.CANCELED
    assert checked == ["create", "update", "confirm", "confirm", "confirm", "create", "cancel"]
    assert len({key for _, key in _posts(rehearsal)}) == len(checked)
    assert len(shop.charges(rehearsal)) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("drop_before", path=CONFIRM, times=4),
        Fault("drop_after", path=CONFIRM, times=1),
        Fault("drop_after", path=CONFIRM, times=4),
        Fault("error_after", path=CONFIRM, times=1),
        Fault("malformed", path=CONFIRM, times=1),
        Fault("bad_gateway", path=CONFIRM, times=4),
        Fault("rate_limit", path=CONFIRM, times=2),
        Fault("conflict", path=CONFIRM, times=4),
        Fault("slow_before", path=CONFIRM, times=2, seconds=60),
        Fault("slow_after", path=CONFIRM, times=2, seconds=60),
        Fault("drop_before", method="GET", path="/v1/payment_intents/*", times=4),
    ],
    ids=lambda fault: f"{fault.kind} {fault.times} {fault.method}",
)
def test_one_unknown_outcome_keeps_its_key_and_pays_once(rehearsal: Rehearsal, crab: Product, fault: Fault) -> None:
    rehearsal._sleep = lambda seconds: None  # a virtual wait: what is too slow is too slow at once
    order = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(fault)
    if fault.method == "GET":
        rehearsal.faults.set(Fault("drop_after", path=CONFIRM, times=3))
    shop.work_off()

    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    attempt = Attempt.objects.get()
    assert set(_confirm_keys(rehearsal)) == {f"{attempt.key}:confirm"}
    assert (attempt.outcome, attempt.card_last4) == (Outcome.PAID, "4242")
    assert shop.levels(crab) == (9, 0, 1)
    assert not Case.objects.filter(closed_at=None).exists()


@pytest.mark.parametrize("kind", ["drop_after", "malformed", "bad_gateway"])
def test_a_decline_whose_answer_was_lost_is_heard_under_the_same_key(
    rehearsal: Rehearsal, crab: Product, kind: Any
) -> None:
    shop.order_one(rehearsal, crab, number=shop.DECLINED)
    rehearsal.faults.set(Fault(kind, path=CONFIRM, times=4))
    shop.work_off()
    order = Order.objects.get()
    assert (order.status, order.setback) == (Status.NOT_PAID, {"outcome": "declined", "reason": "declined"})
    assert len(set(_confirm_keys(rehearsal))) == 1
    assert [charge["status"] for charge in rehearsal.rows("charges")] == ["failed"]
    assert shop.levels(crab) == (10, 0, 0)


def test_a_decline_ends_the_attempt_and_the_next_card_has_another_key(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    for card in (shop.DECLINED, "4000000000009995", shop.VISA):
        assert isinstance(shop.press(rehearsal, cart, quote, card), Placed)
        shop.work_off()
    attempts = list(Attempt.objects.order_by("number"))
    assert [(one.number, one.outcome, one.decline_code) for one in attempts] == [
        (1, "declined", "generic_decline"),
        (2, "declined", "insufficient_funds"),
        (3, "paid", ""),
    ]
    assert _confirm_keys(rehearsal) == [f"{one.key}:confirm" for one in attempts]
    assert (Order.objects.count(), Intent.objects.count(), len(shop.charges(rehearsal))) == (1, 1, 1)


def test_a_500_that_stripe_keeps_under_the_key_is_answered_with_a_cancel(rehearsal: Rehearsal, crab: Product) -> None:
    shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("error_before", path=CONFIRM))
    shop.work_off()
    assert len(set(_confirm_keys(rehearsal))) == 1
    order = Order.objects.get()
    assert (order.status, order.setback) == (Status.CANCELED, {"outcome": "canceled", "reason": "unanswered"})
    assert (Case.objects.count(), shop.charges(rehearsal)) == (0, [])
    assert [one["status"] for one in shop.stripe_payments(rehearsal)] == ["canceled"]
    assert shop.levels(crab) == (10, 0, 0)


@pytest.mark.parametrize("was_paid", [False, True], ids=["nothing was done", "it was paid"])
def test_after_23_hours_nothing_is_posted_again_without_looking(
    rehearsal: Rehearsal, crab: Product, was_paid: bool
) -> None:
    order = shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("drop_after" if was_paid else "drop_before", path=CONFIRM, times=3))
    shop.work_off(hurry=False)
    assert Attempt.objects.get().outcome == Outcome.ASKED

    # The workers were off for a day, and Stripe has forgotten the key.
    rehearsal.advance(25 * 3600)
    Attempt.objects.update(asked_at=timezone.now() - timedelta(hours=23, seconds=1))
    Order.objects.update(pay_by=timezone.now() + timedelta(hours=1))
    before = len(rehearsal.requests)
    shop.work_off()

    asked = [f"{one['method']} {one['path'].rpartition('/')[2][:7]}" for one in list(rehearsal.requests)[before:]]
    look = f"GET {order.intent.stripe_id[:7]}"
    if was_paid:
        assert asked == [look]
        assert Order.objects.get().status == Status.COMPLETE
        assert len(shop.charges(rehearsal)) == 1
    else:
        assert asked == [look, "POST cancel"]
        assert Order.objects.get().status == Status.CANCELED
        assert (shop.charges(rehearsal), shop.levels(crab)) == ([], (10, 0, 0))


@pytest.mark.parametrize(
    ("hours", "status", "setback"),
    [
        (11, Status.COMPLETE, None),
        # The card's token lives for twelve hours; the shopper has to type the card again.
        (22, Status.NOT_PAID, {"outcome": "declined", "reason": "reenter"}),
    ],
)
def test_within_23_hours_it_is_posted_again_under_its_key(
    rehearsal: Rehearsal, crab: Product, hours: int, status: str, setback: dict[str, str] | None
) -> None:
    shop.order_one(rehearsal, crab)
    rehearsal.faults.set(Fault("drop_before", path=CONFIRM, times=3))
    shop.work_off(hurry=False)
    rehearsal.advance(hours * 3600)
    Attempt.objects.update(asked_at=timezone.now() - timedelta(hours=hours))
    Order.objects.update(pay_by=timezone.now() + timedelta(hours=1))
    shop.work_off()
    order = Order.objects.get()
    assert (order.status, order.setback) == (status, setback)
    assert len(_confirm_keys(rehearsal)) == 4
    assert len(set(_confirm_keys(rehearsal))) == 1


def test_an_intent_whose_creation_got_no_answer_is_found_again_under_its_key(
    rehearsal: Rehearsal, crab: Product
) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = ask.quote(cart)
    rehearsal.faults.set(Fault("drop_after", path="/v1/payment_intents", times=2))
    with pytest.raises(Unavailable):
        prepare(quote)
    assert Intent.objects.get().stripe_id is None
    intent = prepare(quote)
    assert len(shop.stripe_payments(rehearsal)) == 1
    assert intent.stripe_id == shop.stripe_payments(rehearsal)[0]["id"]
    assert {key for _, key in _posts(rehearsal)} == {f"{intent.pk}:create"}


# The money and the order do not agree --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"amount": 5000}, "paid 5000 of 5000 yen, the order is over 5400"),
        ({"currency": "usd"}, "paid in usd, the order is in yen"),
        ({"livemode": True}, "livemode is True, the shop runs with False"),
    ],
    ids=["amount", "currency", "livemode"],
)
def test_money_that_does_not_match_the_order_waits_for_a_person_and_is_never_lost(
    rehearsal: Rehearsal, crab: Product, change: dict[str, Any], why: str
) -> None:
    order = shop.order_one(rehearsal, crab)
    rehearsal.store.change("payment_intents", order.intent.stripe_id, **change)
    shop.work_off()

    case = Case.objects.get()
    assert (case.code, case.step) == ("amount_mismatch", "TakePayment")
    assert case.why == f"The money does not match the order: {why}."
    order = Order.objects.get(pk=order.pk)
    assert (order.status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert not order.ledger.filter(step__in=["TakePayment", "RecordOrder"]).exists()
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.card_last4, attempt.charge) == (
        Outcome.PAID,
        "4242",
        rehearsal.rows("charges")[0]["id"],
    )

    # However often the poller looks, past the deadline too: nothing is canceled, and the bell rings once.
    from django.core import mail

    for _ in range(3):
        Order.objects.update(pay_by=timezone.now(), next_look_at=timezone.now())
        look_again()
        shop.work_off()
    case.refresh_from_db()
    assert (case.failures, case.closed_at, len(mail.outbox)) == (4, None, 1)
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))
    assert [one["status"] for one in shop.stripe_payments(rehearsal)] == ["succeeded"]


def test_a_key_that_stands_for_another_request_is_not_a_decline(
    rehearsal: Rehearsal, crab: Product, settings: Any
) -> None:
    # Stripe keeps a 500 under the key; before the next try the shop moves to another address.
    rehearsal.faults.set(Fault("error_before", path=CONFIRM))
    order = shop.order_one(rehearsal, crab)
    shop.work_off(hurry=False)
    settings.SITE_URL = "https://moved.example.jp"

    shop.work_off()

    # What became of the first request is not known: nobody is told "declined", and the stock stays held.
    order.refresh_from_db()
    assert order.status == Status.PLACED
    assert order.setback is None
    assert order.payment_attempts.get().outcome == Outcome.ASKED
    assert shop.levels(crab) == (9, 1, 0)
    assert Case.objects.get(order=order, closed_at=None).step == "TakePayment"


# Keys that Stripe may have forgotten ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["create", "update"])
def test_a_creation_or_an_update_is_not_posted_again_under_a_key_of_yesterday(
    rehearsal: Rehearsal, crab: Product, what: str
) -> None:
    cart = shop.fill_cart((crab, 1))
    if what == "update":
        shop.agree(cart)
        fill.change(cart.shopper, crab.sku, 2)
    quote = ask.quote(cart)
    rehearsal.faults.set(Fault("drop_after", path="/v1/payment_intents*", times=2))
    with pytest.raises(Unavailable):
        prepare(quote)
    let_pass(rehearsal, timedelta(hours=25))
    before = len(rehearsal.requests)
    intent = prepare(quote)
    # Nobody knows what became of the first one; it is never confirmed. The quote has an intent of its own.
    [posted] = [one for one in list(rehearsal.requests)[before:] if one["method"] == "POST"]
    assert posted["key"] == f"{intent.pk}:create"
    held = {one["id"]: one["amount"] for one in shop.stripe_payments(rehearsal)}
    assert (held[intent.stripe_id], len(held)) == (quote.total, 2)


def test_a_cancel_of_yesterday_is_asked_again_only_after_a_look(rehearsal: Rehearsal, crab: Product) -> None:
    shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    Order.objects.update(pay_by=timezone.now(), next_look_at=timezone.now())
    rehearsal.faults.set(Fault("drop_after", path="/v1/payment_intents/*/cancel", times=3))
    look_again()
    shop.work_off(hurry=False)
    assert shop.levels(crab) == (9, 1, 0)
    let_pass(rehearsal, timedelta(hours=25))
    before = len(rehearsal.requests)
    shop.work_off()
    assert [one["method"] for one in list(rehearsal.requests)[before:]] == ["GET"]
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.CANCELED, (10, 0, 0))
