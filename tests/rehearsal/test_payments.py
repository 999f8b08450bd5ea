"""PaymentIntents from making to paying, through Stripe's own SDK."""

from __future__ import annotations

import pytest
import stripe

from rehearsal import Rehearsal, version


def make(client: stripe.StripeClient, **params: object) -> stripe.PaymentIntent:
    return client.v1.payment_intents.create({"amount": 5400, "currency": "jpy", **params})


def refusal(client: stripe.StripeClient, **params: object) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        make(client, **params)
    return caught.value


def test_the_api_version_is_the_installed_sdk_s() -> None:
    assert stripe.api_version == version.API_VERSION


def test_a_new_intent_waits_for_a_payment_method(client: stripe.StripeClient) -> None:
    intent = make(client, metadata={"order": "42"}, description="Order 42")
    assert intent.status == "requires_payment_method"
    assert (intent.amount, intent.currency, intent.amount_received) == (5400, "jpy", 0)
    assert intent.metadata["order"] == "42"
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert intent.payment_method_types == ["card"]
    assert intent.capture_method == "automatic_async"


def test_a_confirmed_card_payment_is_paid_and_has_its_charge(client: stripe.StripeClient, pay) -> None:
    paid = pay(expand=["latest_charge", "payment_method"])
    assert paid.status == "succeeded"
    assert paid.amount_received == 5400
    charge = paid.latest_charge
    assert charge.paid
    assert charge.status == "succeeded"
    assert charge.payment_method_details.card.last4 == "4242"
    assert charge.payment_method_details.card.brand == "visa"
    assert charge.outcome.type == "authorized"
    assert paid.payment_method.card.last4 == "4242"
    assert client.v1.charges.retrieve(charge.id).payment_intent == paid.id
    assert client.v1.payment_methods.retrieve(paid.payment_method.id).type == "card"
    assert [c.id for c in client.v1.charges.list({"payment_intent": paid.id}).data] == [charge.id]


def test_an_intent_can_be_made_and_confirmed_in_one_call(client: stripe.StripeClient) -> None:
    paid = make(client, confirm=True, payment_method="pm_card_jcb", return_url="https://shop.test/")
    assert paid.status == "succeeded"


def test_an_intent_with_a_payment_method_waits_to_be_confirmed(client: stripe.StripeClient) -> None:
    intent = make(client, payment_method="pm_card_visa")
    assert intent.status == "requires_confirmation"
    paid = client.v1.payment_intents.confirm(intent.id, {"return_url": "https://shop.test/"})
    assert paid.status == "succeeded"


def test_the_amount_and_our_ids_can_be_changed_before_it_is_paid(client: stripe.StripeClient) -> None:
    intent = make(client, metadata={"cart": "1", "draft": "x"})
    intent = client.v1.payment_intents.update(
        intent.id, {"amount": 6000, "metadata": {"cart": "2", "draft": ""}, "description": "Changed"}
    )
    assert (intent.amount, intent.description) == (6000, "Changed")
    assert intent.metadata.to_dict() == {"cart": "2"}


def test_the_amount_of_a_paid_intent_cannot_be_changed(client: stripe.StripeClient, pay) -> None:
    paid = pay()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.update(paid.id, {"amount": 1000})
    assert caught.value.code == "payment_intent_unexpected_state"
    assert (
        client.v1.payment_intents.update(paid.id, {"metadata": {"note": "late"}}).metadata["note"] == "late"
    )


def test_a_paid_intent_cannot_be_confirmed_or_canceled(client: stripe.StripeClient, pay) -> None:
    paid = pay()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.confirm(paid.id, {"payment_method": "pm_card_visa"})
    assert caught.value.code == "payment_intent_unexpected_state"
    assert caught.value.error.payment_intent.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.cancel(paid.id)
    assert caught.value.code == "payment_intent_unexpected_state"
    assert len(client.v1.charges.list({"payment_intent": paid.id}).data) == 1


def test_a_canceled_intent_can_never_be_paid(client: stripe.StripeClient) -> None:
    intent = make(client)
    canceled = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert canceled.canceled_at is not None
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
        )
    assert caught.value.code == "payment_intent_unexpected_state"


def test_confirming_without_a_payment_method_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        client.v1.payment_intents.confirm(make(client).id)


