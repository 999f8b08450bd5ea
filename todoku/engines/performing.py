"""A step that another machine asks for by name: performed with the ledger, its failure noted, its error named.

AWS keeps what a failed step says for 90 days where operators of the account can read it, so it is filtered as the
case's own technical text is.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.database import let_go
from todoku.engines import interpreter, plays
from todoku.engines.models import Execution, Mishap, State
from todoku.flows import definition as asl
from todoku.flows import registry
from todoku.flows.step import Answer, load, perform_named
from todoku.telemetry import ties


def perform(parameters: Mapping[str, Any]) -> Answer:
    """Perform the step that the parameters name: ``{"step", "order", "execution"}``; return its answer.

    Raises ``Unavailable``, ``NeedsOperator`` or an exception with the name of the original one, and none of its
    quotes from the database.
    """
    flow = str(parameters["execution"]).rsplit("-", 2)[0]
    order_id = int(parameters["order"])
    with ties.fresh(execution=str(parameters["execution"])):
        return _perform(flow, order_id, parameters)


def _perform(flow: str, order_id: int, parameters: Mapping[str, Any]) -> Answer:
    try:
        # A redriven execution keeps its name at AWS; with us every play has a row of its own.
        play = Execution.objects.filter(order_id=order_id, flow=flow, status=State.RUNNING).first()
        name = play.name if play is not None else str(parameters["execution"])
        order = load(order_id)
        ties.note(order=order.number, execution=name, payment_intent=order.intent.stripe_id)
        return perform_named(registry.flow(flow).steps, {**parameters, "execution": name}, order)
    except Exception as error:
        _note(flow, order_id, str(parameters.get("step", "")), error)
        raise told(error) from None
    finally:
        let_go()


def told(error: Exception) -> Exception:
    """The error as a flow may hear of it: under its own name, without what may be personal."""
    said = plays.technical(traceback.format_exception_only(error)).strip()
    if isinstance(error, NeedsOperator):
        return NeedsOperator(error.code, error.why)
    if isinstance(error, Unavailable):
        return Unavailable(said.partition(": ")[2] or said)
    unnamed: Exception = type(plays.name_of(error), (Exception,), {})(said)
    return unnamed


def _note(flow: str, order_id: int, step: str, error: Exception) -> None:
    """Note the failed try for the console, with the time of the next one at the latest; best effort."""
    name = plays.name_of(error)
    said = plays.technical(traceback.format_exception_only(error)).strip()
    try:
        play = (
            Execution.objects.filter(order_id=order_id, flow=flow, status=State.RUNNING)
            .select_related("definition")
            .first()
        )
        if play is None:
            return
        state = state_of(asl.read(play.definition.text), step)
        tries = Mishap.objects.filter(execution=play, state=state.name if state else step).count() + 1
        found = interpreter.retrier(state, name) if state is not None else None
        if found is None or tries > found[1].most:
            # It was the last try: AWS ends the execution, and whoever writes that down notes it.
            return
        again_at = timezone.now() + timedelta(seconds=found[1].wait(tries, random.random()))  # noqa: S311 - a guess
        Mishap.objects.create(
            execution=play, state=state.name if state else step, error=name[:256], cause=said[:4000], again_at=again_at
        )
        Execution.objects.filter(pk=play.pk).update(position=state.name if state else step)
    except (DatabaseError, asl.DefinitionRefused):
        # The step's own error matters more than our note of it.
        return


def state_of(flow: asl.Flow, step: str) -> asl.Task | None:
    """The Task of a flow that asks for a step."""
    for state in flow.states.values():
        if isinstance(state, asl.Task) and isinstance(state.parameters, dict) and state.parameters.get("step") == step:
            return state
    return None
