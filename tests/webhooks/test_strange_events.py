"""Events as Stripe really sends them and as nobody should: thin and whole, of others, broken, packed, in a flood."""

from __future__ import annotations

import gzip
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from rehearsal.api import Rehearsal
from rehearsal.deliveries import signature
from tests import shop
from tests.webhooks.sender import DOOR, SECRET, event, knock, told, used
from todoku.catalog.models import Product
from todoku.engines.models import Execution
from todoku.order.models import Order, Status
from todoku.webhooks.models import StripeEvent
from todoku.webhooks.wanted import WANTED

THREE_D_SECURE = "4000002760003184"


def waiting(rehearsal: Rehearsal, product: Product) -> tuple[Order, str]:
    """An order that waits for 3-D Secure, and its PaymentIntent."""
    order = shop.order_one(rehearsal, product, number=THREE_D_SECURE)
    shop.work_off()
    assert order.intent.stripe_id
    return order, order.intent.stripe_id


# Thin and whole ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thin", [False, True], ids=["snapshot", "thin"])
def test_stripes_own_events_are_understood_in_both_shapes(rehearsal: Rehearsal, crab: Product, thin: bool) -> None:
    order, intent = waiting(rehearsal, crab)
    rehearsal.authenticate(intent)
    [succeeded] = told(rehearsal, intent, "payment_intent.succeeded", thin=thin)
    assert succeeded["type"] == ("v1." if thin else "") + "payment_intent.succeeded"

    assert used(knock(succeeded))

    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE
    kept = StripeEvent.objects.get()
    assert (kept.object_id, kept.order, kept.livemode) == (intent, order, False)
    assert kept.happened_at is not None and abs(kept.happened_at.timestamp() - time.time()) < 60


def test_the_thin_and_the_whole_event_of_one_fact_have_one_effect(rehearsal: Rehearsal, crab: Product) -> None:
    _order, intent = waiting(rehearsal, crab)
    rehearsal.authenticate(intent)
    for thin in (True, False):
        knock(told(rehearsal, intent, "payment_intent.succeeded", thin=thin)[0])
    shop.work_off()
    assert StripeEvent.objects.count() == 2
    assert Order.objects.get().status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_a_thin_event_about_nothing_is_kept(transactional_db: None) -> None:
    ping = {
        "id": "evt_test_ping", "object": "v2.core.event", "type": "v2.core.event_destination.ping",
        "created": "2026-11-22T00:00:00.000Z", "livemode": False, "context": None, "related_object": None,
    }  # fmt: skip
    assert not used(knock(ping))
    assert StripeEvent.objects.get().object_id == ""


@pytest.mark.parametrize("kind", ["refund", "dispute", "charge"])
def test_an_event_about_money_that_went_back_finds_its_order(rehearsal: Rehearsal, crab: Product, kind: str) -> None:
    order = shop.order_one(rehearsal, crab)
    shop.work_off()
    [charge] = shop.charges(rehearsal)
    if kind == "dispute":
        rehearsal.dispute(charge["id"])
    else:
        rehearsal.refund_by_hand(charge["id"])
    type = {"refund": "refund.created", "dispute": "charge.dispute.created", "charge": "charge.refunded"}[kind]
    [happened] = told(rehearsal, order.intent.stripe_id, type)
    assert type in WANTED
    assert not rehearsal_changed_by(lambda: knock(happened), rehearsal)
    assert StripeEvent.objects.get().order == order


def rehearsal_changed_by(act: Any, rehearsal: Rehearsal) -> int:
    """How many requests the act and all that follows from it have sent to Stripe."""
    asked = len(rehearsal.requests)
    act()
    shop.work_off()
    return len(rehearsal.requests) - asked


def test_every_wanted_type_is_one_that_stripe_knows_and_can_be_listed_at_once() -> None:
    from typing import get_args, get_type_hints

    import stripe

    kinds = set(get_args(get_type_hints(stripe.Event)["type"]))
    assert set(WANTED) <= kinds
    assert len(WANTED) == len(set(WANTED)) <= 20
    told_in_readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert [type for type in WANTED if f"`{type}`" not in told_in_readme] == []


# Of others -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [{"account": "acct_another"}, {"context": "acct_another"}, {"account": ["x"]}, {"account": "acct_1\x00"}],
    ids=["connect", "thin", "no text", "no text for a database"],
)
def test_an_event_of_another_account_is_acknowledged_and_left_alone(
    rehearsal: Rehearsal, crab: Product, more: dict[str, Any]
) -> None:
    _order, intent = waiting(rehearsal, crab)
    assert not used(knock(event(intent, **more)))
    assert not StripeEvent.objects.exists()
    assert Execution.objects.count() == 1
    assert used(knock(event(intent, account=None, context=None)))


