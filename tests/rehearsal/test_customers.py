"""Customers, and cards saved for them with and without a question by their bank."""

from __future__ import annotations

import pytest
import stripe

from rehearsal import Rehearsal


def test_a_customer_is_made_changed_found_and_deleted(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create(
        {
            "name": "届 花子",
            "email": "hanako@example.com",
            "metadata": {"shop": "1"},
            "address": {"country": "JP", "postal_code": "060-0001"},
            "preferred_locales": ["ja"],
        }
    )
    assert (made.name, made.address.country, made.preferred_locales) == ("届 花子", "JP", ["ja"])
    changed = client.v1.customers.update(made.id, {"phone": "09012345678", "metadata": {"shop": ""}})
    assert (changed.phone, changed.metadata.to_dict()) == ("09012345678", {})
    assert [c.id for c in client.v1.customers.list({"email": "hanako@example.com"}).data] == [made.id]
    assert client.v1.customers.list({"email": "other@example.com"}).data == []
    assert client.v1.customers.delete(made.id).deleted
    assert client.v1.customers.retrieve(made.id).deleted
    assert client.v1.customers.list().data == []
    for gone in (
        lambda: client.v1.customers.update(made.id, {}),
        lambda: client.v1.customers.delete(made.id),
    ):
        with pytest.raises(stripe.InvalidRequestError):
            gone()
    types = [e.type for e in client.v1.events.list().data][::-1]
    assert types == ["customer.created", "customer.updated", "customer.deleted"]


def test_a_payment_can_be_a_customer_s(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "届 花子"})
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy", "customer": customer.id})
    other = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    paid = client.v1.payment_intents.confirm(
        intent.id,
        {"payment_method": "pm_card_visa", "return_url": "https://shop.test/", "expand": ["latest_charge"]},
    )
    assert paid.latest_charge.customer == customer.id
    found = client.v1.payment_intents.list({"customer": customer.id}).data
    assert [i.id for i in found] == [intent.id]
    assert client.v1.payment_intents.update(other.id, {"customer": customer.id}).customer == customer.id
    expanded = client.v1.payment_intents.retrieve(intent.id, {"expand": ["customer"]})
    assert expanded.customer.name == "届 花子"


def test_a_card_is_saved_for_a_customer_and_paid_with_later(client: stripe.StripeClient) -> None:
    customer = client.v1.customers.create({"name": "届 花子"})
    setup = client.v1.setup_intents.create({"customer": customer.id, "metadata": {"a": "b"}})
    assert setup.status == "requires_payment_method"
    token = client.v1.test_helpers.confirmation_tokens.create({"payment_method": "pm_card_visa"})
    done = client.v1.setup_intents.confirm(
        setup.id, {"confirmation_token": token.id, "return_url": "https://shop.test/"}
    )
    assert done.status == "succeeded"
    assert client.v1.confirmation_tokens.retrieve(token.id).setup_intent == setup.id
    (kept,) = client.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data
    assert kept.id == done.payment_method
    paid = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "customer": customer.id,
            "confirm": True,
            "off_session": True,
            "payment_method": kept.id,
            "allowed_payment_method_types": ["card"],
        }
    )
    assert paid.status == "succeeded"
    assert client.v1.payment_methods.detach(kept.id).customer is None
    assert client.v1.payment_methods.list({"customer": customer.id}).data == []
    types = [e.type for e in client.v1.events.list({"type": "setup_intent.*"}).data][::-1]
    assert types == ["setup_intent.created", "setup_intent.succeeded"]


@pytest.mark.parametrize(("passed", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_a_bank_may_ask_before_a_card_is_saved(
    client: stripe.StripeClient, rehearsal: Rehearsal, passed: bool, status: str
) -> None:
    setup = client.v1.setup_intents.create(
        {
            "confirm": True,
            "payment_method": "pm_card_authenticationRequired",
            "return_url": "https://shop.test/",
        }
    )
    assert (setup.status, setup.next_action.type) == ("requires_action", "redirect_to_url")
    assert rehearsal.authenticate(setup.id, passed)["status"] == status
    after = client.v1.setup_intents.retrieve(setup.id)
    assert after.status == status
    if not passed:
        assert after.last_setup_error.code == "setup_intent_authentication_failure"


def test_a_declined_card_is_not_saved_and_a_canceled_setup_is_over(client: stripe.StripeClient) -> None:
    setup = client.v1.setup_intents.create({"description": "Card on file"})
    with pytest.raises(stripe.CardError) as caught:
        client.v1.setup_intents.confirm(
            setup.id, {"payment_method": "pm_card_visa_chargeDeclined", "return_url": "https://shop.test/"}
        )
    assert caught.value.error.setup_intent.id == setup.id
    assert client.v1.setup_intents.update(setup.id, {"description": "x"}).description == "x"
    canceled = client.v1.setup_intents.cancel(setup.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.setup_intents.confirm(setup.id, {"payment_method": "pm_card_visa"})
    assert refused.value.code == "setup_intent_unexpected_state"
    assert len(client.v1.setup_intents.list().data) == 1
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.setup_intents.create({"customer": "cus_nobody"})


def test_a_browser_sees_its_own_setup_only(rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    setup = client.v1.setup_intents.create({"metadata": {"note": "secret"}})
    key = {"Authorization": f"Bearer {rehearsal.publishable_key}"}
    path = f"/v1/setup_intents/{setup.id}"
    seen = rehearsal.handle("GET", f"{path}?client_secret={setup.client_secret}", key)
    assert seen.status == 200
    assert "secret" not in seen.body.replace("client_secret", "").replace(str(setup.client_secret), "")
    assert rehearsal.handle("GET", path, key).status == 403
    assert rehearsal.handle("GET", f"{path}?client_secret=x", key).status == 404
