"""The port to a payment provider: what the shop asks of it, and what it learns.

The shop never acts on a payment provider's event or on a browser's word; it looks the payment up here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Payment:
    """What the provider says of one PaymentIntent at this moment. Amounts in whole yen."""

    id: str
    #: Stripe's status: requires_payment_method, requires_confirmation, requires_action, processing,
    #: requires_capture, canceled, succeeded.
    status: str
    amount: int
    amount_received: int
    currency: str
    livemode: bool
    client_secret: str = field(default="", repr=False)
    #: Why the last confirmation did not pay: Stripe's error code and the issuer's decline code.
    error_code: str = ""
    decline_code: str = ""
    charge: str = ""
    card_brand: str = ""
    card_last4: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Declined:
    """The confirmation was answered with a definite no; the intent may be confirmed with another card.

    ``error_code`` and ``decline_code`` are Stripe's; they choose the shopper's message and nothing else.
    """

    error_code: str
    decline_code: str
    payment: Payment | None


class Refused(Exception):
    """The provider understood the request and will not do it; asking the same again is of no use.

    ``payment`` is the intent as the provider described it in the answer, when it did.
    """

    def __init__(self, code: str, message: str, payment: Payment | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.payment = payment


class AnotherRequest(Refused):
    """The idempotency key already stands for a request with other parameters; what became of that one is not said."""


class KeyRefused(Refused):
    """The provider does not accept our key: wrong, revoked, or without the right. A person must mend that."""


class Gateway(Protocol):
    """What a payment provider must be able to do.

    Every method may raise ``todoku.bad_news.Unavailable`` (no answer, or none to rely on: the outcome is
    unknown) or ``Refused``. ``key`` is the idempotency key: the caller has committed the row that it comes from.
    """

    def create(self, *, key: str, amount: int, metadata: Mapping[str, str]) -> Payment:
        """Create a PaymentIntent over ``amount`` yen, not yet confirmed."""
        ...

    def update(self, intent: str, *, key: str, amount: int, metadata: Mapping[str, str]) -> Payment:
        """Change an unconfirmed PaymentIntent's amount and metadata."""
        ...

    def look(self, intent: str) -> Payment:
        """Say how the PaymentIntent stands now."""
        ...

    def confirm(self, intent: str, *, key: str, confirmation_token: str, return_url: str) -> Payment | Declined:
        """Ask for the money."""
        ...

    def cancel(self, intent: str, *, key: str) -> Payment:
        """Make sure that the PaymentIntent can no longer be paid; raises Refused if it has been paid."""
        ...