def test_an_event_of_a_newer_api_version_is_taken_as_far_as_it_is_understood(
    rehearsal: Rehearsal, crab: Product
) -> None:
    _order, intent = waiting(rehearsal, crab)
    newer = event(intent, api_version="2031-01-01.rose", shape={"of": ["things", "to", "come"]}, object="event.v3")
    newer["data"]["object"] = {"id": intent, "amount": {"value": "5400.00", "unit": "yen"}, "status": None}
    assert used(knock(newer))
    shop.work_off()
    assert Order.objects.get().status == Status.PLACED


# One fact, many tellings ---------------------------------------------------------------------------------------------


def test_different_ids_for_one_fact_at_the_same_moment_have_one_effect(rehearsal: Rehearsal, crab: Product) -> None:
    _order, intent = waiting(rehearsal, crab)
    rehearsal.authenticate(intent)
    ready = threading.Barrier(20)

    def send(number: int) -> int:
        try:
            ready.wait(20)
            return int(knock(event(intent, id=f"evt_twin_{number}")).status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(send, range(20))) == [200] * 20
    shop.work_off()
    assert StripeEvent.objects.count() == 20
    assert Order.objects.get().status == Status.COMPLETE
    assert Execution.objects.count() <= 3
    assert len(shop.charges(rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


def test_a_flood_makes_one_job_for_each_order_however_many_events_come(rehearsal: Rehearsal, crab: Product) -> None:
    orders = [waiting(rehearsal, crab)[1] for _ in range(3)]
    for number in range(150):
        assert knock(event(orders[number % 3], id=f"evt_{number}")).status_code == 200
    assert StripeEvent.objects.count() == 150
    assert shop.waiting_jobs() == 3


def test_a_canceled_order_listens_to_stripe_and_does_nothing_as_long_as_nothing_is_new(
    rehearsal: Rehearsal, crab: Product
) -> None:
    order, intent = waiting(rehearsal, crab)
    Order.objects.update(withdrawn_at=order.placed_at)
    assert used(knock(event(intent, id="evt_before")))
    shop.work_off()
    assert Order.objects.get().status == Status.CANCELED
    assert shop.levels(crab) == (10, 0, 0)

    for row in told(rehearsal, intent):
        assert used(knock(row))
        shop.work_off()
    assert Order.objects.get().status == Status.CANCELED
    assert shop.levels(crab) == (10, 0, 0)
    assert set(Execution.objects.values_list("status", flat=True)) == {"SUCCEEDED"}


# Broken and packed ---------------------------------------------------------------------------------------------------


def test_before_the_signature_nothing_is_read_and_nobody_is_asked(transactional_db: None) -> None:
    deep = b'{"a":' * 40_000
    for body in (b"", deep, b"\x00" * 250_000, b"9" * 250_000, gzip.compress(b"x" * 10**7)):
        with CaptureQueriesContext(connection) as asked:
            answer = knock(body, secret="whsec_nobodys")
        assert answer.status_code == 400
        assert json.loads(answer.content)["error"] in (
            "no secret of ours made this signature, or it is too old",
            "the body is not UTF-8",
        )
        assert not asked.captured_queries


def test_a_packed_body_is_no_event_whoever_signed_it(transactional_db: None) -> None:
    packed = gzip.compress(json.dumps(event()).encode())
    assert knock(packed, HTTP_CONTENT_ENCODING="gzip").status_code == 400
    bomb = gzip.compress(b'{"id": "' + b"x" * 5_000_000 + b'"}')
    assert len(bomb) < 256 * 1024
    assert knock(bomb, HTTP_CONTENT_ENCODING="gzip").status_code == 400
    assert not StripeEvent.objects.exists()


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data"],
)
def test_the_signature_decides_and_not_the_content_type(transactional_db: None, content_type: str) -> None:
    assert knock(event(id="evt_unsigned"), sign=False, content_type=content_type).status_code == 400
    assert knock(event(id="evt_signed"), content_type=content_type).status_code == 200
    assert [kept.event_id for kept in StripeEvent.objects.all()] == ["evt_signed"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b'{"id": "evt_1", "type": "x", "created": NaN, "data": {"object": {"id": NaN}}}', 200),
        (b'{"id": "evt_1", "type": "x", "created": Infinity, "livemode": NaN}', 200),
        (b'{"id": "evt_1", "type": "x", "created": 1e400}', 200),
        (b'{"id": "evt_1", "type": "x", "created": ' + b"9" * 4000 + b"}", 200),
        (b'{"id": "evt_1", "type": "x", "created": ' + b"9" * 5000 + b"}", 400),
        (b'{"id": "evt_1", "type": "x", "created": "0001-01-01T00:00:00+23:59"}', 200),
        (b'{"id": "evt_1", "type": "x", "created": "9999-12-31T23:59:59-23:59"}', 200),
        (b'{"id": "evt_1", "type": "x", "created": -99999999999}', 200),
        (b'{"id": NaN, "type": "x"}', 400),
        (b'{"id": "evt_1", "type": Infinity}', 400),
        (b'\xef\xbb\xbf{"id": "evt_1", "type": "x"}', 400),
        (b'{"id": "evt_1", "id": {"id": "evt_1"}, "type": "x"}', 400),
        (b'{"id": "evt_1", "type": "x", "data": {"object": {"id": "pi_1"}, "object": [1]}}', 400),
        (b'{"id": "evt_1", "type": "x", "data": {"object": {"id": "pi_1"}}, "data": null}', 200),
        (b'{"id": "evt_1\\u202e", "type": "x\\n\\r\\u0007", "data": {"object": {"id": "\\ud83d\\ude00"}}}', 200),
        (b'{"id": "evt_1", "type": "x"} {"id": "evt_2", "type": "x"}', 400),
        (b'{"id": "evt_1", "type": "x"', 400),
    ],
)
def test_numbers_and_signs_that_json_has_no_word_for(transactional_db: None, raw: bytes, status: int) -> None:
    assert knock(raw).status_code == status
    assert StripeEvent.objects.count() == (1 if status == 200 else 0)


