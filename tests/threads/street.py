"""What the threads' situations are built from: lost answers, dead workers, events, and a database that refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from rehearsal.answer import Answer as StripesAnswer
from rehearsal.answer import Request
from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.quick import play, play_once
from tests.webhooks import sender
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.engines.models import Execution, State
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.stock.models import Level

THREE_D_SECURE = "4000002760003184"


class Witness:
    """Sees every request that reaches Stripe, after Stripe has done it."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.seen: list[Request] = []
        self._lock = threading.Lock()
        rehearsal.observers.append(self._see)

    def _see(self, request: Request, _: StripesAnswer | None) -> None:
        with self._lock:
            self.seen.append(request)

    def keys(self, end: str = "/confirm") -> list[str]:
        """The idempotency keys of all requests whose path ends so, in their order."""
        return [request.idempotency_key or "" for request in self.seen if request.path.endswith(end)]

    def posts(self, path: str) -> int:
        """How many POSTs came to exactly this path."""
        return sum(request.method == "POST" and request.path == path for request in self.seen)


def at_the_bank(rehearsal: Rehearsal, product: Product) -> Order:
    """An order whose customer has been sent to the bank (3-D Secure)."""
    return play(shop.order_one(rehearsal, product, number=THREE_D_SECURE))


def customer_passes(rehearsal: Rehearsal, order: Order, passed: bool = True) -> None:
    """The customer answers the bank; nobody has told the shop yet."""
    rehearsal.authenticate(order.intent.stripe_id or "", passed)


def tell(order: Order, type: str = "payment_intent.succeeded", id: str = "") -> Order:
    """Stripe sends an event about the order's payment, and whatever it starts is played."""
    answer = sender.knock(sender.event(order.intent.stripe_id or "", id or f"evt_{type}_{order.pk}", type))
    assert answer.status_code == 200, answer.content
    return play(order)


def lost_after_the_charge(rehearsal: Rehearsal, order: Order) -> Order:
    """The money is taken, the answer is lost, and so are all the looks that follow: nobody knows."""
    rehearsal.faults.set(Fault("drop_after", path="*/confirm", times=None))
    rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/payment_intents/*", times=None))
    return play_once(order)


def resume(order: Order) -> Order:
    """An operator presses Resume."""
    failed = Execution.objects.filter(order=order, status=State.FAILED).latest("id")
    assert engine.resume(failed, who="operator") is not None
    return play(order)


def open_case(order: Order) -> Case:
    """The order's one open case."""
    return Case.objects.get(order=order, closed_at=None)


def shelf(product: Product, on_hand: int) -> None:
    """So many are left on the shelf."""
    Level.objects.filter(product=product).update(on_hand=on_hand)


def refunds(rehearsal: Rehearsal) -> int:
    """How many refunds Stripe knows of."""
    return len(rehearsal.rows("refunds", 100))


@contextmanager
def refused_by_the_database(table: str, on: str = "INSERT", when: str = "true") -> Iterator[None]:
    """Whatever is written to a table fails, as after a bad migration or with a full disk."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'the disk is full'; END $$"
        )
        cursor.execute(
            f"CREATE TRIGGER refused BEFORE {on} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION refused()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER refused ON {table}")
