"""Thin events: small, signed, believed by the SDK, and fetched whole from v2."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from rehearsal import Rehearsal, Webhook, standing_still
from rehearsal.http_client import InProcessClient
from tests.rehearsal.conftest import HOOK, Receiver
from tests.rehearsal.stripe_schemas import SchemaWatch


@pytest.fixture
def thin(receiver: Receiver) -> Any:
    made = Rehearsal(clock=standing_still(), webhooks=[Webhook(HOOK, payload="thin")], sender=receiver)
    watch = SchemaWatch()
    made.observers.append(watch)
    yield made
    watch.verify(made)


@pytest.fixture
def talking(thin: Rehearsal) -> stripe.StripeClient:
    return stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(thin), max_network_retries=0)


def paid(client: stripe.StripeClient, card: str = "pm_card_visa") -> stripe.PaymentIntent:
    return client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "confirm": True,
            "payment_method": card,
            "return_url": "https://shop.test/",
        },
        {"idempotency_key": "k"},
    )


def test_an_endpoint_that_wants_thin_events_gets_notifications_that_the_sdk_believes(
    thin: Rehearsal, talking: stripe.StripeClient, receiver: Receiver
) -> None:
    intent = paid(talking)
    thin.deliveries.deliver_due()
    assert receiver.types() == [
        "v1.payment_intent.created",
        "v1.charge.succeeded",
        "v1.payment_intent.succeeded",
    ]
    _, body, headers = receiver.came[-1]
    assert "client_secret" not in body.decode()
    notification = talking.parse_event_notification(body, headers["Stripe-Signature"], "whsec_rehearsal")
    assert type(notification).__name__ == "V1PaymentIntentSucceededEventNotification"
    assert notification.related_object.id == intent.id
    assert notification.reason.request.idempotency_key == "k"
    assert notification.fetch_related_object().status == "succeeded"
    whole = notification.fetch_event()
    assert (whole.id, whole.type) == (notification.id, "v1.payment_intent.succeeded")
    snapshot = talking.v1.events.retrieve(whole.snapshot_event)
    assert snapshot.data.object.id == intent.id
    assert snapshot.id != whole.id
    with pytest.raises(ValueError, match="thin"):
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_rehearsal")  # type: ignore[no-untyped-call]


def test_events_of_every_kind_are_thin_too(
    thin: Rehearsal, talking: stripe.StripeClient, receiver: Receiver
) -> None:
    intent = paid(talking)
    talking.v1.customers.create({"name": "x"})
    talking.v1.setup_intents.create({})
    thin.advance(5)
    thin.warn_of_fraud(str(intent.latest_charge))
    talking.v1.refunds.create({"payment_intent": intent.id, "amount": 100})
    thin.dispute(str(intent.latest_charge))
    thin.deliveries.deliver_due()
    for _, body, headers in receiver.came:
        said = talking.parse_event_notification(body, headers["Stripe-Signature"], "whsec_rehearsal")
        assert type(said).__name__ != "UnknownEventNotification", said.type
        assert said.fetch_related_object().id == said.related_object.id
        assert talking.v2.core.events.retrieve(said.id).id == said.id


def test_thin_events_are_listed_by_object_and_type_page_by_page_for_30_days(
    thin: Rehearsal, talking: stripe.StripeClient
) -> None:
    intents = [talking.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}).id for _ in range(5)]
    listed = talking.v2.core.events.list({"limit": 2})
    assert [e.related_object.id for e in listed.auto_paging_iter()] == intents[::-1]
    assert len(talking.v2.core.events.list({"object_id": intents[0]}).data) == 1
    assert talking.v2.core.events.list({"types": ["v1.payment_intent.canceled"]}).data == []
    first = listed.data[0].id
    for unknown in ("evt_test_nothing", "evt_nothing"):
        with pytest.raises(stripe.StripeError):
            talking.v2.core.events.retrieve(unknown)
    thin.advance(30 * 86400 + 1)
    assert talking.v2.core.events.list().data == []
    with pytest.raises(stripe.StripeError):
        talking.v2.core.events.retrieve(first)


def test_the_types_of_a_thin_endpoint_may_be_named_either_way(receiver: Receiver) -> None:
    rehearsal = Rehearsal(
        clock=standing_still(),
        webhooks=[Webhook(HOOK, events=("v1.charge.succeeded", "payment_intent.succeeded"), payload="thin")],
        sender=receiver,
    )
    paid(stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal)))
    rehearsal.deliveries.deliver_due()
    assert [json.loads(body)["type"] for _, body, _ in receiver.came] == [
        "v1.charge.succeeded",
        "v1.payment_intent.succeeded",
    ]