def test_confirming_without_a_return_address_is_refused_unless_redirects_are_ruled_out(
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="return_url"):
        client.v1.payment_intents.confirm(make(client).id, {"payment_method": "pm_card_visa"})
    quiet = make(client, automatic_payment_methods={"enabled": True, "allow_redirects": "never"})
    assert (
        client.v1.payment_intents.confirm(quiet.id, {"payment_method": "pm_card_visa"}).status == "succeeded"
    )
    cards_only = make(client, allowed_payment_method_types=["card"])
    assert (
        client.v1.payment_intents.confirm(cards_only.id, {"payment_method": "pm_card_visa"}).status
        == "succeeded"
    )


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        (49, "amount_too_small"),
        (100_000_000, "amount_too_large"),
        (0, "parameter_invalid_integer"),
        (-5, "parameter_invalid_integer"),
    ],
)
def test_an_amount_that_yen_cannot_be_is_refused(client: stripe.StripeClient, amount: int, code: str) -> None:
    assert refusal(client, amount=amount).code == code


@pytest.mark.parametrize("amount", [50, 99_999_999])
def test_the_smallest_and_the_largest_amount_are_taken(client: stripe.StripeClient, amount: int) -> None:
    assert make(client, amount=amount).amount == amount


def test_another_currency_is_refused(client: stripe.StripeClient) -> None:
    assert refusal(client, currency="usd").param == "currency"


def test_payment_method_types_can_no_longer_be_written(client: stripe.StripeClient) -> None:
    refused = refusal(client, payment_method_types=["card"])
    assert (refused.http_status, refused.code) == (400, "payment_method_types_no_longer_supported")
    intent = make(client)
    for call in (client.v1.payment_intents.update, client.v1.payment_intents.confirm):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(intent.id, {"payment_method_types": ["card"]})  # type: ignore[arg-type]
        assert caught.value.code == "payment_method_types_no_longer_supported"


def test_allowed_types_are_filtered_silently(client: stripe.StripeClient) -> None:
    intent = make(client, allowed_payment_method_types=["card", "paypal"])
    assert intent.payment_method_types == ["card"]
    assert intent.allowed_payment_method_types == ["card", "paypal"]


def test_allowed_types_and_the_other_ways_of_choosing_exclude_each_other(client: stripe.StripeClient) -> None:
    refusal(client, allowed_payment_method_types=["card"], automatic_payment_methods={"enabled": True})
    refusal(client, allowed_payment_method_types=["card"], excluded_payment_method_types=["konbini"])


def test_excluding_every_type_is_refused(client: stripe.StripeClient) -> None:
    assert refusal(client, excluded_payment_method_types=["card"]).code == "payment_intent_invalid_parameter"


def test_an_unknown_parameter_is_refused_by_name(client: stripe.StripeClient) -> None:
    refused = refusal(client, amuont=5)
    assert (refused.code, refused.param) == ("parameter_unknown", "amuont")


def test_what_the_rehearsal_cannot_do_it_refuses_by_name(client: stripe.StripeClient) -> None:
    assert "rehearsal" in str(refusal(client, capture_method="manual"))
    assert "rehearsal" in str(refusal(client, transfer_data={"destination": "acct_1"}))
    assert refusal(client, customer="cus_1").code == "resource_missing"


def test_an_intent_that_does_not_exist_is_not_found(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.retrieve("pi_nothing")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


def test_a_payment_method_that_does_not_fit_changes_nothing(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    assert refusal(client, payment_method="pm_nothing").code == "resource_missing"
    assert rehearsal.rows("payment_intents") == rehearsal.rows("events") == []
    intent = make(client, allowed_payment_method_types=["card"])
    konbini = {"type": "konbini", "billing_details": {"name": "x", "email": "x@example.com"}}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.update(intent.id, {"amount": 9000, "payment_method_data": konbini})  # type: ignore[typeddict-item]
    assert caught.value.code == "payment_intent_incompatible_payment_method"
    assert client.v1.payment_intents.retrieve(intent.id).amount == 5400


def test_a_token_is_used_once_and_only_once(client: stripe.StripeClient) -> None:
    token = client.v1.test_helpers.confirmation_tokens.create(
        {"payment_method": "pm_card_visa_chargeDeclined", "return_url": "https://shop.test/"}
    )
    first, second = make(client), make(client)
    with pytest.raises(stripe.CardError):
        client.v1.payment_intents.confirm(first.id, {"confirmation_token": token.id})
    assert client.v1.confirmation_tokens.retrieve(token.id).payment_intent == first.id
    for intent in (first, second):
        with pytest.raises(stripe.InvalidRequestError, match="already used"):
            client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token.id})


