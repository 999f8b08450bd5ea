"""The ledger: a step happens once.

A step's effect and its answer commit together in one row, unique on (order, step, attempt). A finished
step answers from the ledger, so a flow may be played again from the top at any time, on any engine. What
a step has to say to the outside world it says before that transaction, in none.

The three statements that every step needs (lock, look, write) are plain SQL: they are asked six times for
each order, and writing them by hand costs a fifth of what building them anew each time does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.order.models import Order
from todoku.telemetry import ties, tracing

Answer = dict[str, Any]

#: What of an order may change after it is placed, and so is read again under the lock by every step. All
#: else (goods, amounts, names) is frozen; an operator who corrects an address does it between two plays.
LIVING = (
    "status", "attempts", "pay_by", "withdrawn_at", "next_look_at", "paid_at", "recorded_at", "completed_at",
)  # fmt: skip


def _always(_: Answer) -> bool:
    return True


@dataclass(frozen=True)
class Step:
    """One thing that a flow may ask for, by name.

    ``effect`` runs in the ledger's transaction with the order's row locked and returns the answer: ids and
    outcomes only. ``outside`` runs before it, in no transaction, and is the only place for a network call; the
    effect is given what it returned. ``per_attempt`` steps happen once for each payment attempt; ``numbered`` ones
    once for each number that the flow names (an order's second refund), which both functions are given too.
    ``final`` says which answers are kept; one that is not kept ("waiting") is asked again by the next play.
    """

    name: str
    effect: Callable[..., Answer]
    outside: Callable[..., Any] | None = None
    per_attempt: bool = False
    numbered: bool = False
    final: Callable[[Answer], bool] = _always


def load(order_id: int) -> Order:
    """Read an order with all that its steps ask for, once for a whole play."""
    return Order.objects.select_related("intent").prefetch_related("lines").get(pk=order_id)


def perform(step: Step, order_id: int, *, execution: str, order: Order | None = None, number: int = 0) -> Answer:
    """Do the step for the order, unless it is done; return its answer either way.

    ``order`` is the row as the caller has loaded it (see ``load``); without it, it is read here. ``number`` is for
    a numbered step. Raises what the step raises. A database that is away, a deadlock or a lock that did not come in
    time is ``Unavailable``: the whole step was rolled back and can be tried again.
    """
    with ties.during(step=step.name), tracing.span(f"step {step.name}"):
        return _perform(step, order_id, execution=execution, order=order, number=number)


def _perform(step: Step, order_id: int, *, execution: str, order: Order | None, number: int) -> Answer:
    try:
        began = timezone.now()
        order = order or load(order_id)
        gift = None
        which = (number,) if step.numbered else ()
        if step.outside is not None:
            done = _look(step, order, number)
            if done is not None:
                return done
            gift = step.outside(order, *which)
        with transaction.atomic():
            _lock(order)
            done = _look(step, order, number)
            if done is not None:
                return done
            answer = step.effect(order, gift, *which)
            if step.final(answer):
                _write(step, order, number, answer, execution, began)
        return answer
    except (OperationalError, InterfaceError) as error:
        raise Unavailable(f"the database: {type(error).__name__}") from error


def _lock(order: Order) -> None:
    """Lock the order's row until the transaction ends, and read again what may have changed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, attempts, pay_by, withdrawn_at, next_look_at, paid_at, recorded_at, completed_at,"
            " setback::text FROM order_order WHERE id = %s FOR NO KEY UPDATE",
            [order.pk],
        )
        row = cursor.fetchone()
    if row is None:
        raise Order.DoesNotExist(f"order {order.pk}")
    for name, value in zip(LIVING, row[:-1], strict=True):
        setattr(order, name, value)
    order.setback = None if row[-1] is None else json.loads(row[-1])


def _attempt(step: Step, order: Order, number: int) -> int:
    return number if step.numbered else order.attempts if step.per_attempt else 0


def _look(step: Step, order: Order, number: int) -> Answer | None:
    """The step's answer in the ledger, if it is done."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT answer::text FROM flows_done WHERE order_id = %s AND step = %s AND attempt = %s",
            [order.pk, step.name, _attempt(step, order, number)],
        )
        row = cursor.fetchone()
    return None if row is None else dict(json.loads(row[0]))


def _write(step: Step, order: Order, number: int, answer: Answer, execution: str, began: Any) -> None:
    """Write the step into the ledger; the database refuses a second row for the same step."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO flows_done (order_id, step, attempt, answer, execution, began_at, ended_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                order.pk, step.name, _attempt(step, order, number), json.dumps(answer), execution, began,
                timezone.now(),
            ],
        )  # fmt: skip


def perform_named(steps: Mapping[str, Step], parameters: Mapping[str, Any], order: Order | None = None) -> Answer:
    """Perform the step that a Task's parameters name: {"step", "order", "execution"}. The door for any engine.

    A numbered step's parameters have its "number" too. Raises ``NeedsOperator`` for a name that this version of the
    shop does not know: an execution that started with another version's definition is not guessed at.
    """
    step = steps.get(str(parameters.get("step")))
    if step is None:
        raise NeedsOperator(
            "unknown_step", f"This version of the shop has no step called {parameters.get('step')!r}."
        )
    return perform(
        step,
        int(parameters["order"]),
        execution=str(parameters.get("execution", "")),
        order=order,
        number=int(parameters.get("number", 0)),
    )
