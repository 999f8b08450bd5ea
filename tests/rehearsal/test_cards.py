"""Every test card does what Stripe's documentation says of it."""

from __future__ import annotations

import json

import pytest
import stripe

from rehearsal import Rehearsal
from rehearsal.cards import CARDS, Card, passes_luhn

SUCCEED = [card for card in CARDS if card.decline is None and card.three_d_secure != "required"]
DECLINED = [card for card in CARDS if card.decline is not None and card.three_d_secure != "required"]
ASKED = [card for card in CARDS if card.three_d_secure == "required" and not card.lookup_fails]


def by_name(card: Card) -> str:
    return card.name


def from_browser(rehearsal: Rehearsal, number: str, **given: str) -> dict[str, object]:
    """Makes a token the way the card form does, with the publishable key."""
    fields = {"number": number, "exp_month": "12", "exp_year": "2034", "cvc": "123", **given}
    body = "&".join(f"payment_method_data[card][{k}]={v}" for k, v in fields.items() if v)
    answer = rehearsal.handle(
        "POST",
        "/v1/confirmation_tokens",
        {"Authorization": f"Bearer {rehearsal.publishable_key}"},
        body + "&payment_method_data[type]=card&return_url=https%3A%2F%2Fshop.test%2F",
    )
    return json.loads(answer.body)


@pytest.mark.parametrize("card", CARDS, ids=by_name)
def test_every_number_has_a_right_check_digit(card: Card) -> None:
    assert passes_luhn(card.number)
    assert not passes_luhn(card.number[:-1] + str((int(card.number[-1]) + 1) % 10))


@pytest.mark.parametrize("card", SUCCEED, ids=by_name)
def test_a_card_that_succeeds_is_charged(
    card: Card, rehearsal: Rehearsal, client: stripe.StripeClient
) -> None:
    token = from_browser(rehearsal, card.number, cvc="1234" if card.brand == "amex" else "123")
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    paid = client.v1.payment_intents.confirm(
        intent.id, {"confirmation_token": str(token["id"]), "expand": ["latest_charge"]}
    )
    details = paid.latest_charge.payment_method_details.card
    assert paid.status == "succeeded"
    assert (details.brand, details.funding, details.last4) == (card.brand, card.funding, card.number[-4:])
    assert (details.exp_month, details.exp_year) == (12, 2034)
    assert details.checks.cvc_check == card.cvc_check
    assert paid.latest_charge.outcome.risk_level == card.risk


@pytest.mark.parametrize("card", DECLINED, ids=by_name)
def test_a_card_that_is_declined_leaves_the_intent_open_for_another(
    card: Card, client: stripe.StripeClient, pay, rehearsal: Rehearsal, receiver
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        pay(card.name)
    error, decline = caught.value.error, card.decline
    assert decline is not None
    assert caught.value.http_status == 402
    assert (error.code, error.decline_code, error.message) == (
        decline.code,
        decline.decline_code,
        decline.message,
    )
    intent = client.v1.payment_intents.retrieve(error.payment_intent.id)
    assert intent.status == error.payment_intent.status == "requires_payment_method"
    assert intent.payment_method is None
    assert intent.last_payment_error.decline_code == decline.decline_code
    charge = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, decline.code)
    assert charge.outcome.type == ("blocked" if decline.blocked else "issuer_declined")
    rehearsal.deliveries.deliver_due()
    assert receiver.types() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    paid = client.v1.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
    )
    assert paid.status == "succeeded"
    assert paid.last_payment_error is None


@pytest.mark.parametrize("card", ASKED, ids=by_name)
def test_a_card_that_asks_goes_on_after_the_customer_passed(
    card: Card, rehearsal: Rehearsal, client: stripe.StripeClient, pay
) -> None:
    waiting = pay(card.name)
    assert waiting.status == "requires_action"
    after = rehearsal.authenticate(waiting.id, passed=True)
    if card.decline is None:
        assert after["status"] == "succeeded"
        charge = client.v1.charges.retrieve(after["latest_charge"])
        assert charge.payment_method_details.card.three_d_secure.result == "authenticated"
    else:
        assert after["status"] == "requires_payment_method"
        assert after["last_payment_error"]["decline_code"] == card.decline.decline_code


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number"),
        ({"number": "42424242"}, "incorrect_number", "number"),
        ({"exp_month": "13"}, "invalid_expiry_month", "exp_month"),
        ({"exp_year": "1999"}, "invalid_expiry_year", "exp_year"),
        ({"exp_year": "2020"}, "invalid_expiry_year", "exp_year"),
        ({"cvc": "99"}, "invalid_cvc", "cvc"),
        ({"number": "4539148803436467"}, "card_declined", "number"),
    ],
)
def test_wrong_card_details_are_refused_when_they_are_entered(
    rehearsal: Rehearsal, given: dict[str, str], code: str, param: str
) -> None:
    number = given.pop("number", "4242424242424242")
    error = from_browser(rehearsal, number, **given)["error"]
    assert isinstance(error, dict)
    assert (error["type"], error["code"], error["param"]) == ("card_error", code, param)


def test_a_server_may_not_send_card_numbers(rehearsal: Rehearsal) -> None:
    answer = rehearsal.handle(
        "POST",
        "/v1/test_helpers/confirmation_tokens",
        {"Authorization": "Bearer sk_test_rehearsal"},
        "payment_method_data[type]=card&payment_method_data[card][number]=4242424242424242",
    )
    assert answer.status == 400
    assert "unsafe" in answer.body


def test_no_number_and_no_secret_stays_anywhere(rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    token = from_browser(rehearsal, "4000000000003220")
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    client.v1.payment_intents.confirm(intent.id, {"confirmation_token": str(token["id"])})
    key = {"Authorization": f"Bearer {rehearsal.publishable_key}"}
    rehearsal.handle("GET", f"/v1/payment_intents/{intent.id}?client_secret={intent.client_secret}", key)
    kept = json.dumps(rehearsal.store.dump())
    assert "4000000000003220" not in kept
    log = json.dumps(list(rehearsal.requests))
    assert "4000000000003220" not in log
    assert str(intent.client_secret) not in log
    assert str(intent.client_secret) not in json.dumps(rehearsal.dump())
