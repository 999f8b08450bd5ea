"""Compare: read both sides, let the rules find what does not agree, and look twice before believing it.

Stripe's list and our rows are read at different moments, and the shop goes on meanwhile. So whatever the list
makes look wrong is looked at again: our side, then Stripe, then our side once more. Only what is wrong on both
sides of that look is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.utils import timezone

from todoku.bad_news import Unavailable
from todoku.gateways.gateway import Gateway, KeyRefused, Payment, Refused, Returned
from todoku.reconciliation import read, rules
from todoku.reconciliation.facts import IntentFacts, OrderFacts, RefundFacts
from todoku.reconciliation.rules import Drift, News

#: How many payments or orders are compared at a time; it bounds what a run holds in memory.
AT_ONCE = 500
#: How many payments one run looks at singly; what is left over waits for the next run.
MOST_LOOKS = 300
#: Stripe's clock and ours may differ, and its list may lag; nearer to the window's edge nothing is called missing.
MARGIN = timedelta(minutes=10)
EVER = datetime(1970, 1, 1, tzinfo=UTC)

_Thing = TypeVar("_Thing")


@dataclass
class Book:
    """What one run has seen so far."""

    now: datetime
    drifts: dict[tuple[str, str], Drift] = field(default_factory=dict)
    #: Drifts that could not be looked at twice in this run.
    left: dict[tuple[str, str], Drift] = field(default_factory=dict)
    #: Orders that may hear of Stripe's news now.
    news: set[int] = field(default_factory=set)
    #: What was seen and was nobody's work in progress: a finding about it that is not found any more is gone.
    examined: set[str] = field(default_factory=set)
    #: Orders that have been compared.
    orders: set[int] = field(default_factory=set)
    #: Payments that Stripe kept, by cart.
    kept: dict[int, set[str]] = field(default_factory=dict)
    payments: int = 0
    returned: int = 0
    products: int = 0
    trouble: str = ""

    def add(self, found: Iterable[Drift | News]) -> None:
        """Note what a rule has found."""
        for one in found:
            if isinstance(one, News):
                self.news.add(one.order)
            else:
                self.drifts.setdefault((one.code, one.about), one)


def compare(gateway: Gateway, *, since: datetime, until: datetime | None, whole: bool, watched: Iterable[str]) -> Book:
    """Compare Stripe's payments of a window, and our orders of it or all of them; write nothing.

    ``watched`` names PaymentIntents with an open finding: they are looked at even when they lie outside. Stripe
    being away is no error: then only our own side is compared, and ``Book.trouble`` says so.
    """
    book = Book(timezone.now())
    try:
        for payments in _chunks(gateway.payments(since=since, until=until), AT_ONCE):
            _payments(book, payments)
        _returned(book, gateway, since, until)
    except KeyRefused:
        book.trouble = "Stripe does not accept the shop's key"
    except (Unavailable, Refused) as error:
        book.trouble = str(error)[:300]
    _orders(book, since=since, until=until, whole=whole)
    _shop(book, EVER if whole else since)
    if not book.trouble:
        _look_twice(book, gateway, [name for name in watched if name not in book.examined])
    return book


def _payments(book: Book, payments: list[Payment]) -> None:
    """Compare some of Stripe's payments with our rows, and the orders that hold them with themselves."""
    intents = read.intents(payments)
    orders = {order.id: order for order in read.orders([row.order for row in intents.values() if row.order])}
    for payment in payments:
        intent = intents.get(payment.id)
        order = orders.get(intent.order) if intent is not None and intent.order is not None else None
        book.add(rules.of_payment(payment, intent, order, now=book.now, live=settings.STRIPE.livemode))
        if order is None or not rules.left_alone(order, book.now):
            book.examined.add(payment.id)
        settled = order is not None and order.written_off_with is not None
        kept = payment.status == "succeeded" and payment.amount_refunded < payment.amount_received
        if intent is not None and kept and not settled:
            book.kept.setdefault(intent.cart, set()).add(payment.id)
    told = {intent.order for name, intent in intents.items() if intent.stripe_id == name}
    for order in orders.values():
        if order.id in told:
            _order(book, order)
    book.payments += len(payments)


def _order(book: Book, order: OrderFacts) -> None:
    book.orders.add(order.id)
    book.add(rules.of_order(order, now=book.now))
    if not rules.left_alone(order, book.now):
        book.examined.add(order.number)


def _orders(book: Book, *, since: datetime, until: datetime | None, whole: bool) -> None:
    """Compare the orders that Stripe's list has not led to."""
    first, last = since + MARGIN, (until or book.now) - MARGIN
    rest = [order for order in read.scope(EVER if whole else since) if order not in book.orders]
    for ids in _chunks(rest, AT_ONCE):
        for order in read.orders(ids):
            _order(book, order)
            if order.stripe_id and not book.trouble and first <= order.intent_created_at < last:
                told = f"{order.stripe_id} of {order.number} {order.status}"
                book.add(
                    [Drift("missing_at_stripe", order.stripe_id, order.id, order.stripe_id, order.total, None, told)]
                )


