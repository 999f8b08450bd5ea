"""Balance transactions: what a charge, a refund and a dispute do to the money, with Stripe's fees."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import stripe

from rehearsal import Rehearsal
from rehearsal.balance import business_days_on, card_fee, konbini_fee


def test_a_charge_is_booked_a_moment_later_and_tells_so(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    paid = pay(expand=["latest_charge"])
    assert paid.latest_charge.balance_transaction is None
    rehearsal.advance(2)
    charge = client.v1.charges.retrieve(paid.latest_charge.id, {"expand": ["balance_transaction"]})
    booked = charge.balance_transaction
    assert (booked.amount, booked.fee, booked.net, booked.type) == (5400, 194, 5206, "charge")
    assert booked.fee_details[0].type == "stripe_fee"
    (event,) = client.v1.events.list({"type": "charge.updated"}).data
    assert event.data.previous_attributes.to_dict() == {"balance_transaction": None}
    assert client.v1.balance_transactions.retrieve(booked.id).source == charge.id


def test_without_automatic_async_a_charge_is_booked_with_its_success(client: stripe.StripeClient) -> None:
    paid = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "capture_method": "automatic",
            "confirm": True,
            "payment_method": "pm_card_visa",
            "return_url": "https://shop.test/",
            "expand": ["latest_charge.balance_transaction"],
        }
    )
    assert paid.latest_charge.balance_transaction.fee == 194


def test_money_becomes_available_after_four_working_days(
    client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal
) -> None:
    pay()
    rehearsal.advance(2)
    (row,) = client.v1.balance_transactions.list().data
    assert row.status == "pending"
    rehearsal.advance(row.available_on - rehearsal.clock.second())
    assert client.v1.balance_transactions.list().data[0].status == "available"
    friday = int(datetime.datetime(2026, 11, 20, 3, tzinfo=datetime.UTC).timestamp())
    there = datetime.datetime.fromtimestamp(business_days_on(friday, 4), datetime.UTC)
    assert there.date() == datetime.date(2026, 11, 26)


def test_everything_adds_up(client: stripe.StripeClient, pay: Any, rehearsal: Rehearsal) -> None:
    paid = pay()
    rehearsal.advance(2)
    client.v1.refunds.create({"payment_intent": paid.id, "amount": 400})
    dispute = rehearsal.dispute(str(paid.latest_charge))
    rehearsal.decide_dispute(dispute["id"], won=True)
    rows = client.v1.balance_transactions.list({"limit": 100}).data
    assert [row.type for row in rows] == ["adjustment", "adjustment", "refund", "charge"]
    assert sum(row.amount for row in rows) == 5000
    assert all(row.net == row.amount - row.fee for row in rows)
    assert client.v1.balance_transactions.list({"type": "refund"}).data[0].amount == -400


@pytest.mark.parametrize(
    ("amount", "card", "konbini"),
    [(120, 4, 120), (1000, 36, 120), (5400, 194, 194), (300_000, 10_800, 10_800)],
)
def test_fees_are_those_of_japan(amount: int, card: int, konbini: int) -> None:
    assert (card_fee(amount), konbini_fee(amount)) == (card, konbini)
