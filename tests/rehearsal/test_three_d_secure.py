"""3-D Secure: the customer is asked, and passes, fails, leaves, or comes too late."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import stripe

from rehearsal import ApiError, Rehearsal
from rehearsal.three_d_secure import return_address

ASKS = "pm_card_threeDSecure2Required"


def redirected(client: stripe.StripeClient) -> stripe.PaymentIntent:
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    return client.v1.payment_intents.confirm(
        intent.id, {"payment_method": ASKS, "return_url": "https://shop.test/back?order=42"}
    )


def test_without_the_browser_s_sdk_the_customer_is_sent_to_the_bank_and_back(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = redirected(client)
    assert waiting.status == "requires_action"
    assert waiting.next_action.type == "redirect_to_url"
    challenge_id = waiting.next_action.redirect_to_url.url.rsplit("/", 1)[1]
    after = rehearsal.answer_challenge(challenge_id, True)
    address = return_address(rehearsal.find("challenges", challenge_id) or {}, after)
    query = parse_qs(urlsplit(str(address)).query)
    assert query["order"] == ["42"]
    assert query["payment_intent"] == [waiting.id]
    assert query["redirect_status"] == ["succeeded"]


def test_a_token_of_the_card_form_lets_the_browser_ask(
    rehearsal: Rehearsal, client: stripe.StripeClient
) -> None:
    from tests.rehearsal.test_cards import from_browser

    token = from_browser(rehearsal, "4000000000003220")
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    waiting = client.v1.payment_intents.confirm(intent.id, {"confirmation_token": str(token["id"])})
    assert waiting.next_action.type == "use_stripe_sdk"


def test_failing_asks_for_another_payment_method(
    client: stripe.StripeClient, rehearsal: Rehearsal, receiver, pay
) -> None:
    waiting = pay(ASKS)
    rehearsal.authenticate(waiting.id, passed=False)
    after = client.v1.payment_intents.retrieve(waiting.id)
    assert after.status == "requires_payment_method"
    assert after.last_payment_error.code == "payment_intent_authentication_failure"
    assert after.latest_charge is None
    rehearsal.deliveries.deliver_due()
    assert receiver.types() == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.payment_failed",
    ]
    again = client.v1.payment_intents.confirm(
        after.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
    )
    assert again.status == "succeeded"


def test_leaving_leaves_the_intent_waiting_and_it_can_be_canceled(
    client: stripe.StripeClient, rehearsal: Rehearsal, pay
) -> None:
    waiting = pay(ASKS)
    rehearsal.advance(3 * 86400)
    assert client.v1.payment_intents.retrieve(waiting.id).status == "requires_action"
    assert client.v1.payment_intents.cancel(waiting.id).status == "canceled"
    with pytest.raises(LookupError):
        rehearsal.authenticate(waiting.id)
    assert client.v1.payment_intents.retrieve(waiting.id).status == "canceled"


def test_passing_after_it_was_canceled_or_twice_changes_nothing(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = redirected(client)
    question = waiting.next_action.redirect_to_url.url.rsplit("/", 1)[1]
    client.v1.payment_intents.cancel(waiting.id)
    with pytest.raises(ApiError):
        rehearsal.answer_challenge(question, True)
    other = redirected(client)
    question = other.next_action.redirect_to_url.url.rsplit("/", 1)[1]
    rehearsal.answer_challenge(question, True)
    with pytest.raises(ApiError):
        rehearsal.answer_challenge(question, True)
    assert len(rehearsal.rows("charges")) == 1


def test_confirming_anew_makes_the_first_question_void(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = redirected(client)
    question = waiting.next_action.redirect_to_url.url.rsplit("/", 1)[1]
    paid = client.v1.payment_intents.confirm(
        waiting.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
    )
    assert paid.status == "succeeded"
    with pytest.raises(ApiError):
        rehearsal.answer_challenge(question, True)
    assert len(rehearsal.rows("charges")) == 1


def test_changing_the_amount_makes_the_question_void(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = redirected(client)
    changed = client.v1.payment_intents.update(waiting.id, {"amount": 9000})
    assert changed.status == "requires_confirmation"
    with pytest.raises(LookupError):
        rehearsal.authenticate(waiting.id)


def test_without_the_customer_a_card_that_asks_is_declined(client: stripe.StripeClient, pay) -> None:
    for given in ({"off_session": True}, {"error_on_requires_action": True}):
        with pytest.raises(stripe.CardError) as caught:
            pay(ASKS, **given)
        assert caught.value.code == "authentication_required"


@pytest.mark.parametrize(
    ("card", "wish", "result"),
    [
        ("pm_card_visa", "any", "attempt_acknowledged"),
        ("pm_card_threeDSecureOptional", "any", "authenticated"),
        ("pm_card_threeDSecureOptionalProcessingError", "any", "processing_error"),
        ("pm_card_visa", "automatic", None),
        ("pm_card_amex", "any", None),
    ],
)
def test_3d_secure_can_be_asked_for_and_go_without_a_question(
    pay, card: str, wish: str, result: str | None
) -> None:
    paid = pay(
        card, payment_method_options={"card": {"request_three_d_secure": wish}}, expand=["latest_charge"]
    )
    assert paid.status == "succeeded"
    done = paid.latest_charge.payment_method_details.card.three_d_secure
    assert (done.result if done else None) == result


def test_a_question_can_be_asked_for(pay) -> None:
    options = {"card": {"request_three_d_secure": "challenge"}}
    assert pay("pm_card_threeDSecureOptional", payment_method_options=options).status == "requires_action"


def test_a_card_whose_bank_cannot_be_reached_is_declined(pay) -> None:
    with pytest.raises(stripe.CardError) as caught:
        pay("pm_card_threeDSecureRequiredProcessingError")
    assert caught.value.code == "card_declined"
