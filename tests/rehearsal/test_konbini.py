"""Konbini: codes at the till, a deadline in Japan's time, and a customer who pays, does not, or is just paying."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
import stripe

from rehearsal import Fault, Rehearsal, standing_still
from rehearsal.http_client import InProcessClient
from rehearsal.konbini import CHAINS, GRACE_SECONDS, SLIP_SECONDS
from tests.rehearsal.conftest import Receiver

JAPAN = datetime.timezone(datetime.timedelta(hours=9))
HOUR = 3600
DAY = 86400
Place = Callable[..., stripe.PaymentIntent]


def billing(email: str = "hanako@example.com") -> dict[str, Any]:
    return {"type": "konbini", "billing_details": {"name": "届 花子", "email": email}}


@pytest.fixture
def place(client: stripe.StripeClient) -> Place:
    """Makes an intent that takes cards and konbini, and confirms it with a konbini token, as a shop would."""

    def place(
        amount: int = 5400, email: str = "hanako@example.com", **options: object
    ) -> stripe.PaymentIntent:
        intent = client.v1.payment_intents.create(
            {"amount": amount, "currency": "jpy", "allowed_payment_method_types": ["card", "konbini"]}
        )
        token = client.v1.test_helpers.confirmation_tokens.create(
            {"payment_method_data": billing(email), "return_url": "https://shop.test/back"}  # type: ignore[typeddict-item]
        )
        more = {"payment_method_options": {"konbini": options}} if options else {}
        return client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token.id, **more})  # type: ignore[typeddict-item]

    return place


def status(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> str:
    return client.v1.payment_intents.retrieve(intent.id).status


def test_a_voucher_has_codes_for_four_chains_and_ends_at_midnight_in_japan(
    place: Place, rehearsal: Rehearsal, receiver: Receiver
) -> None:
    waiting = place()
    assert waiting.status == "requires_action"
    assert waiting.next_action.type == "konbini_display_details"
    details = waiting.next_action.konbini_display_details
    stores = details.stores.to_dict()
    assert set(stores) == set(CHAINS)
    for store in stores.values():
        assert store["payment_code"].isdigit()
        assert len(store["confirmation_number"]) == 11
    ends = datetime.datetime.fromtimestamp(details.expires_at, JAPAN)
    began = datetime.datetime.fromtimestamp(rehearsal.clock.now(), JAPAN)
    assert (ends.hour, ends.minute, ends.second) == (23, 59, 59)
    assert (ends.date() - began.date()).days == 3
    assert str(details.hosted_voucher_url).startswith("http://127.0.0.1:8010/_konbini/")
    rehearsal.deliveries.deliver_due()
    assert receiver.types() == ["payment_intent.created", "payment_intent.requires_action"]


@pytest.mark.parametrize("hour", [0, 14, 15, 23])
def test_a_day_is_a_day_in_japan_whatever_the_hour(hour: int) -> None:
    start = datetime.datetime(2026, 12, 30, hour, 30, tzinfo=datetime.UTC).timestamp()
    rehearsal = Rehearsal(clock=standing_still(at=start))
    client = stripe.StripeClient("sk_test_rehearsal", http_client=InProcessClient(rehearsal))
    waiting = client.v1.payment_intents.create(
        {
            "amount": 5400,
            "currency": "jpy",
            "allowed_payment_method_types": ["konbini"],
            "confirm": True,
            "payment_method_data": billing(),  # type: ignore[typeddict-item]
            "payment_method_options": {"konbini": {"expires_after_days": 2}},
        }
    )
    today = datetime.datetime.fromtimestamp(start, JAPAN).date()
    ends = datetime.datetime.fromtimestamp(waiting.next_action.konbini_display_details.expires_at, JAPAN)
    assert ends.date() == today + datetime.timedelta(days=2)
    assert ends.time() == datetime.time(23, 59, 59)


def test_paying_at_the_till_succeeds_and_names_the_chain(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal, receiver: Receiver
) -> None:
    waiting = place()
    rehearsal.advance(2 * DAY)
    rehearsal.pay_at_till(waiting.id, "lawson")
    paid = client.v1.payment_intents.retrieve(waiting.id, {"expand": ["latest_charge", "payment_method"]})
    assert (paid.status, paid.amount_received, paid.next_action) == ("succeeded", 5400, None)
    assert paid.latest_charge.payment_method_details.konbini.store.chain == "lawson"
    assert paid.latest_charge.payment_method_details.type == "konbini"
    assert paid.payment_method.type == "konbini"
    assert paid.payment_method.billing_details.email == "hanako@example.com"
    rehearsal.deliveries.deliver_due()
    assert receiver.types()[2:] == ["charge.succeeded", "payment_intent.succeeded"]
    with pytest.raises(LookupError):
        rehearsal.pay_at_till(waiting.id)


def test_stripe_gives_up_an_hour_after_the_deadline_and_not_before(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal, receiver: Receiver
) -> None:
    waiting = place()
    ends = waiting.next_action.konbini_display_details.expires_at
    rehearsal.advance(ends - rehearsal.clock.now() + GRACE_SECONDS - 1)
    assert status(client, waiting) == "requires_action"
    rehearsal.advance(1)
    after = client.v1.payment_intents.retrieve(waiting.id)
    assert (after.status, after.payment_method, after.next_action) == ("requires_payment_method", None, None)
    assert after.last_payment_error.code == "payment_intent_payment_attempt_expired"
    (failed,) = client.v1.events.list({"type": "payment_intent.payment_failed"}).data
    assert failed.created == ends + GRACE_SECONDS
    with pytest.raises(LookupError):
        rehearsal.pay_at_till(waiting.id)
    paid = client.v1.payment_intents.confirm(
        waiting.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
    )
    assert paid.status == "succeeded"


def test_a_slip_from_before_the_deadline_can_be_paid_in_the_hour_after_it(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    ends = waiting.next_action.konbini_display_details.expires_at
    rehearsal.advance(ends - rehearsal.clock.now() + 1800)
    rehearsal.pay_at_till(waiting.id)
    assert status(client, waiting) == "succeeded"
    rehearsal.advance(DAY)
    assert status(client, waiting) == "succeeded"


@pytest.mark.parametrize(
    ("number", "email", "after", "then"),
    [
        ("11111111110", None, 180, "succeeded"),
        ("22222222220", None, 0, "succeeded"),
        ("33333333330", None, 0, "requires_payment_method"),
        ("44444444440", None, 180, "requires_payment_method"),
        ("55555555550", None, 5 * DAY, "requires_payment_method"),
        (None, "succeed_immediately@test.com", 0, "succeeded"),
        (None, "x_expire_immediately@test.com", 0, "requires_payment_method"),
        (None, "expire_with_delay@test.com", 180, "requires_payment_method"),
        (None, "fill_never@test.com", 5 * DAY, "requires_payment_method"),
        ("22222222220", "expire_immediately@test.com", 0, "succeeded"),
        ("55555555550", "succeed_immediately@test.com", 5 * DAY, "requires_payment_method"),
    ],
)
def test_the_test_numbers_and_mails_do_what_stripe_says_and_the_number_wins(
    place: Place,
    client: stripe.StripeClient,
    rehearsal: Rehearsal,
    number: str | None,
    email: str | None,
    after: int,
    then: str,
) -> None:
    options = {"confirmation_number": number} if number else {}
    waiting = place(email=email or "hanako@example.com", **options)
    # The answer itself always says that the customer has to act.
    assert waiting.status == "requires_action"
    if after:
        rehearsal.advance(after - 1)
        assert status(client, waiting) == "requires_action" or after > 180
        rehearsal.advance(1)
    assert status(client, waiting) == then


def test_an_ordinary_voucher_waits_for_somebody_unless_the_test_mode_is_wished_for(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    rehearsal.advance(HOUR)
    assert status(client, waiting) == "requires_action"
    rehearsal.konbini_pays_by_itself = True
    second = place()
    rehearsal.advance(180)
    assert status(client, second) == "succeeded"
    assert status(client, waiting) == "requires_action"


def test_the_confirmation_number_can_be_the_customer_s_phone_number(place: Place) -> None:
    waiting = place(confirmation_number="09012345678")
    assert waiting.next_action.konbini_display_details.stores.lawson.confirmation_number == "09012345678"
    assert waiting.payment_method_options.konbini.confirmation_number == "09012345678"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"confirmation_number": "00000000000"}, "payment_method_invalid_parameter"),
        ({"confirmation_number": "123456789"}, "payment_method_invalid_parameter"),
        ({"confirmation_number": "090-1234-567"}, "payment_method_invalid_parameter"),
        ({"confirmation_number": "01234567890"}, "payment_intent_konbini_rejected_confirmation_number"),
        ({"expires_after_days": 0}, "payment_method_invalid_parameter"),
        ({"expires_after_days": 61}, "payment_method_invalid_parameter"),
        ({"expires_at": 1}, "payment_method_invalid_parameter"),
        ({"product_description": "あ" * 23}, None),
    ],
)
def test_options_that_stripe_refuses_are_refused_and_nothing_is_used_up(
    client: stripe.StripeClient, options: dict[str, Any], code: str | None
) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 5400, "currency": "jpy", "allowed_payment_method_types": ["konbini"]}
    )
    token = client.v1.test_helpers.confirmation_tokens.create({"payment_method_data": billing()})  # type: ignore[typeddict-item]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.confirm(
            intent.id,
            {"confirmation_token": token.id, "payment_method_options": {"konbini": options}},  # type: ignore[typeddict-item]
        )
    assert caught.value.code == code
    waiting = client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token.id})
    assert waiting.status == "requires_action"


def test_a_deadline_may_be_given_as_a_time(place: Place, rehearsal: Rehearsal) -> None:
    at = int(rehearsal.clock.now()) + 5 * HOUR
    assert place(expires_at=at).next_action.konbini_display_details.expires_at == at
    with pytest.raises(stripe.InvalidRequestError) as caught:
        place(expires_at=at, expires_after_days=2)
    assert caught.value.code == "parameters_exclusive"


@pytest.mark.parametrize("lacking", ["name", "email"])
def test_a_voucher_needs_a_name_and_a_mail(client: stripe.StripeClient, lacking: str) -> None:
    data = billing()
    del data["billing_details"][lacking]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.test_helpers.confirmation_tokens.create({"payment_method_data": data})  # type: ignore[typeddict-item]
    assert (caught.value.code, lacking in str(caught.value.param)) == ("parameter_missing", True)
    data["billing_details"][lacking] = "not a mail"
    data["billing_details"]["email"] = "not a mail"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.test_helpers.confirmation_tokens.create({"payment_method_data": data})  # type: ignore[typeddict-item]
    assert caught.value.code == "email_invalid"


def test_konbini_is_left_out_where_the_amount_does_not_fit(client: stripe.StripeClient) -> None:
    def types(amount: int) -> list[str]:
        return client.v1.payment_intents.create(
            {"amount": amount, "currency": "jpy", "allowed_payment_method_types": ["card", "konbini"]}
        ).payment_method_types

    assert types(119) == ["card"]
    assert types(120) == ["card", "konbini"]
    assert types(300_000) == ["card", "konbini"]
    assert types(300_001) == ["card"]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create(
            {"amount": 300_001, "currency": "jpy", "allowed_payment_method_types": ["konbini"]}
        )
    intent = client.v1.payment_intents.create(
        {"amount": 5000, "currency": "jpy", "allowed_payment_method_types": ["card", "konbini"]}
    )
    assert client.v1.payment_intents.update(intent.id, {"amount": 400_000}).payment_method_types == ["card"]


def test_without_being_asked_for_konbini_is_not_offered(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    token = client.v1.test_helpers.confirmation_tokens.create({"payment_method_data": billing()})  # type: ignore[typeddict-item]
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.confirm(
            intent.id, {"confirmation_token": token.id, "return_url": "https://shop.test/"}
        )
    assert caught.value.code == "payment_intent_incompatible_payment_method"
    rehearsal.dashboard_types = ("card", "konbini")
    assert client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}).payment_method_types == [
        "card",
        "konbini",
    ]


def test_a_canceled_voucher_cannot_be_paid(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place(confirmation_number="11111111110")
    assert client.v1.payment_intents.cancel(waiting.id).status == "canceled"
    with pytest.raises(LookupError):
        rehearsal.pay_at_till(waiting.id)
    rehearsal.advance(10 * DAY)
    assert status(client, waiting) == "canceled"
    assert client.v1.events.list({"type": "payment_intent.payment_failed"}).data == []


def test_confirming_again_makes_new_codes_and_the_old_ones_worthless(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    again = client.v1.payment_intents.confirm(waiting.id)
    old, new = waiting.next_action.konbini_display_details, again.next_action.konbini_display_details
    assert old.hosted_voucher_url != new.hosted_voucher_url
    assert old.stores.familymart.payment_code != new.stores.familymart.payment_code
    assert [row["state"] for row in rehearsal.rows("vouchers")] == ["open", "void"]
    rehearsal.pay_at_till(waiting.id)
    assert len(rehearsal.rows("charges")) == 1


def test_changing_the_amount_makes_the_voucher_worthless_and_describing_it_does_not(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    assert client.v1.payment_intents.update(waiting.id, {"metadata": {"a": "b"}}).status == "requires_action"
    changed = client.v1.payment_intents.update(waiting.id, {"amount": 6000})
    assert (changed.status, changed.next_action) == ("requires_confirmation", None)
    with pytest.raises(LookupError):
        rehearsal.pay_at_till(waiting.id)


def test_a_card_may_be_used_after_all(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    paid = client.v1.payment_intents.confirm(waiting.id, {"payment_method": "pm_card_visa"})
    assert paid.status == "succeeded"
    with pytest.raises(LookupError):
        rehearsal.pay_at_till(waiting.id)
    assert len(rehearsal.rows("charges")) == 1


def test_while_the_customer_stands_at_the_till_it_cannot_be_canceled_changed_or_confirmed(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    rehearsal.go_to_till(waiting.id)
    for tried in (
        lambda: client.v1.payment_intents.cancel(waiting.id),
        lambda: client.v1.payment_intents.update(waiting.id, {"amount": 6000}),
        lambda: client.v1.payment_intents.confirm(waiting.id, {"payment_method": "pm_card_visa"}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            tried()
        assert caught.value.code == "payment_intent_unexpected_state"
        assert caught.value.error.payment_intent.status == "requires_action"
    rehearsal.walk_away(waiting.id)
    assert client.v1.payment_intents.cancel(waiting.id).status == "canceled"


def test_a_customer_who_forgets_to_walk_away_leaves_after_half_an_hour(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    rehearsal.go_to_till(waiting.id)
    rehearsal.advance(SLIP_SECONDS)
    assert client.v1.payment_intents.cancel(waiting.id).status == "canceled"


def test_stripe_does_not_give_up_on_a_customer_at_the_till(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    at = int(rehearsal.clock.now()) + 600
    waiting, paying = place(expires_at=at), place(expires_at=at)
    rehearsal.advance(600 + GRACE_SECONDS - 60)
    rehearsal.go_to_till(waiting.id)
    rehearsal.go_to_till(paying.id)
    rehearsal.advance(600)
    assert status(client, waiting) == "requires_action"
    rehearsal.pay_at_till(paying.id, "seicomart")
    assert status(client, paying) == "succeeded"
    rehearsal.advance(SLIP_SECONDS)
    assert status(client, waiting) == "requires_payment_method"


def test_a_voucher_can_be_given_up_by_hand(
    place: Place, client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    waiting = place()
    rehearsal.go_to_till(waiting.id)
    rehearsal.expire_voucher(waiting.id)
    assert status(client, waiting) == "requires_payment_method"


def test_a_lost_answer_leaves_a_voucher_that_a_look_finds(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    intent = client.v1.payment_intents.create(
        {"amount": 5400, "currency": "jpy", "allowed_payment_method_types": ["konbini"]}
    )
    rehearsal.faults.set(Fault("drop_after", path="*/confirm"))
    given = {"payment_method_data": billing()}
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.confirm(intent.id, given, {"idempotency_key": "c"})  # type: ignore[arg-type]
    seen = client.v1.payment_intents.retrieve(intent.id).next_action.konbini_display_details
    again = client.v1.payment_intents.confirm(intent.id, given, {"idempotency_key": "c"})  # type: ignore[arg-type]
    assert again.next_action.konbini_display_details.hosted_voucher_url == seen.hosted_voucher_url


def test_who_wants_no_action_cannot_have_konbini(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.payment_intents.create(
            {
                "amount": 5400,
                "currency": "jpy",
                "allowed_payment_method_types": ["konbini"],
                "confirm": True,
                "error_on_requires_action": True,
                "payment_method_data": billing(),  # type: ignore[typeddict-item]
            }
        )
    assert caught.value.code == "payment_intent_action_required"


def test_konbini_cannot_be_kept_for_later(client: stripe.StripeClient, place: Place) -> None:
    method = client.v1.payment_intents.retrieve(place().id).payment_method
    customer = client.v1.customers.create({"name": "届 花子"})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_methods.attach(str(method), {"customer": customer.id})


@pytest.mark.parametrize("end", ["given up", "canceled"])
def test_a_till_that_was_offline_reports_a_payment_after_the_end(
    end: str, place: Place, client: stripe.StripeClient, rehearsal: Rehearsal, receiver: Receiver
) -> None:
    waiting = place()
    with pytest.raises(LookupError):
        rehearsal.report_late(waiting.id)  # it can still be paid in the usual way
    if end == "canceled":
        client.v1.payment_intents.cancel(waiting.id)
    else:
        rehearsal.expire_voucher(waiting.id)

    with pytest.raises(ValueError, match="chain"):
        rehearsal.report_late(waiting.id, "seven")
    rehearsal.report_late(waiting.id, "seicomart")

    intent = client.v1.payment_intents.retrieve(waiting.id, {"expand": ["latest_charge"]})
    assert (intent.status, intent.amount_received, intent.canceled_at) == ("succeeded", 5400, None)
    assert intent.latest_charge.payment_method_details.konbini.store.chain == "seicomart"
    assert client.v1.events.list({"type": "payment_intent.succeeded"}).data[0].data.object.id == waiting.id
    with pytest.raises(LookupError):
        rehearsal.report_late(waiting.id)
    assert len(rehearsal.rows("charges")) == 1
