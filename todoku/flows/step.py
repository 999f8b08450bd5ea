"""The ledger: a step happens once.

A step's effect and its answer commit together in one row, unique on (order, step, attempt). A finished
step answers from the ledger, so a flow may be played again from the top at any time, on any engine. What
a step has to say to the outside world it says before that transaction, in none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.flows.models import Done
from todoku.order.models import Order

log = logging.getLogger(__name__)

Answer = dict[str, Any]


def _always(_: Answer) -> bool:
    return True


@dataclass(frozen=True)
class Step:
    """One thing that a flow may ask for, by name.

    ``effect`` runs in the ledger's transaction with the order's row locked and returns the answer: ids and
    outcomes only. ``outside`` runs before it, in no transaction, and is the only place for a network call; the
    effect is given what it returned. ``per_attempt`` steps happen once for each payment attempt. ``final`` says
    which answers are kept; one that is not kept ("waiting") is asked again by the next play.
    """

    name: str
    effect: Callable[[Order, Any], Answer]
    outside: Callable[[Order], Any] | None = None
    per_attempt: bool = False
    final: Callable[[Answer], bool] = _always


def perform(step: Step, order_id: int, *, execution: str) -> Answer:
    """Do the step for the order, unless it is done; return its answer either way.

    Raises what the step raises. A database that is away, a deadlock or a lock that did not come in time is
    ``Unavailable``: the whole step was rolled back and can be tried again.
    """
    try:
        began = timezone.now()
        gift = None
        if step.outside is not None:
            order = Order.objects.select_related("intent").get(pk=order_id)
            done = _ledger(step, order)
            if done is not None:
                return done
            gift = step.outside(order)
        with transaction.atomic():
            order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
            done = _ledger(step, order)
            if done is not None:
                return done
            answer = step.effect(order, gift)
            if step.final(answer):
                Done.objects.create(
                    order=order,
                    step=step.name,
                    attempt=order.attempts if step.per_attempt else 0,
                    answer=answer,
                    execution=execution,
                    began_at=began,
                    ended_at=timezone.now(),
                )
        return answer
    except (OperationalError, InterfaceError) as error:
        raise Unavailable(f"the database: {type(error).__name__}") from error


def _ledger(step: Step, order: Order) -> Answer | None:
    return (
        Done.objects.filter(order=order, step=step.name, attempt=order.attempts if step.per_attempt else 0)
        .values_list("answer", flat=True)
        .first()
    )


def perform_named(steps: Mapping[str, Step], parameters: Mapping[str, Any]) -> Answer:
    """Perform the step that a Task's parameters name: {"step", "order", "execution"}. The door for any engine.

    Raises ``NeedsOperator`` for a name that this version of the shop does not know: an execution that started
    with another version's definition is not guessed at.
    """
    step = steps.get(str(parameters.get("step")))
    if step is None:
        raise NeedsOperator(
            "unknown_step", f"This version of the shop has no step called {parameters.get('step')!r}."
        )
    return perform(step, int(parameters["order"]), execution=str(parameters.get("execution", "")))
