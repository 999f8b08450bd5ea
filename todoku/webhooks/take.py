"""Take Stripe's events in: store them, each once, and knock on the order that they are about.

The door and the catch-up both end here, so an event that was missed is treated as one that came. An event about a
payment that has no order yet is stored too, and waits; ``claim`` knocks once the order is there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import connection, transaction

from todoku.engines import engine
from todoku.gateways.gateway import Happened
from todoku.order.models import Order

log = logging.getLogger(__name__)


def is_ours(event: Happened) -> bool:
    """Say whether the event is about this shop's money; one of another mode or account is logged and left alone."""
    if event.livemode != settings.STRIPE.livemode:
        log.warning("event %r (%r) has livemode %s: ignored", event.id, event.type, event.livemode)
        return False
    if event.account:
        log.warning("event %r (%r) is about account %r: ignored", event.id, event.type, event.account)
        return False
    return True


def owners(intents: Iterable[str]) -> dict[str, Order]:
    """Find the orders of these PaymentIntents (pi_…) in one question; those without an order are left out."""
    wanted = sorted({intent for intent in intents if intent})
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT intent.stripe_id, placed.id FROM payment_intent AS intent"
            " JOIN order_order AS placed ON placed.intent_id = intent.id WHERE intent.stripe_id = ANY(%s::text[])",
            [wanted],
        )
        return {intent: Order(pk=order) for intent, order in cursor.fetchall()}


def take(events: Sequence[Happened], order: Order | None, *, listed: bool = False) -> int:
    """Store the events, all about this order or about none, and knock on it if any is new; return how many are.

    One transaction: an event that is stored has knocked. ``listed`` says that they were fetched from Stripe's list
    instead of coming by themselves.
    """
    # In the order of their ids, so that two who take the same events in wait for each other and do not deadlock.
    several = sorted(events, key=lambda event: event.id)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO webhooks_stripeevent"
                " (event_id, type, object_id, livemode, happened_at, received_at, order_id, listed)"
                " SELECT id, type, object, livemode, happened, clock_timestamp(), %s::bigint, %s::boolean"
                " FROM unnest(%s::text[], %s::text[], %s::text[], %s::boolean[], %s::timestamptz[])"
                " AS event (id, type, object, livemode, happened) ORDER BY id"
                " ON CONFLICT (event_id) DO NOTHING",
                [
                    order.pk if order is not None else None,
                    listed,
                    [event.id for event in several],
                    [event.type[:100] for event in several],
                    [event.payment_intent or event.object_id for event in several],
                    [event.livemode for event in several],
                    [event.happened_at for event in several],
                ],
            )
            new = int(cursor.rowcount)
        if order is None or not new:
            return new
        engine.play("checkout", order, knock="webhook")
        if any("refund" in event.type for event in several):
            # Without a refund that a person has asked for, this plays nothing.
            engine.play("refund", order, knock="webhook")
        return new


def known(ids: Sequence[str]) -> set[str]:
    """Say which of these events are stored already, in one question."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT event_id FROM webhooks_stripeevent WHERE event_id = ANY(%s::text[])", [list(ids)])
        return {row[0] for row in cursor.fetchall()}


def claim() -> int:
    """Knock on every order that was placed after an event about its payment had come; return on how many.

    The play of the press looks at the payment anyway, so that there is hardly ever news in it; but an event that
    was acknowledged is not left without an order.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT placed.id, intent.stripe_id FROM webhooks_stripeevent AS event"
            " JOIN payment_intent AS intent ON intent.stripe_id = event.object_id"
            " JOIN order_order AS placed ON placed.intent_id = intent.id"
            " WHERE event.order_id IS NULL"
        )
        found = cursor.fetchall()
    claimed = 0
    for order, intent in found:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE webhooks_stripeevent SET order_id = %s WHERE object_id = %s AND order_id IS NULL",
                [order, intent],
            )
            if cursor.rowcount:
                engine.play("checkout", Order(pk=order), knock="webhook")
                claimed += 1
    return claimed
