"""The port to a payment provider: what the shop asks of it, and what it learns.

The shop never acts on a payment provider's event or on a browser's word; it looks the payment up here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from todoku.bad_news import Unavailable


@dataclass(frozen=True)
class StoreCode:
    """What a customer types or shows in one chain of convenience stores."""

    chain: str
    payment_code: str
    confirmation_number: str = ""


@dataclass(frozen=True)
class VoucherSlip:
    """A konbini voucher as the provider issued it: payable until ``expires_at`` (UTC), and about an hour more."""

    expires_at: datetime
    url: str
    stores: tuple[StoreCode, ...]


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
    #: How it is or was to be paid: card, konbini, or empty when nobody has tried yet.
    method: str = ""
    #: Which convenience store took the money.
    chain: str = ""
    #: What the customer has to do: Stripe's ``next_action.type``.
    action: str = ""
    voucher: VoucherSlip | None = None
    created: datetime | None = None
    amount_refunded: int = 0
    disputed: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Declined:
    """The confirmation was answered with a definite no; the intent may be confirmed with another card.

    ``error_code`` and ``decline_code`` are Stripe's; they choose the shopper's message and nothing else.
    """

    error_code: str
    decline_code: str
    payment: Payment | None


@dataclass(frozen=True)
class Happened:
    """One of the provider's events: which payment it is about, and nothing that would have to be believed."""

    id: str
    type: str
    object_id: str
    payment_intent: str
    livemode: bool
    happened_at: datetime | None
    #: Another account that it is about; empty for our own.
    account: str = ""


@dataclass(frozen=True)
class Returned:
    """A refund or a dispute as the provider lists it. Amount in whole yen."""

    id: str
    payment_intent: str
    amount: int
    status: str
    created: datetime
    currency: str = "jpy"
    #: Why a refund has failed, in Stripe's word.
    failure_reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


class NotAsked(Unavailable):
    """Nothing was sent: the provider is away, or all that its rate limits allow is taken. Ask again later.

    ``again_in`` says in how many seconds.
    """

    def __init__(self, why: str, *, again_in: int) -> None:
        super().__init__(why)
        self.again_in = again_in


class FailureKept(Unavailable):
    """The provider failed and keeps that answer under the key: asking again under it will never say more."""


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
    """The provider does not accept our key: wrong, revoked, or without the right. A person must mend that.

    ``revoked`` says that the key is good for nothing at all.
    """

    def __init__(self, code: str, message: str, *, revoked: bool = False) -> None:
        super().__init__(code, message)
        self.revoked = revoked


class Gateway(Protocol):
    """What a payment provider must be able to do.

    Every method may raise ``todoku.bad_news.Unavailable`` (no answer, or none to rely on: the outcome is
    unknown) or ``Refused``. ``key`` is the idempotency key: the caller has committed the row that it comes from.
    """

    def create(
        self, *, key: str, amount: int, metadata: Mapping[str, str], methods: Sequence[str] = ("card",)
    ) -> Payment:
        """Create a PaymentIntent over ``amount`` yen, not yet confirmed, payable by these methods."""
        ...

    def update(
        self, intent: str, *, key: str, amount: int, metadata: Mapping[str, str], methods: Sequence[str] = ("card",)
    ) -> Payment:
        """Change an unconfirmed PaymentIntent's amount, methods and metadata."""
        ...

    def look(self, intent: str) -> Payment:
        """Say how the PaymentIntent stands now."""
        ...

    def confirm(
        self, intent: str, *, key: str, confirmation_token: str, return_url: str, konbini_days: int | None = None
    ) -> Payment | Declined:
        """Ask for the money; a konbini voucher, if that was chosen, lives until the end of so many days (JST)."""
        ...

    def cancel(self, intent: str, *, key: str) -> Payment:
        """Make sure that the PaymentIntent can no longer be paid; raises Refused if it has been paid."""
        ...

    def refund(
        self,
        intent: str,
        *,
        key: str,
        amount: int,
        metadata: Mapping[str, str],
        reason: str = "",
        instructions_email: str = "",
    ) -> Returned:
        """Give so many yen of a payment back. Only a refund that a person has asked for in the console comes here.

        ``instructions_email`` is where Stripe asks for a bank account, for a way of paying that has none (konbini).
        """
        ...

    def refunds_of(self, intent: str) -> Sequence[Returned]:
        """Say what has been given back of one payment, whoever did it, the newest first."""
        ...

    def payments(self, *, since: datetime, until: datetime | None = None) -> Iterator[Payment]:
        """List the PaymentIntents created since then (and before ``until``), the newest first."""
        ...

    def refunds(self, *, since: datetime) -> Iterator[Returned]:
        """List the refunds made since then, whoever made them, the newest first."""
        ...

    def disputes(self, *, since: datetime) -> Iterator[Returned]:
        """List the disputes opened since then, the newest first."""
        ...

    def events(self, *, since: datetime, types: Sequence[str]) -> Iterator[Happened]:
        """List the events of these types since then (Stripe keeps 30 days), the newest first."""
        ...
