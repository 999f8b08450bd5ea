"""Faults strike where they are told to, as often as they are told to, and leave the truth behind."""

from __future__ import annotations

import pytest
import stripe

from rehearsal import Fault, Rehearsal, standing_still
from rehearsal.faults import KINDS
from rehearsal.http_client import InProcessClient

DONE = {
    "drop_after",
    "error_after",
    "error_after_unkept",
    "malformed",
    "truncated",
    "wrong_type",
    "bad_gateway",
    "slow_before",
    "slow_after",
}
TELLS = {
    "drop_before": stripe.APIConnectionError,
    "drop_after": stripe.APIConnectionError,
    "error_before": stripe.APIError,
    "error_after": stripe.APIError,
    "rate_limit": stripe.RateLimitError,
    "lock_timeout": stripe.RateLimitError,
    "conflict": stripe.APIError,
    "not_available": stripe.InvalidRequestError,
    "malformed": stripe.APIError,
    "truncated": stripe.APIConnectionError,
    "wrong_type": stripe.APIError,
    "error_before_unkept": stripe.APIError,
    "error_after_unkept": stripe.APIError,
    "bad_gateway": stripe.APIError,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_does_what_it_says(kind: str, rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    seconds = 3.0 if kind.startswith("slow") else 0.0
    rehearsal.faults.set(Fault(kind, path="*/confirm", seconds=seconds))  # type: ignore[arg-type]
    before = rehearsal.clock.now()
    given = {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
    if kind in TELLS:
        with pytest.raises(TELLS[kind]):
            client.v1.payment_intents.confirm(intent.id, given)  # type: ignore[arg-type]
    elif kind == "processing":
        assert client.v1.payment_intents.confirm(intent.id, given).status == "processing"  # type: ignore[arg-type]
        rehearsal.settle_processing(intent.id, paid=False)
    else:
        assert client.v1.payment_intents.confirm(intent.id, given).status == "succeeded"  # type: ignore[arg-type]
        assert rehearsal.clock.now() - before == seconds
    status = client.v1.payment_intents.retrieve(intent.id).status
    assert status == ("succeeded" if kind in DONE else "requires_payment_method")
    assert rehearsal.faults.rules() == []


def test_a_fault_skips_strikes_and_is_over(rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    rehearsal.faults.set(Fault("rate_limit", skip=1, times=2))
    outcomes = []
    for _ in range(5):
        try:
            client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
            outcomes.append("made")
        except stripe.RateLimitError:
            outcomes.append("429")
    assert outcomes == ["made", "429", "429", "made", "made"]


def test_a_fault_for_another_call_does_not_strike(rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    rehearsal.faults.set(Fault("error_before", method="GET"))
    rehearsal.faults.set(Fault("error_before", path="*/cancel", times=None))
    assert client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}).amount == 5400


def test_a_500_on_a_decline_hides_it_and_is_kept(rehearsal: Rehearsal, client: stripe.StripeClient) -> None:
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    rehearsal.faults.set(Fault("error_after", path="*/confirm"))
    for _ in range(2):
        with pytest.raises(stripe.APIError) as caught:
            client.v1.payment_intents.confirm(
                intent.id,
                {"payment_method": "pm_card_visa_chargeDeclined", "return_url": "https://shop.test/"},
                {"idempotency_key": "c"},
            )
        assert caught.value.http_status == 500
    assert client.v1.payment_intents.retrieve(intent.id).last_payment_error.code == "card_declined"


def test_a_500_that_is_not_kept_is_carried_out_anew(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    for kind in ("error_before_unkept", "error_after_unkept"):
        rehearsal.faults.set(Fault(kind, path="/v1/payment_intents"))  # type: ignore[arg-type]
        with pytest.raises(stripe.APIError) as caught:
            client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": kind})
        assert "Stripe-Should-Retry" not in caught.value.headers
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"}, {"idempotency_key": kind})
    # The second one was made twice: that is what makes it dangerous.
    assert len(rehearsal.rows("payment_intents")) == 3


def test_a_broken_connection_may_come_after_a_long_wait(
    client: stripe.StripeClient, rehearsal: Rehearsal
) -> None:
    rehearsal.faults.set(Fault("drop_before", seconds=30))
    before = rehearsal.clock.now()
    with pytest.raises(stripe.APIConnectionError):
        client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    assert rehearsal.clock.now() - before == 30
    assert rehearsal.rows("payment_intents") == []


def test_an_impatient_caller_times_out_and_it_is_done_all_the_same() -> None:
    slept: list[float] = []
    rehearsal = Rehearsal(clock=standing_still(), confirm_seconds=5)
    client = stripe.StripeClient(
        "sk_test_rehearsal", http_client=InProcessClient(rehearsal, timeout=2, sleep=slept.append)
    )
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    with pytest.raises(stripe.APIConnectionError) as caught:
        client.v1.payment_intents.confirm(
            intent.id, {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
        )
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert slept == [2]
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "other"},
        {"kind": "slow_before"},
        {"kind": "drop_after", "times": 0},
        {"kind": "slow_after", "seconds": 1e9},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Fault(**wrong)  # type: ignore[arg-type]
