"""What each bad ending of a call to Stripe is for the shop: declined, refused, unavailable, or a bad key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from rehearsal import Fault
from rehearsal.api import Rehearsal
from tests import shop
from tests.gateways import canned
from todoku.bad_news import Unavailable
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution, Mishap
from todoku.gateways import stripe as gateway
from todoku.gateways.gateway import Declined, KeyRefused, Payment, Refused
from todoku.notify.models import Case
from todoku.order.models import Order, Status

INTENT = {
    "id": "pi_1",
    "object": "payment_intent",
    "status": "succeeded",
    "amount": 5400,
    "amount_received": 5400,
    "currency": "jpy",
    "livemode": False,
    "client_secret": "pi_1_secret_x",
}


def _error(type: str, code: str | None = None, **more: Any) -> str:
    return json.dumps({"error": {"type": type, "message": "it is so", "code": code, **more}})


@pytest.fixture
def canned_stripe(settings: Any) -> Iterator[None]:
    settings.STRIPE_HTTP_CLIENT = "tests.gateways.canned.client"
    gateway.forget()
    yield
    canned.says.clear()
    gateway.forget()


@pytest.fixture(autouse=True)
def _no_breaker(settings: Any) -> None:
    """It needs a database, and these tests mostly none."""
    settings.STRIPE_BREAKER = False


def _confirm() -> Payment | Declined:
    return gateway.for_worker().confirm(
        "pi_1", key="k:confirm", confirmation_token="ctoken_12345678", return_url="http://127.0.0.1/back/"
    )


CALLS = {
    "create": lambda: gateway.for_page().create(key="k:create", amount=5400, metadata={"a": "b"}),
    "update": lambda: gateway.for_page().update("pi_1", key="k:update", amount=5400, metadata={}),
    "look": lambda: gateway.for_worker().look("pi_1"),
    "confirm": _confirm,
    "cancel": lambda: gateway.for_worker().cancel("pi_1", key="k:cancel"),
}

UNAVAILABLE: list[tuple[str, tuple[int, str] | Exception]] = [
    ("409 key in use", (409, _error("invalid_request_error", "idempotency_key_in_use"))),
    ("429", (429, _error("invalid_request_error", "rate_limit"))),
    ("429 lock", (429, _error("invalid_request_error", "lock_timeout"))),
    ("400 rate_limit of old", (400, _error("invalid_request_error", "rate_limit"))),
    ("500", (500, _error("api_error"))),
    ("502 in HTML", (502, "<html><h1>502 Bad Gateway</h1></html>")),
    ("503", (503, "")),
    ("504", (504, _error("api_error"))),
    ("200 cut short", (200, json.dumps(INTENT)[:40])),
    ("200 with nothing", (200, "")),
    ("200 in HTML", (200, "<html>Welcome to the hotel's network</html>")),
    ("200 with a list", (200, "[]")),
    ("200 with a number", (200, "7")),
    ("200 with null", (200, "null")),
    ("200 with a text", (200, '"ok"')),
    ("200 without a status", (200, json.dumps({**INTENT, "status": None}))),
    ("200 without an amount", (200, json.dumps({k: v for k, v in INTENT.items() if k != "amount"}))),
    ("200 with another object", (200, json.dumps({"id": "cus_1", "object": "customer"}))),
    ("200 with a strange amount", (200, json.dumps({**INTENT, "amount": "a lot"}))),
    ("no answer", stripe.APIConnectionError("Request timed out", should_retry=True)),
    ("no connection", stripe.APIConnectionError("Name or service not known", should_retry=False)),
    ("an error that is no object", (500, json.dumps({"error": "what"}))),
    ("an error that is a list", (500, json.dumps([1]))),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("said", [row[1] for row in UNAVAILABLE], ids=[row[0] for row in UNAVAILABLE])
def test_what_leaves_the_outcome_unknown_is_unavailable(
    canned_stripe: None, call: str, said: tuple[int, str] | Exception
) -> None:
    canned.says.append(said)
    with pytest.raises(Unavailable, match="Stripe: ") as unknown:
        CALLS[call]()
    assert "secret" not in str(unknown.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "type", "code"),
    [
        (400, "invalid_request_error", "payment_intent_unexpected_state"),
        (400, "invalid_request_error", "parameter_missing"),
        (404, "invalid_request_error", "resource_missing"),
        (400, "idempotency_error", None),
    ],
)
def test_what_stripe_will_not_do_is_refused_with_its_code(
    canned_stripe: None, call: str, status: int, type: str, code: str | None
) -> None:
    canned.says.append((status, _error(type, code, payment_intent={**INTENT, "status": "canceled"})))
    with pytest.raises(Refused) as refused:
        CALLS[call]()
    assert not isinstance(refused.value, KeyRefused)
    assert refused.value.code == (code or "IdempotencyError")
    assert refused.value.payment is not None and refused.value.payment.status == "canceled"
    assert "secret" not in str(refused.value) and "secret" not in repr(refused.value.payment)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_stripe_does_not_accept_is_told_apart(canned_stripe: None, call: str, status: int) -> None:
    canned.says.append((status, _error("invalid_request_error", "secret_key_required")))
    with pytest.raises(KeyRefused):
        CALLS[call]()


@pytest.mark.parametrize(
    ("number", "error_code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000009987", "card_declined", "lost_card"),
        ("4000000000000069", "expired_card", "expired_card"),
        ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
        ("4000000000000119", "processing_error", "processing_error"),
    ],
)
def test_a_402_is_declined_with_both_codes(
    rehearsal: Rehearsal, number: str, error_code: str, decline_code: str
) -> None:
    intent = gateway.for_page().create(key="k:create", amount=5400, metadata={})
    answer = gateway.for_worker().confirm(
        intent.id,
        key="k:confirm",
        confirmation_token=shop.type_card(rehearsal, number),
        return_url="http://127.0.0.1:8000/back/",
    )
    assert isinstance(answer, Declined)
    assert (answer.error_code, answer.decline_code) == (error_code, decline_code)
    assert answer.payment is not None
    assert (answer.payment.id, answer.payment.status) == (intent.id, "requires_payment_method")


def test_a_402_without_an_intent_is_still_declined(canned_stripe: None) -> None:
    canned.says.append((402, _error("card_error", "card_declined", decline_code="do_not_honor")))
    assert _confirm() == Declined("card_declined", "do_not_honor", None)


def test_a_paid_intent_is_read_with_its_card(rehearsal: Rehearsal) -> None:
    intent = gateway.for_page().create(key="k:create", amount=5400, metadata={"todoku_cart": "7"})
    assert (intent.status, intent.amount, intent.currency) == ("requires_payment_method", 5400, "jpy")
    assert intent.metadata == {"todoku_cart": "7"}
    answer = gateway.for_worker().confirm(
        intent.id,
        key="k:confirm",
        confirmation_token=shop.type_card(rehearsal),
        return_url="http://127.0.0.1:8000/back/",
    )
    assert isinstance(answer, Payment)
    assert (answer.status, answer.amount_received, answer.livemode) == ("succeeded", 5400, False)
    assert (answer.card_brand, answer.card_last4) == ("visa", "4242")
    assert answer.charge.startswith("ch_")
    assert gateway.for_worker().look(intent.id) == answer


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_play_for_a_person_and_loses_nothing(
    rehearsal: Rehearsal, crab: Product, settings: Any, status: int
) -> None:
    order = shop.order_one(rehearsal, crab)
    right = rehearsal.secret_key
    if status == 401:
        rehearsal.secret_key = "sk_test_another"
    else:
        rehearsal.secret_key, rehearsal.publishable_key = "sk_test_another", right
    gateway.forget()
    shop.work_off()

    case = Case.objects.get()
    assert (case.code, case.step) == ("stripe_key_refused", "TakePayment")
    assert case.why == "Stripe does not accept the shop's key. Check STRIPE_SECRET_KEY."
    assert right not in case.technical and right not in Execution.objects.get().cause
    assert Mishap.objects.count() == 1
    assert (Order.objects.get().status, shop.levels(crab)) == (Status.PLACED, (9, 1, 0))

    rehearsal.secret_key, rehearsal.publishable_key = right, "pk_test_rehearsal"
    engine.resume(Execution.objects.get(), who="sato")
    shop.work_off()
    assert Order.objects.get(pk=order.pk).status == Status.COMPLETE
    assert len(shop.charges(rehearsal)) == 1


def test_the_page_waits_six_seconds_for_stripe_and_the_worker_forty_and_neither_asks_again_blindly(
    rehearsal: Rehearsal,
) -> None:
    waited: list[float] = []
    rehearsal._sleep = waited.append
    rehearsal.faults.set(Fault("slow_before", method="*", seconds=60, times=None))
    with pytest.raises(Unavailable):
        CALLS["create"]()
    assert waited == [6.0]
    waited.clear()
    with pytest.raises(Unavailable):
        CALLS["look"]()
    assert waited == [40.0]
