"""The embedded engine: plays on procrastinate, a queue in the shop's own PostgreSQL.

One play is one job. The job is enqueued in the transaction that makes the execution, so there is no order
without its play. A play runs from the top: finished steps answer from the ledger, which is why a worker that
dies loses nothing. Only what the definition itself counts (a Retry's tries, a Wait's end) is kept with the
execution and outlives the worker.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import random
import traceback
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from datetime import timedelta
from typing import Any

from django.db import connections, transaction
from django.utils import timezone

from todoku.bad_news import NeedsOperator
from todoku.database import let_go
from todoku.engines import interpreter, plays, queue
from todoku.engines.models import Definition, Execution, Mishap, State
from todoku.flows import definition as asl
from todoku.flows import registry
from todoku.flows.step import Answer, load, perform_named
from todoku.order.models import Order
from todoku.telemetry import ties

log = logging.getLogger(__name__)


class Embedded(plays.Engine):
    """Plays flows with workers that share the shop's database, on any number of hosts."""

    def send(self, execution: Execution) -> None:
        """Enqueue the play, in the transaction that has made its row."""
        queue.defer_play(execution, after=None)

    def look_after(self) -> None:
        """Give a play that has lost its job another."""
        restart_lost()

    def hasten(self, order_id: int) -> None:
        """Have the play that waits for its next try done now."""
        queue.hasten(order_id)


_engine = Embedded()


def restart_lost() -> int:
    """Enqueue again every play under way that has no job any more; return how many.

    There is none as long as all goes well. It takes two misfortunes: a worker that slept past its time wakes up
    and puts away the job that another has in hand, and that other one dies.
    """
    with transaction.atomic():
        lost = list(
            Execution.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(status=State.RUNNING)
            .extra(
                where=[
                    "NOT EXISTS (SELECT FROM procrastinate_jobs AS job WHERE job.status IN ('todo', 'doing')"
                    " AND job.task_name = %s AND job.args->>'execution' = engines_execution.id::text)"
                ],
                params=[queue.PLAY],
            )
        )
        for execution in lost:
            log.warning("%s has lost its job; it is enqueued again", execution)
            queue.defer_play(execution, after=None)
    return len(lost)


@functools.lru_cache(maxsize=64)
def _read(definition_id: int) -> asl.Flow:
    """The definition that an execution started with, read once per process."""
    return asl.read(Definition.objects.values_list("text", flat=True).get(pk=definition_id))


def run(execution_id: int) -> None:
    """Play an execution until it ends or has to wait; the body of the queue's job.

    Safe to run twice at once or again at any time: the ledger decides what happens.
    """
    execution = Execution.objects.get(pk=execution_id)
    if execution.status != State.RUNNING:
        return None
    try:
        flow = _read(execution.definition_id)
    except asl.DefinitionRefused as error:
        why = f"This version of the shop does not play the definition that the order started with: {error}."
        code = "definition_refused"
        return _engine.end_badly(
            execution, error.state, error="NeedsOperator", why=why, technical=why, code=code
        )
    order = load(execution.order_id)
    ties.note(order=order.number, execution=execution.name, payment_intent=order.intent.stripe_id)
    here = execution.position or flow.start
    data: Any = execution.data or {"order": execution.order_id}
    while True:
        state = flow.states[here]
        if isinstance(state, asl.Succeed):
            return _engine.end_well(execution)
        if isinstance(state, asl.Fail):
            return _engine.end_badly(execution, here, error=state.error, why=state.cause, technical=state.cause)
        try:
            around = interpreter.context(
                name=execution.name,
                started_at=execution.started_at.isoformat(),
                order=execution.order_id,
                flow=flow,
                state=here,
            )
            if isinstance(state, asl.Choice):
                here = interpreter.choose(state, data)
                continue
            if isinstance(state, asl.Pass):
                data = interpreter.passed(state, data, around)
            elif isinstance(state, asl.Wait):
                return _wait(execution, state, data, around)
            else:
                answer = _perform(execution.flow, state, interpreter.fill(state.parameters, data, around), order)
                data = interpreter.put(data, state.result_path, answer)
        except Exception as error:
            caught = _stumble(execution, flow, here, data, error)
            if caught is None:
                return None
            here, data = caught
            continue
        if state.next is None:
            return _engine.end_well(execution)
        here = state.next


