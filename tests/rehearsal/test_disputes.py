"""Disputes, inquiries and early fraud warnings, from their test cards and by hand."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from rehearsal import Rehearsal
from rehearsal.balance import DISPUTE_FEE
from tests.rehearsal.conftest import Receiver


def test_the_fraud_card_is_disputed_and_the_money_is_taken(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal, receiver: Receiver
) -> None:
    paid = pay("pm_card_createDispute")
    assert client.v1.disputes.list().data == []
    rehearsal.advance(5)
    (dispute,) = client.v1.disputes.list({"payment_intent": paid.id}).data
    assert (dispute.status, dispute.reason, dispute.amount) == ("needs_response", "fraudulent", 5400)
    (taken,) = dispute.balance_transactions
    assert (taken.amount, taken.fee, taken.net) == (-5400, DISPUTE_FEE, -5400 - DISPUTE_FEE)
    assert client.v1.charges.retrieve(str(paid.latest_charge)).disputed
    rehearsal.deliveries.deliver_due()
    assert receiver.types()[-2:] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"payment_intent": paid.id})
    assert caught.value.code == "charge_disputed"


@pytest.mark.parametrize(("won", "status"), [(True, "won"), (False, "lost")])
def test_a_dispute_is_decided_by_hand(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal, won: bool, status: str
) -> None:
    paid = pay()
    made = rehearsal.dispute(str(paid.latest_charge), "product_not_received")
    assert rehearsal.decide_dispute(made["id"], won)["status"] == status
    dispute = client.v1.disputes.retrieve(made["id"])
    assert sum(row.amount for row in dispute.balance_transactions) == (0 if won else -5400)
    assert client.v1.events.list().data[0].type == "charge.dispute.closed"
    with pytest.raises(LookupError):
        rehearsal.decide_dispute(made["id"], won)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.disputes.close(made["id"])


def test_the_shop_may_give_in(client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal) -> None:
    made = rehearsal.dispute(str(pay().latest_charge))
    assert client.v1.disputes.update(made["id"], {"metadata": {"a": "b"}}).metadata["a"] == "b"
    assert client.v1.disputes.close(made["id"]).status == "lost"


def test_an_inquiry_takes_no_money_and_can_be_refunded(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    paid = pay("pm_card_createDisputeInquiry")
    rehearsal.advance(5)
    (inquiry,) = client.v1.disputes.list().data
    assert (inquiry.status, inquiry.balance_transactions) == ("warning_needs_response", [])
    assert inquiry.is_charge_refundable
    client.v1.refunds.create({"payment_intent": paid.id})
    assert rehearsal.decide_dispute(inquiry.id, False)["status"] == "warning_closed"


def test_a_warning_comes_before_any_dispute(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    paid = pay("pm_card_createIssuerFraudRecord")
    rehearsal.advance(5)
    (warning,) = client.v1.radar.early_fraud_warnings.list({"payment_intent": paid.id}).data
    assert warning.actionable
    assert client.v1.radar.early_fraud_warnings.retrieve(warning.id).charge == paid.latest_charge
    assert client.v1.events.list().data[0].type == "radar.early_fraud_warning.created"
    assert rehearsal.warn_of_fraud(str(paid.latest_charge))["object"] == "radar.early_fraud_warning"


def test_goods_that_never_came_are_disputed_too(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    pay("pm_card_createDisputeProductNotReceived")
    rehearsal.advance(5)
    assert client.v1.disputes.list().data[0].reason == "product_not_received"


def test_what_cannot_be_disputed_is_refused(pay: Any, rehearsal: Rehearsal) -> None:
    paid = pay()
    rehearsal.refund_by_hand(str(paid.latest_charge))
    for id in (str(paid.latest_charge), "ch_nothing"):
        with pytest.raises(LookupError):
            rehearsal.dispute(id)
