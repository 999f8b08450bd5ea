"""What is compared: our side of an order, an intent, a product's stock. Plain facts, no Django.

Stripe's side comes in the gateway's own words (``Payment``, ``Returned``). Amounts are whole yen, moments UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class IntentFacts:
    """Our row for one PaymentIntent."""

    id: str
    stripe_id: str | None
    amount: int
    cart: int
    created_at: datetime
    changed_at: datetime
    canceled_at: datetime | None
    order: int | None


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order and all that hangs on it, as one statement saw it."""

    id: int
    number: str
    status: str
    total: int
    goods_total: int
    quote_total: int
    lines_total: int
    attempts: int
    cart: int
    intent: str
    stripe_id: str | None
    pay_by: datetime
    placed_at: datetime
    paid_at: datetime | None
    recorded_at: datetime | None
    withdrawn_at: datetime | None
    next_look_at: datetime | None
    cart_closed: bool
    #: The present attempt; empty when there is none.
    outcome: str
    waits_for: str
    asked_at: datetime | None
    paid_attempts: int
    has_voucher: bool
    #: The latest play, if there was one.
    play: str
    play_started_at: datetime | None
    play_has_job: bool
    #: An open case of a play that has failed: a person is on it.
    has_case: bool
    slips: int
    on_my_page: bool
    mail_sent: bool
    intent_created_at: datetime
    #: Money that a person has accepted although it is not what was due: (received, currency, refunded).
    accepted: Sequence[tuple[int, str, int]] = ()
    #: What Stripe still had when a person wrote the order off; None when nobody has.
    written_off_with: int | None = None
    #: By product: how many were ordered, are held, and were sold by movements.
    lines: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    sold: Mapping[str, int] = field(default_factory=dict)
    #: How many holds there are for the product that has the most of them.
    most_holds: int = 0
    #: Finished steps: "TakeStock:2" → "taken".
    ledger: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefundFacts:
    """Our row for a refund that a person has asked for in the console."""

    key: str
    stripe_id: str | None
    order: int
    name: str
    state: str
    amount: int
    asked_at: datetime | None
    next_look_at: datetime | None
    approved_at: datetime | None
    finished: bool
    #: A play of its flow is under way, or has failed and a person is on it.
    left_alone: bool


@dataclass(frozen=True, slots=True)
class LevelFacts:
    """One product's stock: what the level says, and what its movements, holds and orders add up to."""

    sku: str
    on_hand: int
    reserved: int
    sold: int
    moved_on_hand: int
    moved_reserved: int
    moved_sold: int
    held: int
    #: In lines of recorded and complete orders.
    ordered: int