#: Steps that talk to the outside run here, so that one that hangs past its TimeoutSeconds can be left behind.
_talking = ThreadPoolExecutor(max_workers=256, thread_name_prefix="step")


def _perform(flow: str, state: asl.Task, parameters: dict[str, Any], order: Order) -> Answer:
    steps = registry.flow(flow).steps
    step = steps.get(str(parameters.get("step")))
    if step is None or step.outside is None:
        # Statement and lock timeouts of the database bound these.
        return perform_named(steps, parameters, order)
    let_go()
    future = _talking.submit(contextvars.copy_context().run, _in_its_own_thread, flow, parameters, order)
    try:
        return future.result(timeout=state.timeout)
    except TooLate as error:
        if future.done():
            raise
        raise plays.StepTimedOut(f"{state.name} gave no answer within {state.timeout} seconds") from error


def _in_its_own_thread(flow: str, parameters: dict[str, Any], order: Order) -> Answer:
    try:
        return perform_named(registry.flow(flow).steps, parameters, order)
    finally:
        connections.close_all()


def _stumble(execution: Execution, flow: asl.Flow, here: str, data: Any, error: Exception) -> tuple[str, Any] | None:
    """A state has failed: schedule its next try, go where a Catch says, or fail the execution.

    Returns the state and data to go on with, or None when this job is over.
    """
    name = plays.name_of(error)
    technical = plays.technical(traceback.format_exception_only(error)).strip()
    state = flow.states[here]
    if isinstance(state, asl.Task):
        found = interpreter.retrier(state, name)
        if found is not None:
            place, retrier = found
            counts = execution.retries if execution.position == here else {}
            tries = int(counts.get(str(place), 0)) + 1
            if tries <= retrier.most:
                wait = timedelta(seconds=retrier.wait(tries, random.random()))  # noqa: S311 - jitter
                seconds = wait.total_seconds()
                log.warning("%s: %s failed (%s), again in %.1f s: %s", execution, here, name, seconds, technical)
                with transaction.atomic():
                    again_at = timezone.now() + wait
                    Mishap.objects.create(
                        execution=execution, state=here, error=name, cause=technical[:4000], again_at=again_at
                    )
                    _pause(execution, here, data, {**counts, str(place): tries}, wait)
                return None
        for catcher in state.catch:
            if interpreter.stands_for(catcher.errors, name):
                return catcher.next, interpreter.put(data, catcher.result_path, {"Error": name, "Cause": technical})
    why = error.why if isinstance(error, NeedsOperator) else f"{here} failed: {name}."
    _engine.end_badly(
        execution,
        here,
        error=name,
        why=why,
        technical=plays.technical(traceback.format_exception(error)),
        code=error.code if isinstance(error, NeedsOperator) else "",
    )
    return None


def _wait(execution: Execution, state: asl.Wait, data: Any, around: dict[str, Any]) -> None:
    """A Wait state: the rest of the play is a job of its own, later."""
    seconds = state.seconds
    if seconds is None:
        assert state.seconds_path is not None
        seconds = float(interpreter.value_at(state.seconds_path, data, around))
    if state.next is None:
        return _engine.end_well(execution)
    with transaction.atomic():
        _pause(execution, state.next, data, {}, timedelta(seconds=seconds))
    return None


def _pause(execution: Execution, position: str, data: Any, retries: dict[str, int], wait: timedelta) -> None:
    execution.position, execution.data, execution.retries = position, data, retries
    execution.save(update_fields=["position", "data", "retries"])
    queue.defer_play(execution, after=wait)


