"""Throws the bodies of ``proof.hostile`` at the shop's door, and compares all tables before and after."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from django.db import connection, connections
from django.utils import timezone

from proof import bodies
from proof.hostile import CLAIM
from proof.order_of_events import SECRET, open_shop, post, work_off
from proof.report import Effort, Proof
from rehearsal.api import Rehearsal
from rehearsal.deliveries import signature
from tests import shop, stripe_door
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution
from todoku.order.models import Order

THREE_D_SECURE = "4000002760003184"
#: How many of them carry a good signature.
SIGNED = 0.4
#: Plays that signed ones have caused are done every so many bodies.
PLAY_EVERY = 250
#: What a play may write although nothing is new: when it looks again, and when it last saw that nothing was paid.
_LOOKS = {"order_order": ["next_look_at"], "payment_attempt": ["settled_at"]}
#: Where a signed event is stored and causes a play; every other table must stay as it is.
PLAYING = ("webhooks_stripeevent", "engines_execution", "engines_mishap", "gateways_gate", "procrastinate_")


@dataclass
class Thrown:
    """What came of it."""

    bodies: int = 0
    signed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    plays: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)


def told(thrown: Thrown, timed: list[tuple[str, str]], effort: Effort, seconds: float) -> Proof:
    """Sum it up."""
    return Proof(
        name="hostile",
        claim=CLAIM,
        trials=thrown.bodies,
        violations=len(thrown.wrong),
        seconds=seconds,
        figures=[
            ("bodies with a good signature", f"{thrown.signed:,}"),
            *((f"answered {status}", f"{count:,}") for status, count in sorted(thrown.statuses.items())),
            ("events stored", f"{thrown.stored:,}"),
            ("plays that found nothing new", f"{thrown.plays:,}"),
            ("bodies a second, in process", f"{thrown.bodies / max(thrown.seconds, 0.001):,.0f}"),
            *timed,
        ],
        failures=thrown.wrong[:50],
        gaps=["The bodies are given to Django in process; what the web server itself refuses is not counted."],
    )


@contextmanager
def town() -> Iterator[tuple[Rehearsal, list[Order]]]:
    """A shop with an order in every state, all at rest, and a Stripe that knows them."""
    rehearsal, crab = open_shop()
    try:
        orders = [
            shop.order_one(rehearsal, crab),
            shop.order_one(rehearsal, crab, number=shop.DECLINED),
            shop.order_one(rehearsal, crab, number=THREE_D_SECURE),
            shop.order_one(rehearsal, crab, number=THREE_D_SECURE),
            shop.order_at_konbini(rehearsal, crab),
            shop.order_at_konbini(rehearsal, crab),
        ]
        for order in orders:
            work_off(order)
        rehearsal.pay_at_till(orders[5].intent.stripe_id or "", "lawson")
        Order.objects.filter(pk=orders[3].pk).update(withdrawn_at=timezone.now())
        for order in (orders[3], orders[5]):
            engine.play("checkout", order, knock="webhook")
            work_off(order)
        for order in orders:
            # Every order has been looked at since its end: whatever there was to learn of it is known.
            engine.play("checkout", order, knock="webhook")
            work_off(order)
        _browse(crab)
        found = list(Order.objects.order_by("pk").values_list("status", flat=True))
        assert found == ["complete", "not_paid", "placed", "canceled", "placed", "complete"], found
        yield rehearsal, orders
    finally:
        stripe_door.current.remove(rehearsal)
        connections.close_all()


def _browse(crab: Product) -> None:
    """Somebody stands on the confirm page: there is an intent, and no order yet."""
    shop.agree(shop.fill_cart((crab, 1)))


def fingerprint(*, but: tuple[str, ...] = ()) -> dict[str, str]:
    """One hash for each table of the shop, of all its rows; without what a look alone may move."""
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names()):
            if table.startswith(but):
                continue
            cursor.execute(
                f"SELECT md5(COALESCE(string_agg(row, '|' ORDER BY row), ''))"
                f" FROM (SELECT (to_jsonb(t) - %s::text[])::text AS row FROM {table} t) rows",
                [_LOOKS.get(table, [])],
            )
            found[table] = cursor.fetchone()[0]
    return found


def truth(rehearsal: Rehearsal) -> dict[str, str]:
    """How every payment stands at Stripe."""
    return {row["id"]: row["status"] for row in rehearsal.store.table("payment_intents").rows.values()}


def throw(count: int, seed: int, seconds: float | None = None, only: str = "") -> Thrown:
    """Throw so many bodies, the unsigned ones first; the tables are compared after each kind."""
    thrown = Thrown()
    with town() as (rehearsal, orders):
        events: list[dict[str, Any]] = list(rehearsal.store.table("events").rows.values())
        intents = [order.intent.stripe_id or "" for order in orders] + list(truth(rehearsal))
        began, at_stripe = time.monotonic(), truth(rehearsal)
        unsigned = round(count * (1 - SIGNED))
        kinds = (("u", unsigned, (), False), ("s", count - unsigned, PLAYING, True))
        for letter, many, but, good in kinds:
            before = fingerprint(but=but)
            for number in range(many):
                if seconds is not None and time.monotonic() - began > seconds * (1 if good else 1 - SIGNED):
                    break
                name = f"{letter}{number}"
                if only in ("", name):
                    _throw_one(thrown, name, Random(f"{seed} {name}"), events, intents, good)
                if good and number % PLAY_EVERY == 0:
                    thrown.plays += sum(work_off(order) for order in orders)
            thrown.plays += sum(work_off(order) for order in orders)
            after = fingerprint(but=but)
            kind = "with" if good else "without"
            thrown.wrong += [
                f"{many} bodies {kind} a good signature have changed {table} (seed {seed})"
                for table in before
                if before[table] != after[table]
            ]
        if truth(rehearsal) != at_stripe:
            thrown.wrong.append("a payment stands otherwise at Stripe than before")
        failed = Execution.objects.exclude(status="SUCCEEDED").count()
        if failed:
            thrown.wrong.append(f"{failed} plays have not ended well")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM webhooks_stripeevent")
            thrown.stored = cursor.fetchone()[0]
        thrown.seconds = time.monotonic() - began
    return thrown


def _throw_one(
    thrown: Thrown, name: str, lots: Random, events: list[dict[str, Any]], intents: list[str], good: bool
) -> None:
    raw, now = bodies.body(lots, events, intents), int(time.time())
    right = signature(raw, SECRET.decode(), now)
    if good:
        sent = right
    elif lots.random() < 0.1:
        # Well signed, and too old or from the future.
        sent = signature(raw, SECRET.decode(), now + lots.choice((-302, 310, -86_400, 10**9)))
    else:
        sent = bodies.header(lots, right, signature(raw, "whsec_nobodys", now), now)
    status = post(raw, sent.encode().decode("latin-1"))
    thrown.bodies += 1
    thrown.signed += good
    thrown.statuses[f"{status} {'with' if good else 'without'} a good signature"] += 1
    if status not in ((200, 400, 413) if good else (400, 413)):
        thrown.wrong.append(f"body {name} was answered with {status} (python -m proof.hostile --only {name})")
    if len(thrown.shown) < 3:
        thrown.shown.append(f"{status} {sent[:200]!r} {raw[:2000]!r}")
