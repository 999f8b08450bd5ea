"""Events and their delivery: signed, tried again, and kept for 30 days."""

from __future__ import annotations

import json

import pytest
import stripe

from rehearsal import Rehearsal, Sent, standing_still
from rehearsal.deliveries import PAUSES
from tests.rehearsal.conftest import HOOK, Receiver


def test_an_event_is_signed_so_that_the_sdk_believes_it(
    rehearsal: Rehearsal, receiver: Receiver, pay
) -> None:
    paid = pay()
    rehearsal.deliveries.deliver_due()
    url, body, headers = receiver.came[-1]
    assert url == HOOK
    event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_rehearsal")  # type: ignore[no-untyped-call]
    assert (event.type, event.data.object.id) == ("payment_intent.succeeded", paid.id)
    assert event.api_version == stripe.api_version
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], "whsec_other")  # type: ignore[no-untyped-call]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", headers["Stripe-Signature"], "whsec_rehearsal")  # type: ignore[no-untyped-call]


def test_an_event_holds_the_object_as_it_was_then(client: stripe.StripeClient, pay) -> None:
    pay()
    newest = client.v1.events.list().data
    assert [e.type for e in newest] == [
        "payment_intent.succeeded",
        "charge.succeeded",
        "payment_intent.created",
    ]
    assert newest[2].data.object.status == "requires_payment_method"
    assert newest[0].data.object.status == "succeeded"
    assert newest[0].request.idempotency_key


def test_an_event_that_is_not_accepted_is_sent_again_with_growing_pauses(
    rehearsal: Rehearsal, receiver: Receiver, client: stripe.StripeClient
) -> None:
    receiver.answers = [Sent(500), Sent(None, "refused"), Sent(302), Sent(200)]
    client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    assert rehearsal.deliveries.deliver_due() == 1
    assert client.v1.events.list({"delivery_success": False}).data[0].pending_webhooks == 1
    for pause in PAUSES[:3]:
        rehearsal.advance(pause - 0.5)
        assert rehearsal.deliveries.deliver_due() == 0
        rehearsal.advance(0.5)
        assert rehearsal.deliveries.deliver_due() == 1
    (delivery,) = rehearsal.rows("deliveries")
    assert delivery["state"] == "delivered"
    assert [a["status"] for a in delivery["attempts"]] == [500, None, 302, 200]
    assert [a["number"] for a in delivery["attempts"]] == [1, 2, 3, 4]
    assert len({headers["Stripe-Signature"] for _, _, headers in receiver.came}) >= 1
    assert client.v1.events.list({"delivery_success": False}).data == []
    assert client.v1.events.list({"delivery_success": True}).data[0].pending_webhooks == 0


def test_after_three_days_it_is_given_up_and_still_listed_as_undelivered(
    rehearsal: Rehearsal, receiver: Receiver, client: stripe.StripeClient
) -> None:
    receiver.answers = [Sent(500)] * 50
    client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    while (due := rehearsal.deliveries.next_due()) is not None:
        rehearsal.advance(max(0.0, due - rehearsal.clock.now()))
        rehearsal.deliveries.deliver_due()
    assert 2 * 86400 < sum(PAUSES) < 3 * 86400
    assert rehearsal.rows("deliveries")[0]["state"] == "given_up"
    (missed,) = client.v1.events.list({"delivery_success": False}).data
    receiver.answers.clear()
    rehearsal.deliveries.redeliver(missed.id)
    rehearsal.deliveries.deliver_due()
    assert client.v1.events.list({"delivery_success": False}).data == []
    assert client.v1.events.retrieve(missed.id).pending_webhooks == 0


def test_events_can_be_listed_by_type_and_for_30_days(
    client: stripe.StripeClient, rehearsal: Rehearsal, pay
) -> None:
    pay()
    types = [e.type for e in client.v1.events.list({"types": ["payment_intent.succeeded"]}).data]
    assert types == ["payment_intent.succeeded"]
    assert len(client.v1.events.list({"type": "payment_intent.*"}).data) == 2
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.list({"type": "charge.*", "types": ["charge.failed"]})
    first = client.v1.events.list().data[0]
    assert client.v1.events.retrieve(first.id).id == first.id
    rehearsal.advance(30 * 86400 + 3)
    assert client.v1.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.events.retrieve(first.id)


def test_an_endpoint_made_over_the_api_hears_only_what_it_asked_for(
    rehearsal: Rehearsal, receiver: Receiver, client: stripe.StripeClient, pay
) -> None:
    endpoint = client.v1.webhook_endpoints.create(
        {"url": "https://two.test/hook", "enabled_events": ["charge.succeeded"], "metadata": {"a": "b"}}
    )
    assert endpoint.secret.startswith("whsec_")
    assert getattr(client.v1.webhook_endpoints.retrieve(endpoint.id), "secret", None) is None
    pay()
    rehearsal.deliveries.deliver_due()
    two = [(body, headers) for url, body, headers in receiver.came if url == "https://two.test/hook"]
    assert [json.loads(body)["type"] for body, _ in two] == ["charge.succeeded"]
    stripe.Webhook.construct_event(two[0][0], two[0][1]["Stripe-Signature"], endpoint.secret)  # type: ignore[no-untyped-call]
    client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    pay()
    rehearsal.deliveries.deliver_due()
    assert len([url for url, _, _ in receiver.came if url == "https://two.test/hook"]) == 1
    assert len(client.v1.webhook_endpoints.list().data) == 2
    assert client.v1.webhook_endpoints.delete(endpoint.id).deleted
    assert len(client.v1.webhook_endpoints.list().data) == 1
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.webhook_endpoints.create({"url": "not an address", "enabled_events": ["*"]})


def test_an_event_can_be_sent_again_by_hand(
    rehearsal: Rehearsal, receiver: Receiver, client: stripe.StripeClient
) -> None:
    client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    rehearsal.deliveries.deliver_due()
    assert rehearsal.deliveries.redeliver(rehearsal.rows("events")[0]["id"]) == 1
    rehearsal.deliveries.deliver_due()
    assert receiver.types() == ["payment_intent.created"] * 2
    with pytest.raises(KeyError):
        rehearsal.deliveries.redeliver("evt_nothing")


def test_a_policy_can_lose_repeat_and_reorder() -> None:
    class Odd:
        def departures(self, event: dict, endpoint: dict) -> list[float]:  # type: ignore[type-arg]
            lost = ("payment_intent.created", "charge.updated")
            return [] if event["type"] in lost else {"charge.succeeded": [5.0]}.get(event["type"], [0.0, 1.0])

        def pause(self, attempts: int) -> float | None:
            return None

    from rehearsal import Webhook
    from rehearsal.http_client import InProcessClient

    receiver, clock = Receiver(), standing_still()
    rehearsal = Rehearsal(clock=clock, webhooks=[Webhook(HOOK)], sender=receiver, policy=Odd())
    client = stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal))
    client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://shop.test/",
        }
    )
    for _ in range(6):
        rehearsal.deliveries.deliver_due()
        rehearsal.advance(1)
    assert receiver.types() == ["payment_intent.succeeded", "payment_intent.succeeded", "charge.succeeded"]
    missed = [event.type for event in client.v1.events.list({"delivery_success": False}).data]
    assert missed == ["charge.updated", "payment_intent.created"]


def test_the_signature_carries_the_real_time_or_the_rehearsal_s() -> None:
    import time

    clock = standing_still(at=1_000.0)
    assert abs(Rehearsal(clock=clock).signing_time() - time.time()) < 5
    assert Rehearsal(clock=clock, sign_with_real_time=False).signing_time() == 1_000.0