def test_a_token_expires_after_twelve_hours(client: stripe.StripeClient, rehearsal: Rehearsal) -> None:
    token = client.v1.test_helpers.confirmation_tokens.create(
        {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
    )
    intent = make(client)
    rehearsal.advance(12 * 3600)
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token.id})


def test_wrong_and_missing_keys_are_refused_without_telling_them(rehearsal: Rehearsal) -> None:
    answer = rehearsal.handle("GET", "/v1/events", {"Authorization": "Bearer sk_live_abcdefghijklmnop"})
    assert answer.status == 401
    assert "abcdefgh" not in answer.body
    assert rehearsal.handle("GET", "/v1/events", {}).status == 401


def test_a_browser_sees_only_its_own_intent_and_only_part_of_it(
    rehearsal: Rehearsal, client: stripe.StripeClient
) -> None:
    import json

    intent = make(client, metadata={"secret": "note"})
    key = {"Authorization": f"Bearer {rehearsal.publishable_key}"}
    path = f"/v1/payment_intents/{intent.id}"
    seen = rehearsal.handle("GET", f"{path}?client_secret={intent.client_secret}", key)
    assert seen.status == 200
    assert json.loads(seen.body)["status"] == "requires_payment_method"
    assert "metadata" not in json.loads(seen.body)
    assert rehearsal.handle("GET", f"{path}?client_secret={intent.id}_secret_wrong", key).status == 404
    assert rehearsal.handle("GET", path, key).status == 403
    assert rehearsal.handle("POST", path, key, "amount=50").status == 403
    assert rehearsal.handle("POST", "/v1/payment_intents", key, "amount=50&currency=jpy").status == 403


def test_lists_are_newest_first_and_paged(client: stripe.StripeClient, rehearsal: Rehearsal) -> None:
    ids = []
    for _ in range(7):
        ids.append(make(client).id)
        rehearsal.advance(10)
    page = client.v1.payment_intents.list({"limit": 3})
    assert [i.id for i in page.data] == ids[:3:-1]
    assert page.has_more
    assert [i.id for i in page.auto_paging_iter()] == ids[::-1]
    before = client.v1.payment_intents.list({"limit": 2, "ending_before": ids[2]})
    assert [i.id for i in before.data] == [ids[4], ids[3]]
    third = client.v1.payment_intents.retrieve(ids[2]).created
    assert [i.id for i in client.v1.payment_intents.list({"created": {"lt": third}}).data] == ids[1::-1]
    assert [i.id for i in client.v1.payment_intents.list({"created": {"gte": third}}).data] == ids[:1:-1]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.list({"limit": 0})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.list({"starting_after": "pi_nothing"})


def test_the_hundredth_and_first_confirmation_cancels_the_intent(client: stripe.StripeClient) -> None:
    intent = make(client, allowed_payment_method_types=["card"])
    for _ in range(100):
        with pytest.raises(stripe.CardError):
            client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa_chargeDeclined"})
    assert (
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "canceled"
    )


@pytest.mark.parametrize(
    "body",
    [
        "amount[a]=1&currency=jpy",
        "amount=1e3&currency=jpy",
        "amount=5400&currency=jpy&metadata=x",
        "amount=5400&currency=jpy&metadata[a][b]=x",
        "amount=5400&currency=jpy&description=%00",
        "amount=5400&currency=jpy&description=%FF",
        "a[b=1",
        "a=1&a[b]=2",
        "[" * 300 + "=1",
        "&".join(f"x{n}=1" for n in range(2000)),
        "amount=" + "9" * 400 + "&currency=jpy",
    ],
)
def test_a_broken_form_is_a_400_and_nothing_else(rehearsal: Rehearsal, body: str) -> None:
    key = {"Authorization": "Bearer sk_test_rehearsal"}
    assert rehearsal.handle("POST", "/v1/payment_intents", key, body).status == 400


def test_text_in_any_script_comes_back_as_it_was(client: stripe.StripeClient) -> None:
    text = "毛蟹 🦀 ‮RTL‬ & = [x]"
    intent = make(client, description=text, metadata={"名前": text})
    assert client.v1.payment_intents.retrieve(intent.id).description == text
    assert intent.metadata["名前"] == text
