"""Refunds: never more than was paid; cards at once, konbini by way of a mail and a bank, and some fail."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from rehearsal import ApiError, Rehearsal
from rehearsal.refunds import ANSWER_SECONDS, BANK_SECONDS, LATER_SECONDS
from tests.rehearsal.conftest import Receiver


@pytest.fixture
def konbini(client: stripe.StripeClient, rehearsal: Rehearsal) -> stripe.PaymentIntent:
    """A konbini payment of 5,400 yen, paid."""
    waiting = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "allowed_payment_method_types": ["konbini"],
            "confirm": True,
            "payment_method_data": {
                "type": "konbini",
                "billing_details": {"name": "届 花子", "email": "hanako@example.com"},
            },
        }
    )
    rehearsal.pay_at_till(waiting.id)
    return client.v1.payment_intents.retrieve(waiting.id)


def types(client: stripe.StripeClient) -> list[str]:
    return [e.type for e in client.v1.events.list({"limit": 100}).data][::-1]


def test_a_whole_refund_is_done_at_once_and_the_charge_says_so(client: stripe.StripeClient, pay: Any) -> None:
    paid = pay()
    refund = client.v1.refunds.create(
        {"payment_intent": paid.id, "reason": "requested_by_customer", "metadata": {"case": "7"}}
    )
    assert (refund.status, refund.amount, refund.reason) == ("succeeded", 5400, "requested_by_customer")
    assert refund.metadata["case"] == "7"
    assert refund.destination_details.card.type == "refund"
    charge = client.v1.charges.retrieve(str(paid.latest_charge), {"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (5400, True)
    assert [row.id for row in charge.refunds.data] == [refund.id]
    assert client.v1.payment_intents.retrieve(paid.id).status == "succeeded"
    assert types(client)[-2:] == ["refund.created", "charge.refunded"]
    assert client.v1.refunds.retrieve(refund.id).id == refund.id
    assert [r.id for r in client.v1.refunds.list({"payment_intent": paid.id}).data] == [refund.id]
    assert client.v1.refunds.list({"charge": "ch_other"}).data == []


def test_parts_may_be_refunded_until_nothing_is_left(client: stripe.StripeClient, pay: Any) -> None:
    paid = pay()
    for amount in (1000, 4000):
        client.v1.refunds.create({"charge": paid.latest_charge, "amount": amount})
    for too_much, code in ((401, None), (0, "parameter_invalid_integer"), (-1, "parameter_invalid_integer")):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.refunds.create({"payment_intent": paid.id, "amount": too_much})
        assert (caught.value.code, caught.value.param) == (code, "amount")
    assert client.v1.refunds.create({"payment_intent": paid.id}).amount == 400
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"payment_intent": paid.id})
    assert caught.value.code == "charge_already_refunded"


def test_what_was_not_paid_cannot_be_refunded(client: stripe.StripeClient, pay: Any) -> None:
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert caught.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.CardError):
        pay("pm_card_visa_chargeDeclined")
    failed = client.v1.charges.list().data[0]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"charge": failed.id})
    assert caught.value.code == "charge_not_refundable"
    for given in ({}, {"charge": "ch_nothing"}, {"payment_intent": "pi_nothing"}):
        with pytest.raises(stripe.InvalidRequestError):
            client.v1.refunds.create(given)  # type: ignore[arg-type]


def test_the_same_key_refunds_once(client: stripe.StripeClient, pay: Any) -> None:
    paid = pay()
    first, second = (
        client.v1.refunds.create({"payment_intent": paid.id, "amount": 500}, {"idempotency_key": "r1"})
        for _ in range(2)
    )
    assert first.id == second.id
    assert client.v1.charges.retrieve(str(paid.latest_charge)).amount_refunded == 500


def test_a_refund_may_be_pending_first(client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal) -> None:
    paid = pay("pm_card_pendingRefund")
    refund = client.v1.refunds.create({"payment_intent": paid.id})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    rehearsal.advance(LATER_SECONDS)
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert types(client)[-2:] == ["refund.updated", "charge.refund.updated"]


def test_a_refund_may_fail_later_and_can_then_be_made_again(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    paid = pay("pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": paid.id, "amount": 3000})
    assert refund.status == "succeeded"
    rehearsal.advance(LATER_SECONDS)
    failed = client.v1.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert failed.failure_balance_transaction.amount == 3000
    charge = client.v1.charges.retrieve(str(paid.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    assert types(client)[-1] == "refund.failed"
    assert client.v1.refunds.create({"payment_intent": paid.id}).amount == 5400


def test_konbini_money_goes_back_through_a_bank_that_the_customer_names(
    client: stripe.StripeClient, konbini: stripe.PaymentIntent, rehearsal: Rehearsal, receiver: Receiver
) -> None:
    refund = client.v1.refunds.create({"payment_intent": konbini.id})
    assert (refund.status, refund.instructions_email) == ("requires_action", "hanako@example.com")
    details = refund.next_action.display_details
    assert details.email_sent.email_sent_to == "hanako@example.com"
    assert details.expires_at == refund.created + ANSWER_SECONDS
    rehearsal.move_refund(refund.id, "bank_account")
    assert client.v1.refunds.retrieve(refund.id).status == "pending"
    rehearsal.advance(BANK_SECONDS)
    after = client.v1.refunds.retrieve(refund.id)
    assert (after.status, after.next_action) == ("succeeded", None)
    rehearsal.deliveries.deliver_due()
    refunding = [type for type in receiver.types() if "refund" in type]
    assert refunding == [
        "refund.created",
        "charge.refunded",
        "refund.updated",
        "charge.refund.updated",
        "refund.updated",
        "charge.refund.updated",
    ]


def test_a_konbini_refund_that_nobody_answers_fails_after_45_days(
    client: stripe.StripeClient, konbini: stripe.PaymentIntent, rehearsal: Rehearsal
) -> None:
    refund = client.v1.refunds.create(
        {"payment_intent": konbini.id, "instructions_email": "other@example.com"}
    )
    assert refund.instructions_email == "other@example.com"
    rehearsal.advance(ANSWER_SECONDS - 1)
    assert client.v1.refunds.retrieve(refund.id).status == "requires_action"
    rehearsal.advance(1)
    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    assert types(client)[-1] == "refund.failed"
    assert client.v1.charges.retrieve(str(konbini.latest_charge)).amount_refunded == 0


def test_a_bank_may_send_the_money_back_and_the_customer_is_asked_again(
    client: stripe.StripeClient, konbini: stripe.PaymentIntent, rehearsal: Rehearsal
) -> None:
    refund = client.v1.refunds.create({"payment_intent": konbini.id})
    rehearsal.move_refund(refund.id, "bank_account")
    rehearsal.move_refund(refund.id, "returned")
    assert client.v1.refunds.retrieve(refund.id).status == "requires_action"
    rehearsal.advance(BANK_SECONDS)
    assert client.v1.refunds.retrieve(refund.id).status == "requires_action"
    rehearsal.move_refund(refund.id, "bank_account")
    rehearsal.move_refund(refund.id, "arrives")
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    for what in ("bank_account", "returned", "arrives", "nonsense"):
        with pytest.raises(LookupError):
            rehearsal.move_refund(refund.id, what)


def test_only_a_refund_that_waits_for_the_customer_can_be_canceled_or_expired(
    client: stripe.StripeClient, konbini: stripe.PaymentIntent, pay: Any
) -> None:
    done = client.v1.refunds.create({"payment_intent": pay().id})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.cancel(done.id)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.test_helpers.refunds.expire(done.id)
    waiting = client.v1.refunds.create({"payment_intent": konbini.id, "amount": 400})
    assert client.v1.refunds.cancel(waiting.id).status == "canceled"
    assert client.v1.charges.retrieve(str(konbini.latest_charge)).amount_refunded == 0
    waiting = client.v1.refunds.create({"payment_intent": konbini.id})
    assert client.v1.test_helpers.refunds.expire(waiting.id).status == "failed"


def test_a_refund_can_be_described_later(client: stripe.StripeClient, pay: Any) -> None:
    refund = client.v1.refunds.create({"payment_intent": pay().id})
    assert client.v1.refunds.update(refund.id, {"metadata": {"a": "b"}}).metadata["a"] == "b"
    assert types(client)[-1] == "refund.updated"


def test_a_person_can_refund_in_the_dashboard(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    paid = pay()
    made = rehearsal.refund_by_hand(str(paid.latest_charge), 400)
    assert client.v1.refunds.retrieve(made["id"]).amount == 400
    (event,) = client.v1.events.list({"type": "refund.created"}).data
    assert event.request.id is None
    with pytest.raises(ApiError):
        rehearsal.refund_by_hand(str(paid.latest_charge), 5001)
    with pytest.raises(LookupError):
        rehearsal.refund_by_hand("ch_nothing")
