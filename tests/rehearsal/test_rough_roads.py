"""What may happen to webhooks on their way, secrets that change, events nobody caused, limits, and the clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
import stripe

from rehearsal import Fault, Rehearsal, Rough, Sent, Webhook, standing_still
from rehearsal.http_client import InProcessClient
from rehearsal.rate_limits import Limits
from tests.rehearsal.conftest import HOOK, Receiver


def many(rehearsal: Rehearsal, count: int = 100) -> stripe.StripeClient:
    client = stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal))
    for _ in range(count):
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
        rehearsal.advance(1, deliver=True)
    rehearsal.advance(3600, deliver=True)
    return client


def rough(seed: int, **shares: float) -> tuple[Rehearsal, Receiver]:
    receiver = Receiver()
    rehearsal = Rehearsal(
        clock=standing_still(),
        seed=1,
        webhooks=[Webhook(HOOK)],
        sender=receiver,
        policy=Rough(seed=seed, **shares),  # type: ignore[arg-type]
    )
    return rehearsal, receiver


def about(receiver: Receiver) -> list[str]:
    return [json.loads(body)["data"]["object"]["id"] for _, body, _ in receiver.came]


def ids(receiver: Receiver) -> list[str]:
    return [json.loads(body)["id"] for _, body, _ in receiver.came]


def test_a_good_road_delivers_each_once_and_in_order() -> None:
    rehearsal, receiver = rough(1)
    many(rehearsal)
    assert len(ids(receiver)) == len(set(ids(receiver))) == 100
    assert about(receiver) == [row["id"] for row in rehearsal.rows("payment_intents", 200)][::-1]


def test_lost_events_are_found_in_the_list_of_undelivered_ones() -> None:
    rehearsal, receiver = rough(1, lose=0.3)
    client = many(rehearsal)
    lost = 100 - len(receiver.came)
    assert 15 < lost < 45
    missed = client.v1.events.list({"delivery_success": False, "limit": 100}).data
    assert len(missed) == lost
    rehearsal.deliveries.redeliver(missed[0].id)
    rehearsal.deliveries.deliver_due()
    assert len(client.v1.events.list({"delivery_success": False, "limit": 100}).data) == lost - 1


def test_the_same_event_may_come_twice_and_one_fact_under_two_ids() -> None:
    rehearsal, receiver = rough(1, duplicate=0.3)
    many(rehearsal)
    assert len(set(ids(receiver))) == 100
    assert 115 < len(receiver.came) < 145
    rehearsal, receiver = rough(1, twin=0.3)
    many(rehearsal)
    assert 115 < len(set(ids(receiver))) == len(receiver.came) < 145
    assert len(set(about(receiver))) == 100


def test_late_events_are_overtaken_and_all_arrive() -> None:
    rehearsal, receiver = rough(1, late=0.5, seconds=30)
    many(rehearsal)
    made = [row["id"] for row in rehearsal.rows("payment_intents", 200)][::-1]
    assert about(receiver) != made
    assert sorted(about(receiver)) == sorted(made)


def test_the_same_seed_gives_the_same_road() -> None:
    shares = {"lose": 0.1, "duplicate": 0.1, "twin": 0.1, "late": 0.5}
    roads = []
    for seed in (5, 5, 6):
        rehearsal, receiver = rough(seed, **shares)
        many(rehearsal)
        roads.append(ids(receiver))
    assert roads[0] == roads[1] != roads[2]
    with pytest.raises(ValueError, match="share"):
        Rough(lose=2)


def test_while_a_secret_is_rotated_deliveries_carry_both_signatures(
    rehearsal: Rehearsal, receiver: Receiver, client: stripe.StripeClient
) -> None:
    rehearsal.rotate_webhook_secret("we_configured1", "whsec_new", keep_old_seconds=3600)
    believed = []
    for seconds in (0, 3601):
        rehearsal.advance(seconds)
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
        rehearsal.deliveries.deliver_due()
        _, body, headers = receiver.came[-1]
        for secret in ("whsec_rehearsal", "whsec_new"):
            try:
                stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)  # type: ignore[no-untyped-call]
                believed.append(secret)
            except stripe.SignatureVerificationError:
                pass
    assert believed == ["whsec_rehearsal", "whsec_new", "whsec_new"]
    with pytest.raises(LookupError):
        rehearsal.rotate_webhook_secret("we_nothing", "whsec_new")


def test_events_of_live_mode_and_of_other_accounts_can_be_planted(
    rehearsal: Rehearsal, receiver: Receiver, pay: Any
) -> None:
    paid = pay()
    intent = rehearsal.find("payment_intents", paid.id)
    assert intent is not None
    rehearsal.send_event("payment_intent.succeeded", intent, livemode=True)
    rehearsal.send_event("payment_intent.succeeded", {**intent, "id": "pi_other"}, account="acct_other")
    rehearsal.deliveries.deliver_due()
    live, other = (json.loads(body) for _, body, _ in receiver.came[-2:])
    assert live["livemode"] is True
    assert (other["account"], other["data"]["object"]["id"]) == ("acct_other", "pi_other")


# Rate limits.


def asked(client: stripe.StripeClient, count: int, call: Any = None) -> int:
    """Asks so often and answers how many were refused."""
    refused = 0
    for _ in range(count):
        try:
            (call or (lambda: client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})))()
        except stripe.RateLimitError:
            refused += 1
    return refused


def test_limits_are_off_until_they_are_asked_for(client: stripe.StripeClient) -> None:
    assert asked(client, 150) == 0


def test_an_endpoint_takes_25_a_second_and_says_which_limit_it_was(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    rehearsal.limit("live")
    assert asked(client, 30) == 5
    with pytest.raises(stripe.RateLimitError) as caught:
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    assert caught.value.error.code == "rate_limit"
    assert caught.value.headers["Stripe-Rate-Limited-Reason"] == "endpoint-rate"
    assert asked(client, 25, lambda: client.v1.events.list()) == 0
    rehearsal.advance(1)
    assert asked(client, 26) == 1
    rehearsal.limit(None)
    assert asked(client, 100) == 0


def test_a_sandbox_takes_25_a_second_in_all(client: stripe.StripeClient, rehearsal: Rehearsal) -> None:
    rehearsal.limit("sandbox")
    assert asked(client, 20) == 0
    with_lists = asked(client, 20, lambda: client.v1.events.list())
    assert with_lists == 15
    with pytest.raises(ValueError, match="rate limits are"):
        rehearsal.limit("huge")


def test_one_intent_takes_a_thousand_updates_an_hour(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    rehearsal.limit(Limits(updates_per_hour=10))
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    other = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})

    def update(id: str) -> None:
        client.v1.payment_intents.update(id, {"description": "x"})

    assert asked(client, 12, lambda: update(intent.id)) == 2
    assert asked(client, 10, lambda: update(other.id)) == 0
    with pytest.raises(stripe.RateLimitError) as caught:
        update(intent.id)
    assert caught.value.error.code == "payment_intent_rate_limit_exceeded"
    rehearsal.advance(3600)
    assert asked(client, 1, lambda: update(intent.id)) == 0


def test_a_429_is_not_kept_under_its_key(client: stripe.StripeClient, rehearsal: Rehearsal) -> None:
    rehearsal.limit(Limits(per_second=1))
    client.v1.events.list()
    with pytest.raises(stripe.RateLimitError):
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"})
    rehearsal.advance(1)
    client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": "k"})


# Processing.


def test_a_payment_may_be_processing_for_a_while(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    rehearsal.faults.set(Fault("processing", path="*/confirm", seconds=600))
    waiting = pay()
    assert (waiting.status, waiting.processing.type) == ("processing", "card")
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.cancel(waiting.id)
    assert client.v1.events.list().data[0].type == "payment_intent.processing"
    rehearsal.advance(600)
    after = client.v1.payment_intents.retrieve(waiting.id)
    assert (after.status, after.processing) == ("succeeded", None)


@pytest.mark.parametrize(("paid", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_a_processing_payment_is_settled_by_hand(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal, paid: bool, status: str
) -> None:
    waiting = pay("pm_card_threeDSecure2Required")
    rehearsal.hold_in_processing(waiting.id, seconds=60)
    assert client.v1.payment_intents.retrieve(waiting.id).status == "processing"
    with pytest.raises(LookupError):
        rehearsal.authenticate(waiting.id)
    assert rehearsal.settle_processing(waiting.id, paid)["status"] == status
    rehearsal.advance(3600)
    assert client.v1.payment_intents.retrieve(waiting.id).status == status
    for wrong in (rehearsal.settle_processing, rehearsal.hold_in_processing):
        if status == "succeeded":
            with pytest.raises(LookupError):
                wrong(waiting.id)


# The clock.


def test_a_jump_of_the_clock_does_everything_in_its_order_and_at_its_time(receiver: Receiver) -> None:
    receiver.answers = [Sent(500)]
    rehearsal = Rehearsal(clock=standing_still(), webhooks=[Webhook(HOOK)], sender=receiver)
    client = stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal))
    began = rehearsal.clock.second()
    voucher = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "allowed_payment_method_types": ["konbini"],
            "confirm": True,
            "payment_method_data": {
                "type": "konbini",
                "billing_details": {"name": "x", "email": "x@example.com"},
            },
            "payment_method_options": {"konbini": {"confirmation_number": "11111111110"}},
        },
        {"idempotency_key": "k"},
    )
    assert rehearsal.next_due() == began
    rehearsal.advance(5 * 86400, deliver=True)
    assert receiver.types() == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.updated",
    ]
    made = {row["type"]: row["created"] - began for row in rehearsal.rows("events")}
    assert made["payment_intent.succeeded"] == 180
    assert made["charge.updated"] == 182
    assert rehearsal.clock.second() == began + 5 * 86400
    assert rehearsal.next_due() is None
    assert rehearsal.rows("idempotency") == []
    assert client.v1.payment_intents.retrieve(voucher.id).status == "succeeded"


def test_timers_outlive_a_restart(tmp_path: Any) -> None:
    def opened() -> tuple[Rehearsal, stripe.StripeClient]:
        rehearsal = Rehearsal(state=tmp_path, clock=standing_still())
        return rehearsal, stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal))

    rehearsal, client = opened()
    made = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "allowed_payment_method_types": ["konbini"],
            "confirm": True,
            "payment_method_data": {
                "type": "konbini",
                "billing_details": {"name": "x", "email": "fill_never@example.com"},
            },
        }
    )
    rehearsal.close()
    rehearsal, client = opened()
    rehearsal.advance(5 * 86400)
    assert client.v1.payment_intents.retrieve(made.id).status == "requires_payment_method"
    rehearsal.close()
