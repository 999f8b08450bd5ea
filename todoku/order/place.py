"""Place an order: from a quote that the shopper has agreed to, to a row that keeps the promise.

The order, its lines and its payment attempt are committed, with the flow's first play, before anybody asks
Stripe for money. Replayed, doubled and stale presses end here.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from todoku.cart.models import Cart
from todoku.engines import engine
from todoku.order import in_doubt
from todoku.order.in_doubt import Doubt
from todoku.order.models import Order, OrderLine, Status
from todoku.order.moves import move, write
from todoku.order.rules import PAID, new_number
from todoku.payment.models import Attempt, Intent
from todoku.quote import ask
from todoku.quote.models import DETAIL_FIELDS, LINE_FIELDS, Draft, Quote
from todoku.shop import chosen
from todoku.stock.check import Short, short

FLOW = "checkout"
CONFIRMATION_TOKEN = re.compile(r"ctoken_[A-Za-z0-9_]{8,200}")


@dataclass(frozen=True)
class Placed:
    """The order stands and its flow is being played: show its page."""

    order: Order


@dataclass(frozen=True)
class InPayment:
    """An earlier order of this cart is being paid or is paid already: show that one; nothing new was charged."""

    order: Order


@dataclass(frozen=True)
class InDoubt:
    """The shopper may have bought this already: show those orders first and ask; nothing was charged."""

    doubts: list[Doubt]


@dataclass(frozen=True)
class Changed:
    """Something changed since the shopper looked: ask again; nothing was charged."""

    shown: Quote
    now: Quote


@dataclass(frozen=True)
class Refused:
    """The order was not placed; ``order/messages.py`` has the sentence for the code. Nothing was charged."""

    code: str
    short: list[Short] = field(default_factory=list)


Answer = Placed | InPayment | InDoubt | Changed | Refused


def place(
    *, cart: Cart, quote_id: object, confirmation_token: str, shopper: str, language: str, another: str = ""
) -> Answer:
    """Place the order for a quote and play its flow, in one transaction.

    The same press again (the same confirmation token) gives the same order. A second press while the order is
    being paid gives that order. After a decline the same order gets a new attempt. ``another`` names the earlier
    orders about which the shopper has said that this is another purchase (``in_doubt.seals``).
    """
    if not CONFIRMATION_TOKEN.fullmatch(confirmation_token):
        return Refused("bad_token")
    try:
        quote_id = uuid.UUID(str(quote_id))
    except ValueError:
        return Refused("stale")
    for tries_left in (2, 1, 0):
        try:
            with transaction.atomic():
                return _place(cart.pk, quote_id, confirmation_token, shopper, language, another)
        except OperationalError as error:
            # A deadlock or a lock that did not come in time: nothing was written, the whole press is done again.
            if not tries_left or getattr(error.__cause__, "sqlstate", "") not in ("40P01", "40001", "55P03"):
                raise
        except IntegrityError as error:
            if "confirmation_token" not in str(error):
                raise
            return Refused("bad_token")
    raise AssertionError("unreachable")


def in_payment(cart: Cart) -> Order | None:
    """The order of this cart whose payment is being checked, or is made and not yet worked off."""
    # Every page of the checkout asks this and nearly always there is none: the cheap question comes first.
    found = (
        Order.objects.filter(cart=cart, status__in=[Status.PLACED, *PAID])
        .order_by("-id")
        .values_list("pk", flat=True)[:1]
    )
    for order in found:
        return Order.objects.select_related("intent").get(pk=order)
    return None


def _place(
    cart_id: int, quote_id: uuid.UUID, confirmation_token: str, shopper: str, language: str, another: str
) -> Answer:
    cart = Cart.objects.select_for_update(no_key=True).filter(pk=cart_id, shopper=shopper).first()
    if cart is None:
        return Refused("empty")
    earlier = list(Order.objects.filter(cart=cart).order_by("-id"))
    for order in earlier:
        if order.status == Status.PLACED or order.status in PAID:
            return InPayment(order)
    try:
        now = ask.quote(cart)
    except ask.CannotQuote as error:
        return Refused(error.code if error.code in ("empty", "withdrawn") else "stale")
    if now.pk != quote_id:
        shown = Quote.objects.filter(pk=quote_id, cart=cart).first()
        return Changed(shown, now) if shown is not None else Refused("stale")
    in_doubt.alone(cart.pk, shopper)
    doubts = in_doubt.find(now, shopper, answered=another)
    if doubts:
        return InDoubt(doubts)
    missing = short(cart.lines.all())
    if missing:
        return Refused("sold_out", missing)
    again = next((order for order in earlier if order.quote_id == now.pk), None)
    if again is None:
        intent = Intent.objects.filter(
            quote=now, amount=now.total, ready=True, canceled_at=None, order=None
        ).first()
        if intent is None:
            return Refused("stale")
        _withdraw(earlier)
        order = _write(cart, now, intent, shopper, language)
    else:
        order = Order.objects.select_for_update(no_key=True).get(pk=again.pk)
        if order.status != Status.NOT_PAID or order.withdrawn_at is not None:
            return Refused("stale")
        if order.attempts >= settings.MOST_ATTEMPTS:
            return Refused("too_many_attempts")
        by = _pay_by()
        move(
            order,
            Status.PLACED,
            attempts=order.attempts + 1,
            pay_by=by,
            next_look_at=by,
            setback=None,
            language=language,
        )
    # A replay of a press that has come to its (unpaid) end is refused by the token's own constraint.
    Attempt.objects.create(
        order=order,
        number=order.attempts,
        confirmation_token=confirmation_token,
        # Fixed with the press: asked again under the same key, Stripe must be told the same.
        konbini_days=chosen.now().konbini_days if chosen.now().konbini else 0,
    )
    engine.play(FLOW, order, knock="press")
    return Placed(order)


def _write(cart: Cart, quote: Quote, intent: Intent, shopper: str, language: str) -> Order:
    draft = Draft.objects.get(cart=cart)
    order = Order.objects.create(
        number=new_number(timezone.localdate()),
        shopper=shopper,
        language=language,
        cart=cart,
        cart_version=quote.cart_version,
        quote=quote,
        intent=intent,
        goods_total=quote.goods_total,
        shipping=quote.shipping,
        total=quote.total,
        parcels=quote.parcels,
        taxes=quote.taxes,
        pay_by=_pay_by(),
        next_look_at=_pay_by(),
        **{name: getattr(draft, name) for name in DETAIL_FIELDS},
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, **{name: getattr(line, name) for name in LINE_FIELDS}) for line in quote.lines.all()
    )
    return order


def _withdraw(earlier: list[Order]) -> None:
    """End the unpaid orders of the cart's earlier versions: their intents are canceled by their own flow."""
    now = timezone.now()
    for older in earlier:
        if older.status == Status.NOT_PAID and older.withdrawn_at is None:
            write(older, withdrawn_at=now)
            engine.play(FLOW, older, knock="withdrawn")


def _pay_by() -> datetime:
    return timezone.now() + timedelta(minutes=chosen.now().pay_within_minutes)
