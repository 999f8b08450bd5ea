"""The shop's numbers for the front page: few questions, each answered by an index and bounded by days.

A day is a day in Japan. None of these numbers decides anything; they are looked at.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

#: How far back the bars go, the conversion's line, and the other numbers (days, today among them).
BARS, LINE, WEEK = 30, 14, 7


@dataclass(frozen=True)
class Day:
    """What came in on one day: yen, orders, and both of them until this time of day."""

    day: date
    yen: int = 0
    orders: int = 0
    yen_by_now: int = 0
    orders_by_now: int = 0


@dataclass(frozen=True)
class Funnel:
    """How far the carts of some days have come: begun, priced, ordered, paid."""

    begun: int = 0
    quoted: int = 0
    ordered: int = 0
    paid: int = 0

    @property
    def percent(self) -> float | None:
        """How many of a hundred carts were paid; None without carts."""
        return 100 * self.paid / self.begun if self.begun else None


@dataclass(frozen=True)
class Figures:
    """Everything that the front page counts."""

    days: list[Day] = field(default_factory=list)
    funnels: dict[date, Funnel] = field(default_factory=dict)
    #: Milliseconds from the press to the complete order, of cards that the bank did not ask about: p50, p95, and how
    #: many there were.
    speed_today: tuple[int, int, int] | None = None
    speed_week: tuple[int, int, int] | None = None
    #: How many payments came in by each method and brand or chain, in the bars' days.
    methods: dict[tuple[str, str], int] = field(default_factory=dict)
    #: Why payments were declined in the last seven days.
    declines: dict[str, int] = field(default_factory=dict)

    @property
    def today(self) -> Day:
        """What came in today."""
        return self.days[-1]

    @property
    def yesterday(self) -> Day:
        """What came in yesterday."""
        return self.days[-2]

    @property
    def same_weekday(self) -> Day:
        """What came in a week ago."""
        return self.days[-8]

    def funnel(self, days: int) -> Funnel:
        """How far the carts of the last days have come, today's among them."""
        found = [self.funnels.get(one.day, Funnel()) for one in self.days[-days:]]
        return Funnel(
            sum(one.begun for one in found), sum(one.quoted for one in found), sum(one.ordered for one in found),
            sum(one.paid for one in found),
        )  # fmt: skip


_SALES = """
    SELECT (paid_at AT TIME ZONE 'Asia/Tokyo')::date, sum(total), count(*),
           coalesce(sum(total) FILTER (WHERE (paid_at AT TIME ZONE 'Asia/Tokyo')::time <= %(clock)s), 0),
           count(*) FILTER (WHERE (paid_at AT TIME ZONE 'Asia/Tokyo')::time <= %(clock)s)
      FROM order_order WHERE paid_at >= %(since)s GROUP BY 1
"""

_FUNNELS = """
    SELECT (cart.created_at AT TIME ZONE 'Asia/Tokyo')::date, count(*), count(*) FILTER (WHERE quoted),
           count(ordered.paid), count(*) FILTER (WHERE ordered.paid)
      FROM cart_cart cart
      CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM quote_quote q WHERE q.cart_id = cart.id) AS quoted) AS priced
      LEFT JOIN LATERAL (SELECT bool_or(o.status IN ('paid', 'recorded', 'complete')) AS paid
                           FROM order_order o WHERE o.cart_id = cart.id) AS ordered ON true
     WHERE cart.created_at >= %(since)s
     GROUP BY 1
"""

_SPEED = """
    SELECT today, percentile_cont(0.5) WITHIN GROUP (ORDER BY took), percentile_cont(0.95) WITHIN GROUP (ORDER BY took),
           count(*)
      FROM (SELECT o.completed_at >= %(today)s AS today,
                   1000 * extract(epoch FROM o.completed_at - attempt.created_at) AS took
              FROM order_order o JOIN payment_attempt attempt ON attempt.order_id = o.id AND attempt.number = o.attempts
             WHERE o.completed_at >= %(since)s AND attempt.method = 'card' AND attempt.waits_for = '') AS card
     GROUP BY GROUPING SETS ((today), ()) HAVING count(*) > 0
"""

_METHODS = """
    SELECT method, CASE method WHEN 'konbini' THEN '' ELSE card_brand END, count(*)
      FROM payment_attempt WHERE settled_at >= %(since)s AND outcome = 'paid' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""

_DECLINES = """
    SELECT decline_code, count(*) FROM payment_attempt
     WHERE settled_at >= %(since)s AND outcome = 'declined' GROUP BY 1 ORDER BY 2 DESC, 1
"""


def count(now: datetime | None = None, *, payments: bool = True) -> Figures:
    """Count what came in; without ``payments``, leave out how it was paid and why it was declined."""
    now = timezone.localtime(now)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)

    def since(days: int) -> datetime:
        return midnight - timedelta(days=days - 1)

    sold = {row[0]: Day(row[0], *map(int, row[1:])) for row in _ask(_SALES, since=since(BARS), clock=now.time())}
    days = [since(BARS).date() + timedelta(days=place) for place in range(BARS)]
    speeds = {
        row[0]: (round(row[1]), round(row[2]), int(row[3])) for row in _ask(_SPEED, since=since(WEEK), today=midnight)
    }
    declines: dict[str, int] = defaultdict(int)
    if payments:
        for code, number in _ask(_DECLINES, since=since(WEEK)):
            declines[code] += number
    return Figures(
        days=[sold.get(day, Day(day)) for day in days],
        funnels={row[0]: Funnel(*row[1:]) for row in _ask(_FUNNELS, since=since(LINE))},
        speed_today=speeds.get(True),
        speed_week=speeds.get(None),
        methods={(row[0], row[1]): row[2] for row in (_ask(_METHODS, since=since(BARS)) if payments else [])},
        declines=dict(declines),
    )


def _ask(question: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        return list(cursor.fetchall())
