"""Did every order arrive? Asked of the database and of the rehearsal Stripe after the last shopper has left."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from bench.whole_shop import WholeShop

#: How long plays that are still under way may take to end (seconds).
SETTLING = 60.0


@dataclass(frozen=True)
class Books:
    """What the shop and Stripe have on their books."""

    #: Of each order: number, total, Stripe's intent, status, and how many deliveries, my page entries, sent mails.
    orders: list[dict[str, Any]]
    #: Executions that are not SUCCEEDED: (name, status, error).
    unfinished: list[str]
    open_cases: int
    jobs_left: int
    #: (sku, counted in, on hand, reserved, sold, sold by the orders' lines)
    stock: list[tuple[str, int, int, int, int, int]]
    #: Every charge that went through at Stripe: (intent, amount).
    charges: list[tuple[str, int]]


def settle(shop: WholeShop) -> None:
    """Wait until nothing is under way any more, or until it is clear that something never ends."""
    until = time.monotonic() + SETTLING
    while time.monotonic() < until:
        [(running, jobs)] = shop.ask(
            "SELECT (SELECT count(*) FROM engines_execution WHERE status = 'RUNNING'),"
            " (SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"
        )
        if not running and not jobs:
            return
        time.sleep(0.1)


def look(shop: WholeShop) -> Books:
    """Open the books."""
    names = ("number", "total", "intent", "status", "deliveries", "published", "mails")
    orders = shop.ask(
        """
        SELECT o.number, o.total, i.stripe_id, o.status,
               (SELECT count(*) FROM fulfilment_delivery d WHERE d.order_id = o.id),
               (SELECT count(*) FROM order_mypageentry m WHERE m.order_id = o.id),
               (SELECT count(*) FROM notify_mail m WHERE m.order_id = o.id AND m.sent_at IS NOT NULL)
          FROM order_order o JOIN payment_intent i ON i.id = o.intent_id
         ORDER BY o.id
        """
    )
    unfinished = shop.ask(
        "SELECT flow || '-' || order_id || '-' || number || ' is ' || status || ' ' || error"
        " FROM engines_execution WHERE status <> 'SUCCEEDED' ORDER BY id"
    )
    [(cases, jobs)] = shop.ask(
        "SELECT (SELECT count(*) FROM notify_case WHERE closed_at IS NULL),"
        " (SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded')"
    )
    stock = shop.ask(
        """
        SELECT p.sku,
               (SELECT COALESCE(sum(m.on_hand), 0)::int FROM stock_movement m
                 WHERE m.product_id = p.id AND m.kind = 'counted'),
               l.on_hand, l.reserved, l.sold,
               (SELECT COALESCE(sum(n.quantity), 0)::int FROM order_orderline n JOIN order_order o ON o.id = n.order_id
                 WHERE n.product_id = p.id AND o.status IN ('paid', 'recorded', 'complete'))
          FROM catalog_product p JOIN stock_level l ON l.product_id = p.id ORDER BY p.sku
        """
    )
    charges = [
        (str(charge["payment_intent"]), int(charge["amount"]))
        for charge in shop.control("state?table=charges")["charges"]
        if charge["status"] == "succeeded"
    ]
    return Books(
        [dict(zip(names, row, strict=True)) for row in orders],
        [said for (said,) in unfinished],
        cases,
        jobs,
        [tuple(row) for row in stock],
        charges,
    )


def wrong(books: Books, thanked: list[str]) -> list[str]:
    """List everything that does not add up; ``thanked`` are the numbers on the thank-you pages."""
    found: list[str] = []

    def tell(what: str, which: list[str]) -> None:
        if which:
            more = f" and {len(which) - 5} more" if len(which) > 5 else ""
            found.append(f"{len(which)} {what}: {', '.join(which[:5])}{more}")

    by_number = {order["number"]: order for order in books.orders}
    tell("lost orders (a shopper was thanked, the shop has none)", sorted(set(thanked) - set(by_number)))
    tell("order numbers on two thank-you pages", sorted(n for n, times in Counter(thanked).items() if times > 1))
    tell("orders are not complete", [o["number"] for o in books.orders if o["status"] != "complete"])
    tell("orders without a delivery", [o["number"] for o in books.orders if o["deliveries"] < 1])
    tell("orders not on my page exactly once", [o["number"] for o in books.orders if o["published"] != 1])
    tell("orders whose mail was not sent exactly once", [o["number"] for o in books.orders if o["mails"] != 1])
    tell("executions did not succeed", books.unfinished)
    if books.open_cases:
        found.append(f"{books.open_cases} open cases in the console")
    if books.jobs_left:
        found.append(f"{books.jobs_left} jobs left in the queue")

    promised = {order["intent"]: order["total"] for order in books.orders}
    charged = Counter(intent for intent, _ in books.charges)
    tell("charges without an order", sorted(intent for intent in charged if intent not in promised))
    tell("orders charged twice", sorted(intent for intent, times in charged.items() if times > 1))
    tell("orders without a charge", [o["number"] for o in books.orders if o["intent"] not in charged])
    tell(
        "charges of another amount than the order's",
        [f"{intent} ({amount})" for intent, amount in books.charges if promised.get(intent, amount) != amount],
    )
    if len(books.charges) != len(books.orders):
        found.append(f"{len(books.charges)} charges for {len(books.orders)} orders")

    for sku, counted, on_hand, reserved, sold, ordered in books.stock:
        if counted != on_hand + reserved + sold:
            found.append(f"stock of {sku}: {counted} came in, but {on_hand} + {reserved} + {sold} are there or went")
        if reserved:
            found.append(f"stock of {sku}: {reserved} still held though nothing is under way")
        if sold != ordered:
            found.append(f"stock of {sku}: {sold} sold, but the orders hold {ordered}")
    return found
