"""The catch-up: events that never came are fetched from Stripe's list, and treated as if they had come.

Stripe gives up on an endpoint after three days and lists its events for thirty (docs.stripe.com/api/events). So
the list is read every few minutes, from a bookmark on, with an overlap. It also brings orders home in a shop that no
event can reach at all.
"""

from __future__ import annotations

import itertools
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from todoku.bad_news import Unavailable
from todoku.gateways import stripe as stripe_gateway
from todoku.gateways.gateway import Gateway, Happened, Refused
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.webhooks.models import Bookmark
from todoku.webhooks.take import claim, is_ours, known, owners, take
from todoku.webhooks.wanted import WANTED

log = logging.getLogger(__name__)

#: What happened shortly before the bookmark is asked for again: Stripe's clock is not ours, and its list may lag.
OVERLAP = timedelta(minutes=15)
#: How long Stripe lists its events; a little less, so that nothing drops out while it is being read.
LISTED_FOR = timedelta(days=30) - timedelta(minutes=5)
#: A shop that has not been able to read for so long tells a person.
TOO_OLD = timedelta(hours=1)
#: Events looked up in our own tables at once.
AT_ONCE = 100

_LIST = "stripe"


@dataclass(frozen=True)
class CaughtUp:
    """What one round has done: events that were new, and orders knocked on."""

    read: int
    new: int
    knocked: int


def catch_up(now: datetime | None = None) -> CaughtUp:
    """Read what Stripe says has happened since the last time; any number may do this at once, and at any time again.

    Raises ``Unavailable`` when the list could not be read to its end; what was read is kept, and the bookmark stays.
    """
    now = now or timezone.now()
    bookmark, _made = Bookmark.objects.get_or_create(name=_LIST)
    oldest = now - LISTED_FOR
    since = max(oldest, bookmark.read_until - OVERLAP) if bookmark.read_until else oldest
    read = new = knocked = 0
    try:
        for some in _batches(stripe_gateway.for_worker(), since):
            read += len(some)
            added, knocks = _take(some)
            new, knocked = new + added, knocked + knocks
    except (Unavailable, Refused) as error:
        _ring_if_old(bookmark, now, error)
        if isinstance(error, Refused):
            # Our key may not list events, or Stripe does not know the question: the next round asks again.
            raise Unavailable(f"Stripe will not list its events: {error}") from error
        raise
    knocked += claim()
    _turn_page(bookmark, now, oldest)
    if new:
        log.info("%d events had not come by themselves; %d orders are played", new, knocked)
    return CaughtUp(read, new, knocked)


def _batches(gateway: Gateway, since: datetime) -> Iterator[list[Happened]]:
    """Stripe's list in handfuls. No transaction is open while Stripe is being asked."""
    listed = gateway.events(since=since, types=WANTED)
    while some := list(itertools.islice(listed, AT_ONCE)):
        yield some


def _take(listed: Sequence[Happened]) -> tuple[int, int]:
    """Take in those that are new, each order's in one transaction with its knock; return how many, and the knocks."""
    old = known([event.id for event in listed])
    by_order: dict[Order | None, list[Happened]] = defaultdict(list)
    news = [event for event in listed if event.id not in old and is_ours(event)]
    found = owners(event.payment_intent for event in news)
    for event in news:
        by_order[found.get(event.payment_intent)].append(event)
    new = knocked = 0
    for order, events in by_order.items():
        added = take(events, order, listed=True)
        new += added
        knocked += int(added > 0 and order is not None)
    return new, knocked


def _turn_page(bookmark: Bookmark, now: datetime, oldest: datetime) -> None:
    """Move the bookmark on, never back; say so if Stripe no longer listed all that had been missed."""
    with transaction.atomic():
        if bookmark.read_until is not None and bookmark.read_until < oldest:
            bell.report(
                "events_lost",
                about=f"events {bookmark.read_until.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
                why=(
                    f"Stripe's events were not read for {(now - bookmark.read_until).days} days, and Stripe lists"
                    f" them for 30. Those from before {timezone.localtime(oldest):%Y-%m-%d %H:%M} JST are not to be had"
                    " any more. Reconciliation finds what they would have told; run it over the whole time with"
                    f" todoku reconcile --since {timezone.localtime(bookmark.read_until):%Y-%m-%d}."
                ),
            )
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE webhooks_bookmark SET read_until = GREATEST(read_until, %s) WHERE id = %s", [now, bookmark.pk]
            )
        bell.withdraw(
            Case.objects.filter(code="events_not_read", closed_at=None, execution=None).values_list("pk", flat=True)
        )


def _ring_if_old(bookmark: Bookmark, now: datetime, error: Exception) -> None:
    """Open a finding once the list has not been read for too long; orders still come home by their regular look."""
    last = bookmark.read_until or bookmark.began_at
    if now - last <= TOO_OLD:
        return
    with transaction.atomic():
        bell.report(
            "events_not_read",
            about=_LIST,
            why=(
                f"Stripe's list of events has not been read since {timezone.localtime(last):%Y-%m-%d %H:%M} JST."
                " Orders are still looked at one by one. Check status.stripe.com, the shop's network and its key;"
                " this closes itself once the list can be read."
            ),
            technical=f"{type(error).__name__}: {error}",
        )
