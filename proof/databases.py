"""PostgreSQL stopped at once (``-m immediate``: no checkpoint, no farewell) under load, and started again.

    python -m proof databases
    python -m proof.databases --crashes 3 --seed 7

The server is a real one of the proof's own, with fsync on. While shoppers press, events arrive and workers play, it
is gone from one moment to the next and recovers from its journal after a while. Pages meanwhile answer 503 in the
shop's own words, events 503 so that Stripe sends them again, and no event is ever acknowledged that is not stored.
Nobody restarts the workers or the web: they must get over it themselves.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from proof import ground
from proof.kills import told
from proof.report import Effort, Proof

if TYPE_CHECKING:
    from proof.town import Town

CLAIM = "PostgreSQL stopped at once under load, and started again, loses no order, no yen and no event"
CRASHES = 10
SHOPPERS = 6
STAFF = 3
#: A page waits ten seconds for a connection (``database.django_settings``); one crash in four outlasts that.
LONG = 12.0


def prove(effort: Effort) -> Proof:
    """Crash a database server of its own so many times."""
    began = time.monotonic()
    crashes = max(1, round(CRASHES * effort.share))
    limit = effort.seconds or 3600.0
    with tempfile.TemporaryDirectory(prefix="todoku-databases-") as home:
        os.chmod(home, 0o755)  # the server's account, when root runs this, must pass
        found = told(
            [
                *("-m", "proof.databases", "--json", f"--crashes={crashes}"),
                *(f"--seed={effort.seed}", f"--seconds={limit:.0f}"),
            ],
            TODOKU_VAR=home,
            DATABASE_URL="",
        )
        _wait_gone(home)
    wrong = list(found.get("wrong", []))
    return Proof(
        name="databases",
        claim=CLAIM,
        trials=int(found.get("crashes", 0)),
        violations=len(wrong),
        seconds=time.monotonic() - began,
        figures=[(str(name), str(value)) for name, value in found.get("figures", [])],
        failures=[f"`python -m proof.databases --crashes {crashes} --seed {effort.seed}`: {one}" for one in wrong],
        gaps=["The machine itself does not lose its power: what the disk promises PostgreSQL is believed."],
    )


def _wait_gone(home: str) -> None:
    """The server stops by itself when its last user is gone; its folder is removed after that."""
    from todoku import lights_out

    until = time.monotonic() + 20
    while lights_out.running(f"{home}/postgres") is not None and time.monotonic() < until:
        time.sleep(0.1)


def crash(town: Town, away: float) -> tuple[dict[str, int], float]:
    """Stop the server at once, leave it away for a while, start it again.

    Returns what was under way at that moment, and how long the next order took to be complete after the start.
    """
    from django.db import connections

    from todoku import database, lights_out, postgres

    home = database.var() / "postgres"
    under_way = _under_way()
    pid = lights_out.running(home.as_posix())
    assert pid is not None, "the server runs"
    os.kill(pid, signal.SIGQUIT)  # what pg_ctl stop -m immediate does
    while lights_out.running(home.as_posix()) is not None:
        time.sleep(0.005)
    connections.close_all()
    _tell_again(town)
    time.sleep(away)
    postgres.start(home)
    began = time.monotonic()
    before = None
    while time.monotonic() - began < 60:
        complete = _complete()
        before = complete if before is None else before
        if before is not None and complete is not None and complete > before:
            break
        time.sleep(0.1)
    return under_way, time.monotonic() - began


def _tell_again(town: Town) -> None:
    """Let Stripe tell something while nobody can store it: of some payments, once more, under new ids."""
    rehearsal = town.street.rehearsal
    for intent in rehearsal.rows("payment_intents", 3):
        rehearsal.send_event("payment_intent.succeeded", intent)


def _under_way() -> dict[str, int]:
    """What is going on: plays by the step they have come to, orders by status, events that Stripe is to send."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'order ' || status, count(*) FROM order_order"
            " WHERE status NOT IN ('complete', 'canceled') GROUP BY 1"
            " UNION ALL SELECT 'job ' || status::text, count(*) FROM procrastinate_jobs GROUP BY 1"
        )
        return dict(cursor.fetchall())


