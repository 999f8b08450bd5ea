"""Carries orders through the sequences of ``proof.sequences``: real pages behind the door, real engine, real rows."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from random import Random
from typing import Any

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection, connections
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.deliveries import signature
from tests import shop, stripe_door
from todoku.catalog.models import Product
from todoku.engines import embedded, plays
from todoku.engines.models import Execution
from todoku.engines.poller import look_again
from todoku.gateways import stripe as gateway
from todoku.order.models import Order
from todoku.stock.models import Level

SECRET = b"whsec_rehearsal"
THREE_D_SECURE = "4000002760003184"
#: What the six are called at Stripe.
TYPES = {
    "created": "payment_intent.created",
    "failed": "payment_intent.payment_failed",
    "action": "payment_intent.requires_action",
    "charged": "charge.succeeded",
    "succeeded": "payment_intent.succeeded",
    "booked": "charge.updated",
}
#: These tell of the payment, so they cannot come before it.
OF_THE_PAYMENT = ("charged", "succeeded", "booked")
_STEPS = ["CloseCart", "PublishToMyPage", "RecordOrder", "SendMail", "TakePayment"]
#: How an order must end, whatever came and whatever did not.
END: dict[str, dict[str, Any]] = {
    "card": {
        "status": "complete",
        "attempts": ["declined", "paid"],
        "steps": sorted(["ReturnStock 1", "TakeStock 1", "TakeStock 2", *(f"{step} 0" for step in _STEPS)]),
        "mails": ["order_complete"],
    },
    "konbini": {
        "status": "complete",
        "attempts": ["paid"],
        "steps": sorted(["TakeStock 1", *(f"{step} 0" for step in _STEPS)]),
        "mails": ["konbini_codes", "order_complete"],
    },
}
COMMON = {"slips": 1, "my_page": 1, "cart": "closed", "charges": 1, "cases": 0, "failed": 0, "jobs": 0}

_door = WSGIHandler()


def post(body: bytes, header: str) -> int:
    """Send a body to the shop's door, through all of Django; answer the status."""
    status: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/webhooks/stripe/", "SCRIPT_NAME": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": "application/json; charset=utf-8", "CONTENT_LENGTH": str(len(body)),
        "HTTP_STRIPE_SIGNATURE": header, "wsgi.input": BytesIO(body), "wsgi.url_scheme": "http",
        "wsgi.errors": BytesIO(), "wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }  # fmt: skip
    answer = _door(environ, lambda line, headers, exc_info=None: status.append(line))
    for _part in answer:
        pass
    answer.close()
    return int(status[0][:3])


def signed(body: bytes, now: float | None = None) -> str:
    """Stripe's signature of a body."""
    return signature(body, SECRET.decode(), int(time.time() if now is None else now))


def open_shop() -> tuple[Rehearsal, Product]:
    """A shop with one product, and a rehearsal Stripe that it talks to."""
    rehearsal = Rehearsal(seed=1)
    stripe_door.current.append(rehearsal)
    gateway.forget()
    # What this process remembers of another proof's database is not so here.
    plays.known.clear()
    embedded._read.cache_clear()
    shop.furnish()
    return rehearsal, shop.sell(stock=10_000)


def work_off(order: Order) -> int:
    """Play what there is to play for the order, as the queue's job does; answer how many plays."""
    plays = 0
    while True:
        waiting = list(Execution.objects.filter(order=order, status="RUNNING").values_list("pk", flat=True))
        if not waiting:
            return plays
        plays += 1
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs WHERE lock = %s", [f"order-{order.pk}"])
        embedded.run(waiting[0])


def play(names: Iterable[str], seed: int, until: float = 0.0) -> Iterator[dict[str, Any]]:
    """Play the trials one after the other on one ground; each answers its name and what was wrong."""
    rehearsal, crab = open_shop()
    homes = 0
    try:
        for name in names:
            if until and time.time() > until:
                break
            homes += 1
            yield _trial(rehearsal, crab, name, Random(f"{seed} {name}"))
        level = Level.objects.get(product=crab)
        if (level.on_hand, level.reserved, level.sold) != (10_000 - homes, 0, homes):
            yield {"name": "", "wrong": [f"{homes} orders, and the stock says {level}"]}
    finally:
        stripe_door.current.remove(rehearsal)
        connections.close_all()


def _trial(rehearsal: Rehearsal, crab: Product, name: str, lots: Random) -> dict[str, Any]:
    way, _, listed = name.partition(":")
    sequence = [event for event in listed.split(",") if event]
    order, pay = _by_card(rehearsal, crab) if way == "card" else _at_konbini(rehearsal, crab)
    intent = order.intent.stripe_id or ""
    wrong: list[str] = []
    paid, delivered, plays = False, 0, 0
    for event in sequence:
        if event in OF_THE_PAYMENT and not paid:
            paid = True
            pay()
        for body in _bodies(rehearsal, intent, event, lots):
            status = post(body, signed(body))
            delivered += 1
            if status != 200:
                wrong.append(f"{event} was answered with {status}")
        if lots.random() < 0.6:
            plays += work_off(order)
    if not paid:
        pay()
    plays += work_off(order)
    # What no event has told, the regular look finds.
    by_event = not Order.objects.filter(pk=order.pk, next_look_at__isnull=False).update(next_look_at=timezone.now())
    if paid and not by_event:
        wrong.append("paid and told of, and yet not played")
    if not by_event:
        look_again()
        plays += work_off(order)
    wrong += _otherwise({**END[way], **COMMON}, _end(rehearsal, order, intent))
    return {"name": name, "wrong": wrong, "delivered": delivered, "plays": plays, "by_event": by_event}


