"""What the rehearsal's tests share: a rehearsal on a clock that stands still, and the SDK talking to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import stripe

from rehearsal import Rehearsal, Sent, Webhook, standing_still
from rehearsal.http_client import InProcessClient
from tests.rehearsal.stripe_schemas import SchemaWatch

stripe.enable_telemetry = False

HOOK = "http://127.0.0.1:9/webhooks/stripe/"


class Receiver:
    """A shop's webhook endpoint without a network: keeps what came, answers what it is told to."""

    def __init__(self) -> None:
        self.came: list[tuple[str, bytes, dict[str, str]]] = []
        self.answers: list[Sent] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        self.came.append((url, body, headers))
        return self.answers.pop(0) if self.answers else Sent(200)

    def types(self) -> list[str]:
        import json

        return [json.loads(body)["type"] for _, body, _ in self.came]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def rehearsal(receiver: Receiver) -> Iterator[Rehearsal]:
    """A rehearsal in memory whose every request, answer and event is held against the SDK's types."""
    clock = standing_still()
    made = Rehearsal(
        clock=clock,
        seed=7,
        webhooks=[Webhook(HOOK)],
        sender=receiver,
        sleep=lambda seconds: clock.advance(seconds),
    )
    watch = SchemaWatch()
    made.observers.append(watch)
    yield made
    watch.verify(made)
    made.close()


@pytest.fixture
def client(rehearsal: Rehearsal) -> stripe.StripeClient:
    return stripe.StripeClient(
        rehearsal.secret_key, http_client=InProcessClient(rehearsal), max_network_retries=0
    )


Pay = Callable[..., stripe.PaymentIntent]


@pytest.fixture
def pay(client: stripe.StripeClient) -> Pay:
    """Makes an intent over 5,400 yen and confirms it with a test card, as a shop's server would."""

    def pay(card: str = "pm_card_visa", **params: object) -> stripe.PaymentIntent:
        intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
        token = client.v1.test_helpers.confirmation_tokens.create(
            {"payment_method": card, "return_url": "https://shop.test/back"}
        )
        return client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token.id, **params})

    return pay


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: needs Debian's Chromium")