def _complete() -> int | None:
    from django.db import DatabaseError, InterfaceError, connections

    from todoku.order.models import Order

    with suppress(DatabaseError, InterfaceError):
        return Order.objects.filter(status="complete").count()
    connections.close_all()
    return None


def believed_too_early(town: Town) -> list[str]:
    """Events that the shop has acknowledged and does not have; and failures that were not the deliberate 503."""
    from todoku.webhooks.models import StripeEvent

    stored = set(StripeEvent.objects.values_list("event_id", flat=True))
    wrong = []
    with town.street.rehearsal.lock:
        deliveries = list(town.street.rehearsal.store.table("deliveries").rows.values())
    statuses: Counter[int | None] = Counter()
    for row in deliveries:
        answered = [attempt["status"] for attempt in row["attempts"]]
        statuses.update(answered)
        if 200 in answered and row["event"] not in stored:
            wrong.append(f"event {row['event']} was acknowledged and is not stored")
    town.events_answered = ", ".join(f"{status or 'none'}: {n:,}" for status, n in statuses.most_common())
    wrong += [f"{n} events were answered {status}" for status, n in statuses.items() if status not in (200, 503, None)]
    return wrong


def main() -> int:
    """Open a shop, crash its database, settle, count; print what was seen."""
    reader = argparse.ArgumentParser(prog="python -m proof.databases", description=__doc__.partition("\n")[0])
    reader.add_argument("--crashes", type=int, default=CRASHES)
    reader.add_argument("--seed", type=int, default=1)
    reader.add_argument("--seconds", type=float, default=3600.0)
    reader.add_argument("--json", action="store_true")
    asked = reader.parse_args()
    began = time.monotonic()
    done: list[tuple[dict[str, int], float]] = []
    with ground.laid("databases", durable=True):
        from proof import town as towns

        logging.disable(logging.CRITICAL)
        with towns.opened(seed=asked.seed, shoppers=SHOPPERS, staff=STAFF) as town:
            _wait_for_orders(town, 3)
            while len(done) < asked.crashes and time.monotonic() - began < asked.seconds:
                away = LONG if len(done) % 4 == 1 else town.lots.uniform(0.2, 2.5)
                done.append(crash(town, away))
                time.sleep(town.lots.uniform(0.3, 3.0))
            town.crowd.close()
            wrong = town.settle(90)
            wrong += town.broken() + believed_too_early(town)
            seen = town.crowd.seen
            wrong += [
                f"{seen[status]} pages were answered {status}" for status in seen if status >= 500 and status != 503
            ]
            if (alive := town.still_working()) < STAFF:
                wrong.append(f"{STAFF - alive} workers did not get over it: {town.last_words()}")
            figures = _figures(town, done)
    found = {"crashes": len(done), "wrong": wrong, "figures": figures}
    print(json.dumps(found) if asked.json else _plain(found, time.monotonic() - began))
    return 0 if asked.json or not wrong else 1


def _wait_for_orders(town: Town, number: int) -> None:
    until = time.monotonic() + 60
    while town.crowd.came["order"] < number and time.monotonic() < until:
        time.sleep(0.1)


def _figures(town: Town, done: list[tuple[dict[str, int], float]]) -> list[tuple[str, str]]:
    caught = Counter(
        {what: sum(under_way.get(what, 0) for under_way, _ in done) for under_way, _ in done for what in under_way}
    )
    slowest = max((seconds for _, seconds in done), default=0.0)
    return [
        (
            "under way when it stopped, all crashes together",
            ", ".join(f"{n:,} {what}" for what, n in caught.most_common()),
        ),
        ("until the next order was complete after the start, at the longest", f"{slowest:.1f} s"),
        ("Stripe's events by our answer", town.events_answered),
        *town.figures(),
    ]


def _plain(found: dict[str, Any], seconds: float) -> str:
    lines = [f"{found['crashes']} crashes in {seconds:.0f} s"]
    lines += [f"  {name}: {value}" for name, value in found["figures"]]
    return "\n".join([*lines, *(f"  BROKEN {one}" for one in found["wrong"])])


if __name__ == "__main__":
    sys.exit(main())