def _returned(book: Book, gateway: Gateway, since: datetime, until: datetime | None) -> None:
    """Find the orders of what was refunded or disputed at Stripe, and compare our own refunds with theirs."""
    refunds, disputes = list(gateway.refunds(since=since)), list(gateway.disputes(since=since))
    ours: dict[str, RefundFacts] = {}
    for made in _chunks(refunds, AT_ONCE):
        ours |= read.refunds(made)
    book.examined |= {one.id for one in refunds}
    for one in refunds:
        if one.id in ours:
            book.add(rules.of_own_refund(one, ours[one.id]))
    listed = {one.id for one in refunds}
    first, last = since + MARGIN, (until or book.now) - MARGIN
    for row in read.refunds_since(since):
        book.examined.add(row.name)
        book.add(rules.of_waiting_refund(row, now=book.now))
        if row.stripe_id and row.stripe_id not in listed and row.asked_at and first <= row.asked_at < last:
            told = f"{row.stripe_id} of {row.name} {row.state}"
            book.add([Drift("refund_missing", row.stripe_id, row.order, "", row.amount, None, told)])
    refunds = [one for one in refunds if one.id not in ours]
    book.returned = len(listed) + len(disputes)
    for some in _chunks([*refunds, *disputes], AT_ONCE):
        intents = read.intents_named([one.payment_intent for one in some])
        orders = {order.id: order for order in read.orders([row.order for row in intents.values() if row.order])}
        for one in some:
            intent = intents.get(one.payment_intent)
            order = orders.get(intent.order) if intent is not None and intent.order is not None else None
            if order is not None:
                book.add(_about(one, order))


def _about(one: Returned, order: OrderFacts) -> Iterator[Drift]:
    if one.id.startswith(("re_", "pyr_")):
        if not rules.is_known(one, order):
            yield rules.of_refund(one, order)
    else:
        yield from rules.of_dispute(one, order)


def _shop(book: Book, since: datetime) -> None:
    """Compare the stock with itself, and what spans several orders."""
    for level in read.levels():
        book.products += 1
        book.examined.add(level.sku)
        book.add(rules.of_level(level))
    for cart in read.closed_carts(since):
        book.add([Drift("cart_closed_without_order", f"cart {cart}")])
    for cart, intents in read.paid_twice().items():
        book.kept.setdefault(cart, set()).update(intents)
    for cart, kept in book.kept.items():
        if len(kept) > 1:
            book.add([Drift("charged_twice", f"cart {cart}", detail=" ".join(sorted(kept)))])
    for order, number in read.unheard(since, book.now - rules.LATE):
        book.add([Drift("event_without_knock", number, order)])


def _look_twice(book: Book, gateway: Gateway, watched: list[str]) -> None:
    """Look again at every payment that seems wrong, between two looks at our own side."""
    doubted = {drift.payment for drift in book.drifts.values() if drift.payment}
    names = [*doubted, *(name for name in watched if name not in doubted)]
    before = {key: drift for key, drift in book.drifts.items() if drift.payment}
    for key, drift in before.items():
        del book.drifts[key]
        if drift.payment in names[MOST_LOOKS:]:
            book.left[key] = drift
    for some in _chunks(names[:MOST_LOOKS], 50):
        first = _ours(some)
        looks: dict[str, Payment] = {}
        for name in some:
            try:
                looks[name] = gateway.look(name)
            except Refused as error:
                if error.code == "resource_missing" and ("missing_at_stripe", name) in before:
                    book.drifts["missing_at_stripe", name] = before["missing_at_stripe", name]
                else:
                    book.left |= {key: drift for key, drift in before.items() if drift.payment == name}
            except Unavailable:
                book.left |= {key: drift for key, drift in before.items() if drift.payment == name}
        last = _ours(some, looks.values())
        first |= {name: sides for name, sides in last.items() if name not in first}
        now = timezone.now()
        for name, payment in looks.items():
            found = [
                {
                    (drift.code, drift.about): drift
                    for drift in rules.of_payment(payment, *sides[name], now=now, live=settings.STRIPE.livemode)
                    if isinstance(drift, Drift)
                }
                for sides in (first, last)
            ]
            book.drifts |= {key: drift for key, drift in found[1].items() if key in found[0]}
            order = last[name][1]
            if order is None or not rules.left_alone(order, now):
                book.examined.add(name)


_Sides = dict[str, tuple[IntentFacts | None, OrderFacts | None]]


def _ours(names: list[str], payments: Iterable[Payment] = ()) -> _Sides:
    """Our rows for these PaymentIntents, by their id or, where Stripe has told them, by their metadata."""
    intents = read.intents_named(names) | read.intents(payments)
    orders = {order.id: order for order in read.orders([row.order for row in intents.values() if row.order])}
    sides: _Sides = {}
    known = {payment.id for payment in payments}
    for name in names:
        intent = intents.get(name)
        if intent is not None:
            sides[name] = (intent, orders.get(intent.order) if intent.order is not None else None)
        elif name in known:
            sides[name] = (None, None)
    return sides


def _chunks(things: Iterable[_Thing], size: int) -> Iterator[list[_Thing]]:
    rest = iter(things)
    while chunk := list(islice(rest, size)):
        yield chunk
