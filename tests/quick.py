"""Play an order's flow at once and in this process: the engine's own plays, without a worker to wait for."""

from __future__ import annotations

from django.db import transaction

from todoku.engines import embedded, engine
from todoku.engines.models import Execution, State
from todoku.order.models import Order


def knock(order: Order, who: str = "webhook") -> Order:
    """Somebody has learned something: play the order until nothing is under way, and read it anew."""
    with transaction.atomic():
        engine.play("checkout", order, knock=who)
    return play(order)


def play(order: Order, *, most: int = 40) -> Order:
    """Play on whatever is under way for the order; the waits before a next try are over at once."""
    for _ in range(most):
        running = Execution.objects.filter(order=order, status=State.RUNNING).values_list("pk", flat=True)
        if not running:
            return Order.objects.select_related("intent").get(pk=order.pk)
        for execution in running:
            embedded.run(execution)
    raise AssertionError(f"order {order.pk} does not come to rest")


def play_once(order: Order) -> Order:
    """Play until the first wait, and then nobody is there any more."""
    embedded.run(Execution.objects.get(order=order, status=State.RUNNING).pk)
    return Order.objects.select_related("intent").get(pk=order.pk)