def _by_card(rehearsal: Rehearsal, crab: Product) -> tuple[Order, Callable[[], None]]:
    """An order whose first card was declined and whose second waits for 3-D Secure."""
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    answer = shop.press(rehearsal, cart, quote, shop.DECLINED)
    order = answer.order  # type: ignore[union-attr]  # a press that is not placed ends the proof here
    work_off(order)
    shop.press(rehearsal, cart, quote, THREE_D_SECURE)
    work_off(order)
    order = Order.objects.select_related("intent").get(pk=order.pk)
    assert order.status == "placed" and order.attempts == 2, order.status

    def pay() -> None:
        rehearsal.authenticate(order.intent.stripe_id or "")
        rehearsal.advance(3)

    return order, pay


def _at_konbini(rehearsal: Rehearsal, crab: Product) -> tuple[Order, Callable[[], None]]:
    """An order that waits for somebody to come to the till; a failure is told of that has never been."""
    order = shop.order_at_konbini(rehearsal, crab)
    work_off(order)
    intent = order.intent.stripe_id or ""
    row = rehearsal.store.table("payment_intents").rows[intent]
    assert row["status"] == "requires_action"
    rehearsal.send_event(TYPES["failed"], _newest(rehearsal, intent)["data"]["object"])

    def pay() -> None:
        rehearsal.pay_at_till(intent, "lawson")
        rehearsal.advance(3)

    return order, pay


def _newest(rehearsal: Rehearsal, intent: str, type: str = "") -> dict[str, Any]:
    """The newest event about the intent."""
    for row in rehearsal.store.table("events").newest_first():
        about = row["data"]["object"]
        if intent in (about["id"], about.get("payment_intent")) and (not type or row["type"] == type):
            return row
    raise AssertionError(f"Stripe has told nothing of {type} for {intent}")


def _bodies(rehearsal: Rehearsal, intent: str, event: str, lots: Random) -> Iterator[bytes]:
    """An event's body: once, or twice, or once more under another id."""
    row = _newest(rehearsal, intent, TYPES[event])
    yield json.dumps(row).encode()
    luck = lots.random()
    if luck < 0.3:
        yield json.dumps(row).encode()
    elif luck < 0.5:
        yield json.dumps({**row, "id": f"evt_twin{lots.getrandbits(80):x}"}).encode()


_ENDED = """
SELECT o.status, cart.closed_at IS NOT NULL,
       (SELECT array_agg(outcome ORDER BY number) FROM payment_attempt WHERE order_id = o.id),
       (SELECT array_agg(step || ' ' || attempt) FROM flows_done WHERE order_id = o.id),
       (SELECT array_agg(kind ORDER BY kind) FROM notify_mail WHERE order_id = o.id),
       (SELECT count(*) FROM fulfilment_delivery WHERE order_id = o.id),
       (SELECT count(*) FROM order_mypageentry WHERE order_id = o.id),
       (SELECT count(*) FROM notify_case WHERE order_id = o.id),
       (SELECT count(*) FROM engines_execution WHERE order_id = o.id AND status <> 'SUCCEEDED'),
       (SELECT count(*) FROM procrastinate_jobs WHERE lock = 'order-' || o.id)
  FROM order_order o JOIN cart_cart cart ON cart.id = o.cart_id WHERE o.id = %s
"""


def _end(rehearsal: Rehearsal, order: Order, intent: str) -> dict[str, Any]:
    """How the order has ended, in so many words."""
    with connection.cursor() as cursor:
        cursor.execute(_ENDED, [order.pk])
        status, closed, attempts, steps, mails, slips, my_page, cases, failed, jobs = cursor.fetchone()
    # The last charges are the newest: nobody else buys meanwhile.
    charges = itertools.islice(rehearsal.store.table("charges").newest_first(), 4)
    return {
        "status": status,
        "attempts": attempts,
        "steps": sorted(steps),
        "mails": mails,
        "slips": slips,
        "my_page": my_page,
        "cart": "closed" if closed else "open",
        "charges": sum(row["payment_intent"] == intent and row["status"] == "succeeded" for row in charges),
        "cases": cases,
        "failed": failed,
        "jobs": jobs,
    }


def _otherwise(should: dict[str, Any], found: dict[str, Any]) -> list[str]:
    return [f"{name} is {found[name]}, not {should[name]}" for name in should if found[name] != should[name]]