def test_a_body_of_just_the_largest_size_is_taken_and_one_byte_more_is_not(transactional_db: None) -> None:
    def sized(size: int) -> bytes:
        bare = json.dumps(event(padding="")).encode()
        return json.dumps(event(padding="x" * (size - len(bare)))).encode()

    assert knock(sized(256 * 1024)).status_code == 200
    assert knock(sized(256 * 1024 + 1)).status_code == 413


def test_a_header_with_very_many_signatures_is_refused_or_read(transactional_db: None) -> None:
    raw = json.dumps(event()).encode()
    good = signature(raw, SECRET, int(time.time()))
    stamp, _, sign = good.partition(",")
    many = ",".join([stamp, *(["v1=0"] * 700), sign])
    assert knock(raw, sign=False, HTTP_STRIPE_SIGNATURE=many).status_code == 200
    assert knock(raw, sign=False, HTTP_STRIPE_SIGNATURE=many + ",v1=0" * 300).status_code == 400
    # Only v1 counts: Stripe sends v0 for test events, which anybody could make from a known secret.
    assert knock(raw, sign=False, HTTP_STRIPE_SIGNATURE=good.replace("v1=", "v0=")).status_code == 400
    # The first time named is the one that was signed and the one that is looked at.
    future = f"t={int(time.time()) + 10_000}"
    assert knock(raw, sign=False, HTTP_STRIPE_SIGNATURE=f"{future},{good}").status_code == 400
    assert knock(raw, sign=False, HTTP_STRIPE_SIGNATURE=f" {stamp},{future},{sign}").status_code == 400


def test_a_signature_in_letters_that_no_digest_has_is_refused(transactional_db: None) -> None:
    raw = json.dumps(event()).encode()
    stamp, _, sign = signature(raw, SECRET, int(time.time())).partition(",")
    for odd in (f"{stamp},v1=é{sign[4:]}", f"{stamp},v1=\x80", f"{stamp},{sign},v1=ÿ", f"t=²,{sign}"):
        assert knock(raw, sign=False, HTTP_STRIPE_SIGNATURE=odd).status_code == 400, odd


def test_the_door_needs_no_cookie_and_gives_none(transactional_db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    raw = json.dumps(event()).encode()
    client.cookies["sessionid"] = "x" * 3000
    answer = client.post(
        DOOR, raw, content_type="application/json", HTTP_STRIPE_SIGNATURE=signature(raw, SECRET, int(time.time()))
    )
    assert answer.status_code == 200
    assert not answer.cookies
