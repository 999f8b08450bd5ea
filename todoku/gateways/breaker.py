"""The breaker: while the provider does not answer, new checkouts are refused at once instead of left hanging.

All processes on all hosts share what they know, in one row. Several calls in a row without an answer, whoever made
them, shut the gate; the first answer opens it again. Only pages stop at a shut gate. Workers go on: what is open
must be settled, and their calls are the ones that find out. Declines and refusals are answers; they shut nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from todoku.database import let_go
from todoku.gateways.gateway import NotAsked

log = logging.getLogger(__name__)

#: So many calls in a row without an answer shut the gate, if there are no more than so many seconds between them (a
#: worker waits for forty, and a quiet shop asks seldom).
SHUT_AFTER = 5
WITHIN = 300
#: How often a worker sees whether it is over (seconds), and after how long a page may be sent to see, if none does.
PROBE_EVERY = 5.0
PAGE_PROBES_AFTER = 20.0
#: When a shopper is told to come back (seconds).
AGAIN_IN = 30
#: How long this process relies on what it knows (seconds).
FRESH_FOR = 1.0

AWAY, KEY = "away", "key"


@dataclass(frozen=True)
class Standing:
    """How the gate stands: failures in a row, since when it is shut (None: open), and why."""

    failures: int = 0
    shut_at: datetime | None = None
    reason: str = ""


_OPEN = Standing()
_known: tuple[float, Standing] = (0.0, _OPEN)
#: Whether this thread's next call is the one that sees whether the provider is back.
_mine = threading.local()


def standing() -> Standing:
    """Say how the gate stands, as of the last second."""
    if not settings.STRIPE_BREAKER:
        return _OPEN
    if time.monotonic() - _known[0] > FRESH_FOR or not _known[0]:
        row = _tell("SELECT failures, shut_at, reason FROM gateways_gate WHERE id = 1")
        learn(*(row or (0, None, "")))
    return _known[1]


def learn(failures: int, shut_at: datetime | None, reason: str) -> None:
    """Take note of how the gate stands, as the database has just said it."""
    global _known
    _known = (time.monotonic(), Standing(failures, shut_at, reason))


def is_shut() -> bool:
    """Say whether new checkouts are refused at the moment."""
    return standing().shut_at is not None


def refuse_if_shut() -> None:
    """Raise ``NotAsked`` while the gate is shut."""
    if is_shut():
        raise NotAsked("Stripe does not answer; nothing was sent", again_in=AGAIN_IN)


def let_page_through() -> None:
    """Raise ``NotAsked`` while the gate is shut, but let one page through when no worker looks any more."""
    if getattr(_mine, "probe", False) or not is_shut():
        return
    if not claim_probe(PAGE_PROBES_AFTER):
        refuse_if_shut()
    _mine.probe = True


def claim_probe(every: float) -> bool:
    """Say whether this caller is the one to see whether the provider is back; of many at once it is one."""
    return (
        _tell(
            "UPDATE gateways_gate SET probed_at = clock_timestamp() WHERE id = 1 AND shut_at IS NOT NULL"
            " AND COALESCE(probed_at, shut_at) < clock_timestamp() - make_interval(secs => %s) RETURNING id",
            [every],
        )
        is not None
    )


def heard() -> None:
    """Note that the provider has answered."""
    _mine.probe = False
    before = _known[1]
    if not before.failures and before.shut_at is None:
        return
    _tell(
        "UPDATE gateways_gate SET failures = 0, shut_at = NULL, reason = '', probed_at = NULL WHERE id = 1"
        " AND (failures > 0 OR shut_at IS NOT NULL) RETURNING id"
    )
    let_go()
    learn(0, None, "")
    if before.shut_at is not None:
        log.warning("Stripe answers again; new checkouts are taken")


def failed(reason: str = AWAY) -> None:
    """Note that a call got no answer, or that our key was refused (which shuts the gate at once)."""
    _mine.probe = False
    if not settings.STRIPE_BREAKER:
        return
    row = _tell(
        """
        INSERT INTO gateways_gate AS gate (id, booked, failures, failed_at, shut_at, reason)
             VALUES (1, '{}', 1, clock_timestamp(), CASE WHEN %(most)s <= 1 THEN clock_timestamp() END,
                     CASE WHEN %(most)s <= 1 THEN %(reason)s ELSE '' END)
        ON CONFLICT (id) DO UPDATE SET
             failures = CASE WHEN gate.failed_at > clock_timestamp() - make_interval(secs => %(within)s)
                             THEN gate.failures + 1 ELSE 1 END,
             failed_at = clock_timestamp(),
             shut_at = COALESCE(gate.shut_at, CASE WHEN %(most)s <= 1 OR (gate.failures + 1 >= %(most)s
                  AND gate.failed_at > clock_timestamp() - make_interval(secs => %(within)s))
                  THEN clock_timestamp() END),
             reason = CASE WHEN %(most)s <= 1 OR (gate.shut_at IS NULL AND gate.failures + 1 >= %(most)s
                  AND gate.failed_at > clock_timestamp() - make_interval(secs => %(within)s))
                  THEN %(reason)s ELSE gate.reason END
          RETURNING failures, shut_at, reason
        """,
        {"most": 1 if reason == KEY else SHUT_AFTER, "within": WITHIN, "reason": reason},
    )
    let_go()
    if row is None:
        return
    before = _known[1]
    learn(*row)
    if row[1] is not None and before.shut_at is None:
        why = "Stripe does not accept the shop's key" if row[2] == KEY else f"Stripe has not answered {row[0]} times"
        log.error("%s; new checkouts are refused until it does", why)


def forget() -> None:
    """Ask the database anew at the next question."""
    global _known
    _known = (0.0, _OPEN)


def _tell(question: str, values: Any = None) -> Any:
    """Ask the gate's row; a database that is away must not hide what the provider has said."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(question, values)
            return cursor.fetchone()
    except (DatabaseError, InterfaceError) as error:
        log.warning("the gate's row cannot be reached: %s", type(error).__name__)
        return None
