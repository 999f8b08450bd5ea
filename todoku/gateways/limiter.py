"""The limiter: all processes on all hosts together stay under the provider's rate limits.

Every call books a moment before it is made, in one row of the database that all share: the next free one of its
endpoint and of the whole account (docs.stripe.com/rate-limits counts both). How far ahead one may book is the right
of way: a page up to two seconds, a worker a moment, a list not at all. Who has waited for long may book further
ahead, so that nobody waits for ever. A caller whose patience ends has sent nothing.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from django.conf import settings
from django.db import connection

from todoku.database import let_go
from todoku.gateways import breaker
from todoku.gateways.gateway import NotAsked

#: Calls that a quiet second allows at once, of one endpoint and of the whole account, as a share of a second's.
BURST = 0.15
#: The most moments that one process books at once for its threads that wait, as a share of a second's.
MOST_AT_ONCE = 0.2
#: How long somebody who could not book waits before asking again (seconds, and up to twice as long).
ASK_AGAIN = 0.1


@dataclass(frozen=True)
class Patience:
    """How far ahead a caller may book, how that grows while it waits, and when it gives up (seconds)."""

    ahead: float
    grows: float
    gives_up: float


PAGE = Patience(ahead=2.0, grows=-1.0, gives_up=2.0)
WORKER = Patience(ahead=0.25, grows=0.2, gives_up=30.0)
LIST = Patience(ahead=0.0, grows=0.05, gives_up=60.0)

# One statement on one row: there is nothing to lock in the wrong order. ``now`` is read anew when the row's lock has
# been waited for. A moment that is booked is the later of the two lanes' next free ones.
_BOOK = """
UPDATE gateways_gate SET booked = booked || jsonb_build_object(
         'all', GREATEST(COALESCE((booked->>'all')::float8, 0), {now}) + %(number)s / %(account)s::float8,
         %(endpoint)s::text,
         GREATEST(COALESCE((booked->>%(endpoint)s::text)::float8, 0), {now}) + %(number)s / %(each)s::float8)
 WHERE id = 1
   AND GREATEST(COALESCE((booked->>'all')::float8, 0), COALESCE((booked->>%(endpoint)s::text)::float8, 0))
       - {now} - %(burst)s::float8 <= %(ahead)s::float8
RETURNING GREATEST((booked->>'all')::float8 - %(number)s / %(account)s::float8,
                   (booked->>%(endpoint)s::text)::float8 - %(number)s / %(each)s::float8)
          - {now} - %(burst)s::float8, failures, shut_at, reason
""".format(now="extract(epoch FROM clock_timestamp())::float8")


@dataclass
class _Line:
    """The threads of this process that wait for one endpoint: the first in line books for those behind it."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0
    #: Moments that are booked and not yet used, by this process's own clock.
    moments: deque[float] = field(default_factory=deque)


_lines: dict[tuple[str, Patience], _Line] = {}


def book(endpoint: str, patience: Patience) -> float:
    """Book the next free moment for a call and return it, by ``time.monotonic``; 0 when there is no limit.

    Holds a database connection for one statement only. Raises ``NotAsked`` when patience ends.
    """
    if not (settings.STRIPE_PER_SECOND and settings.STRIPE_PER_ENDPOINT):
        return 0.0
    line = _lines.setdefault((endpoint, patience), _Line())
    began = time.monotonic()
    line.waiting += 1
    try:
        if not line.turn.acquire(blocking=False):
            # Nobody keeps a connection while waiting: the one who books needs one.
            let_go()
            if not line.turn.acquire(timeout=patience.gives_up):
                raise _too_busy(endpoint)
        try:
            while True:
                now = time.monotonic()
                while line.moments:
                    moment = line.moments.popleft()
                    # One whose owner has given up may have gone by.
                    if moment > now - BURST:
                        return moment
                waited = now - began
                ahead = patience.ahead + patience.grows * waited
                most = max(1, int(min(settings.STRIPE_PER_SECOND, settings.STRIPE_PER_ENDPOINT) * MOST_AT_ONCE))
                if _ask(endpoint, ahead, min(line.waiting, most), line):
                    continue
                if waited + ASK_AGAIN >= patience.gives_up or ahead < 0:
                    raise _too_busy(endpoint)
                let_go()
                time.sleep(ASK_AGAIN * (1 + random.random()))  # noqa: S311 - jitter
        finally:
            line.turn.release()
    finally:
        line.waiting -= 1


def _ask(endpoint: str, ahead: float, number: int, line: _Line) -> bool:
    """Ask the database for so many moments, and say whether it gave them."""
    account, each = float(settings.STRIPE_PER_SECOND), float(settings.STRIPE_PER_ENDPOINT)
    with connection.cursor() as cursor:
        cursor.execute(
            _BOOK,
            {
                "endpoint": endpoint,
                "number": number,
                "account": account,
                "each": each,
                "burst": BURST,
                "ahead": ahead,
            },
        )
        row = cursor.fetchone()
        if row is None:
            # Full up, or the row is not there yet.
            cursor.execute("INSERT INTO gateways_gate (id, booked, failures, reason) VALUES (1, '{}', 0, '')"
                           " ON CONFLICT DO NOTHING")  # fmt: skip
            return bool(cursor.rowcount) and _ask(endpoint, ahead, number, line)
    breaker.learn(row[1], row[2], row[3])
    first = time.monotonic() + max(0.0, row[0])
    apart = 1 / min(account, each)
    line.moments.extend(first + apart * place for place in range(number))
    return True


def _too_busy(endpoint: str) -> NotAsked:
    return NotAsked(f"Stripe: no free moment for {endpoint} under the rate limits; nothing was sent", again_in=5)


def forget() -> None:
    """Forget the moments that this process has booked."""
    _lines.clear()
