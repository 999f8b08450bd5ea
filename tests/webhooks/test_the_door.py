"""The door that Stripe knocks on: who is let in, what is kept, and what a knock does."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from rehearsal.answer import Answer as StripesAnswer
from rehearsal.answer import Request
from rehearsal.api import Rehearsal
from rehearsal.deliveries import signature
from tests import shop
from tests.webhooks.sender import DOOR, SECRET
from tests.webhooks.sender import event as _event
from tests.webhooks.sender import knock as _knock
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.order.models import Order, Status
from todoku.webhooks.models import StripeEvent

THREE_D_SECURE = "4000002760003184"


# Who is let in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [0, 295, -295])
def test_a_good_signature_is_let_in(transactional_db: None, late: float) -> None:
    answer = _knock(_event(), late=late)
    assert (answer.status_code, json.loads(answer.content)) == (200, {"received": True, "used": False})
    assert StripeEvent.objects.get().event_id == "evt_1"


@pytest.mark.parametrize("late", [302, 3600, -302, -(10**9)])
def test_a_signature_that_is_too_old_or_from_the_future_is_refused(transactional_db: None, late: float) -> None:
    assert _knock(_event(), late=late).status_code == 400
    assert not StripeEvent.objects.exists()


def test_the_tolerance_is_300_seconds_to_the_second(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    from todoku.gateways import stripe as gateway

    class Still(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromtimestamp(1_800_000_000, UTC)

    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)
    monkeypatch.setattr(gateway, "datetime", Still)
    answers = {late: _knock(_event(id=f"evt_{late}"), late=late).status_code for late in (-301, -299, 299, 301)}
    assert answers == {-301: 400, -299: 200, 299: 200, 301: 400}


def test_a_signature_by_another_secret_or_of_another_body_is_refused(transactional_db: None) -> None:
    good = signature(json.dumps(_event()).encode(), SECRET, int(time.time()))
    stamp = good.partition(",")[0]
    assert _knock(_event(), secret="whsec_another").status_code == 400
    assert _knock(_event(id="evt_2"), sign=False, HTTP_STRIPE_SIGNATURE=good).status_code == 400
    for bad in ("", "nonsense", stamp, f"{stamp},v1=", f"{stamp},v0={'0' * 64}", f"t=x,{good}", "t=," * 900, "v1=é"):
        assert _knock(_event(), sign=False, HTTP_STRIPE_SIGNATURE=bad).status_code == 400, bad
    assert _knock(_event(), sign=False).status_code == 400
    assert not StripeEvent.objects.exists()


def test_both_secrets_are_good_while_they_are_rotated(transactional_db: None, settings: Any) -> None:
    settings.STRIPE = dataclasses.replace(settings.STRIPE, webhook_secrets=("whsec_new_one", "whsec_old_one"))
    assert _knock(_event(id="evt_new"), secret="whsec_new_one").status_code == 200
    assert _knock(_event(id="evt_old"), secret="whsec_old_one").status_code == 200
    assert _knock(_event(id="evt_first"), secret=SECRET).status_code == 400
    # During a rotation Stripe signs with both, in one header.
    raw = json.dumps(_event(id="evt_both")).encode()
    both = [signature(raw, secret, int(time.time())) for secret in ("whsec_gone", "whsec_new_one")]
    header = f"{both[0]},{both[1].partition(',')[2]}"
    assert _knock(raw, sign=False, HTTP_STRIPE_SIGNATURE=header).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not JSON", 400),
        (b"\xff\xfe\x00binary", 400),
        (b"[1, 2]", 400),
        (b'"evt_1"', 400),
        (b"null", 400),
        (b"9" * 5000, 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400),
        (b"x" * (256 * 1024 + 1), 413),
        (json.dumps({**_event(), "padding": "x" * 300_000}).encode(), 413),
        (json.dumps({**_event(), "id": None}).encode(), 400),
        (json.dumps({**_event(), "id": ""}).encode(), 400),
        (json.dumps({**_event(), "id": 7}).encode(), 400),
        (json.dumps({**_event(), "id": "evt_\x00"}).encode(), 400),
        (json.dumps({**_event(), "id": "evt_\ud800"}).encode(), 400),
        (json.dumps({**_event(), "id": "e" * 256}).encode(), 400),
        (json.dumps({**_event(), "type": ["payment_intent.succeeded"]}).encode(), 400),
        (json.dumps({**_event(), "data": [1]}).encode(), 400),
        (json.dumps({**_event(), "data": "text"}).encode(), 400),
        (json.dumps({**_event(), "data": {"object": "pi_1"}}).encode(), 400),
        (json.dumps({**_event(), "data": {"object": {"id": "pi_\x00"}}}).encode(), 400),
        (json.dumps({**_event(), "data": {"object": {"id": "ch_1", "payment_intent": "\ud800"}}}).encode(), 400),
    ],
)
def test_a_signed_body_that_is_no_event_is_refused_and_never_an_error_of_ours(
    transactional_db: None, body: bytes, status: int
) -> None:
    assert _knock(body).status_code == status
    assert not StripeEvent.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        _event(created="x"),
        _event(created=10**30),
        _event(created=-1),
        _event(created=None),
        _event(created=True),
        _event(data={}),
        _event(data=None),
        _event(data={"object": {"id": {"a": 1}}}),
        _event(data={"object": {"id": "x" * 5000}}),
        _event(type="x" * 200),
    ],
    ids=["text", "huge", "negative", "none", "true", "no object", "no data", "id an object", "id long", "type long"],
)
def test_a_strange_event_is_kept_as_far_as_it_can_be(transactional_db: None, body: Any) -> None:
    assert _knock(body).status_code == 200
    kept = StripeEvent.objects.get()
    assert kept.event_id == "evt_1" and len(kept.type) <= 100 and len(kept.object_id) <= 255


def test_duplicate_keys_in_a_body_do_no_harm(transactional_db: None) -> None:
    raw = b'{"id": "evt_a", "id": "evt_b", "type": "x", "livemode": false, "data": {"object": {"id": "pi_x"}}}'
    assert _knock(raw).status_code == 200
    assert StripeEvent.objects.get().event_id == "evt_b"


def test_a_lying_content_length_is_refused(transactional_db: None) -> None:
    for length in ("many", str(10**12)):
        answer = _knock(_event(), CONTENT_LENGTH=length)
        assert answer.status_code in (400, 413), length
    assert not StripeEvent.objects.exists()


@pytest.mark.parametrize("method", ["get", "put", "delete", "head", "options", "patch"])
def test_only_a_post_is_let_in(transactional_db: None, method: str) -> None:
    assert getattr(Client(), method)(DOOR).status_code == 405


# What is kept --------------------------------------------------------------------------------------------------------


def test_only_ids_are_kept_and_no_secret(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    shop.work_off()
    for row in rehearsal.rows("events"):
        assert _knock(row).status_code == 200
    assert StripeEvent.objects.count() == len(rehearsal.rows("events")) >= 3
    assert set(StripeEvent.objects.values_list("object_id", flat=True)) == {order.intent.stripe_id}
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(event::text, ' ') FROM webhooks_stripeevent AS event")
        kept = cursor.fetchone()[0]
    assert order.intent.client_secret
    for secret in ("_secret_", order.intent.client_secret, "hanako", "4242"):
        assert secret not in kept


def test_an_expanded_payment_intent_is_not_kept_whole(transactional_db: None) -> None:
    charge = {"id": "ch_1", "object": "charge", "payment_intent": {"id": "pi_7", "client_secret": "pi_7_secret_42"}}
    assert _knock(_event(type="charge.succeeded", data={"object": charge})).status_code == 200
    assert "secret" not in StripeEvent.objects.get().object_id


def test_another_mode_is_acknowledged_and_left_alone(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    answer = _knock(_event(order.intent.stripe_id or "", livemode=True))
    assert (answer.status_code, json.loads(answer.content)["used"]) == (200, False)
    assert not StripeEvent.objects.exists()
    assert Execution.objects.count() == 1


@pytest.mark.parametrize(
    ("type", "object_id"),
    [("payment_intent.succeeded", "pi_of_somebody_else"), ("customer.created", "cus_1"), ("brand.new.type", "x_1")],
)
def test_an_unknown_type_or_intent_is_kept_and_nothing_is_played(
    transactional_db: None, type: str, object_id: str
) -> None:
    answer = _knock(_event(object_id, type=type))
    assert (answer.status_code, json.loads(answer.content)) == (200, {"received": True, "used": False})
    kept = StripeEvent.objects.get()
    assert (kept.type, kept.object_id, kept.order) == (type, object_id, None)
    assert not Execution.objects.exists()


# What a knock does ---------------------------------------------------------------------------------------------------


def _plays(order: Order) -> list[tuple[str, str]]:
    return list(Execution.objects.filter(order=order).order_by("number").values_list("knock", "status"))


def test_a_knock_looks_at_stripe_and_does_not_believe_the_event(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    answer = _knock(_event(order.intent.stripe_id or "", type="payment_intent.succeeded"))
    assert json.loads(answer.content) == {"received": True, "used": True}
    shop.work_off()
    assert _plays(order) == [("press", "SUCCEEDED"), ("webhook", "SUCCEEDED")]
    assert Order.objects.get().status == Status.PLACED  # Stripe itself says that nobody has paid

    rehearsal.authenticate(order.intent.stripe_id or "")
    # The event that arrives says the opposite; what counts is Stripe's own word.
    _knock(_event(order.intent.stripe_id or "", id="evt_2", type="payment_intent.canceled"))
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


def test_the_same_event_twenty_times_at_once_is_one_row_and_one_knock(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    event = _event(order.intent.stripe_id or "")
    ready = threading.Barrier(20)

    def knock(_: int) -> tuple[int, bool]:
        try:
            ready.wait(timeout=20)
            answer = _knock(event)
            return answer.status_code, json.loads(answer.content)["used"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(knock, range(20)))

    assert sorted(answers) == [(200, False)] * 19 + [(200, True)]
    assert StripeEvent.objects.count() == 1
    assert _plays(order) == [("press", "SUCCEEDED"), ("webhook", "RUNNING")]
    assert Execution.objects.get(knock="webhook").knocked_at is None
    assert shop.waiting_jobs() == 1


def test_an_event_before_the_order_is_kept_and_the_order_finds_its_own_way(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    intent = shop.stripe_payments(rehearsal)[0]["id"]
    assert json.loads(_knock(_event(intent, type="payment_intent.created")).content)["used"] is False
    assert StripeEvent.objects.get().order is None
    shop.press(rehearsal, cart, quote)
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE


def test_events_after_the_end_do_nothing(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    shop.work_off()
    asked = len(rehearsal.requests)
    for number, row in enumerate(rehearsal.rows("events")):
        assert _knock(row).status_code == 200, number
    shop.work_off()
    assert _plays(order) == [("press", "SUCCEEDED")]
    assert len(rehearsal.requests) == asked
    assert StripeEvent.objects.exclude(order=order).count() == 0


def test_an_event_during_the_play_costs_no_second_charge(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab)
    answers: list[int] = []

    def knock(request: Request, _answer: StripesAnswer) -> None:
        # Stripe's event is faster than its answer.
        if request.path.endswith("/confirm"):
            answers.append(_knock(_event(order.intent.stripe_id or "")).status_code)

    rehearsal.observers.append(knock)
    shop.work_off()
    assert answers == [200]
    assert _plays(order) == [("press", "SUCCEEDED")]
    assert Order.objects.get().status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


# When it cannot be kept ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["webhooks_stripeevent", "engines_execution", "procrastinate_jobs"])
def test_an_event_that_cannot_be_stored_is_asked_for_again_and_nothing_of_it_stays(
    rehearsal: Rehearsal, crab: Product, table: str
) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    locked, enough = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                locked.set()
                enough.wait(20)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(20)
    event = _event(order.intent.stripe_id or "")
    try:
        answer = _with_short_locks(event)
    finally:
        enough.set()
        holder.join()
    assert answer.status_code == 503
    assert not StripeEvent.objects.exists()
    assert _plays(order) == [("press", "SUCCEEDED")]

    assert json.loads(_knock(event).content) == {"received": True, "used": True}


def _with_short_locks(event: Any) -> Any:
    """Knock with a session that waits for a lock only for a moment."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    try:
        return _knock(event)
    finally:
        connection.close()


def test_a_database_that_refuses_every_connection_is_a_503(rehearsal: Rehearsal, crab: Product) -> None:
    order = shop.order_one(rehearsal, crab, number=THREE_D_SECURE)
    shop.work_off()
    with connection.cursor() as cursor:
        # The next statement of this session dies with its connection.
        cursor.execute("SELECT pg_backend_pid()")
        mine = cursor.fetchone()[0]

    def end() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [mine])
        finally:
            connections.close_all()

    ender = threading.Thread(target=end)
    ender.start()
    ender.join()
    answer = _knock(_event(order.intent.stripe_id or ""))
    connection.close()
    assert answer.status_code == 503
    assert not StripeEvent.objects.exists()
