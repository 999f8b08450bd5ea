"""The embedded engine: plays on procrastinate, a queue in the shop's own PostgreSQL.

One play is one job. The job is enqueued in the transaction that makes the execution, so there is no order
without its play. A play runs from the top: finished steps answer from the ledger, which is why a worker that
dies loses nothing. Only what the definition itself counts (a Retry's tries, a Wait's end) is kept with the
execution and outlives the worker.
"""

from __future__ import annotations

import functools
import logging
import random
import re
import traceback
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from datetime import timedelta
from typing import Any

from django.db import connection, connections, transaction
from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.database import let_go
from todoku.engines import interpreter, queue
from todoku.engines.models import Definition, Execution, Mishap, State
from todoku.engines.poller import look_later
from todoku.flows import definition as asl
from todoku.flows import registry
from todoku.flows.step import Answer, load, perform_named
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.order.rules import AT_REST, PAID

log = logging.getLogger(__name__)


class Embedded:
    """Plays flows with workers that share the shop's database, on any number of hosts."""

    def play(self, flow: str, order: Order, *, knock: str, who: str = "") -> Execution | None:
        """Enqueue a play in the caller's transaction; see the port."""
        if knock not in ("press", "resume") and not _worth_playing(order, knock):
            return None
        # Nothing below fails half-way: no savepoint is needed inside the caller's transaction.
        with transaction.atomic(savepoint=False):
            for _ in range(3):
                execution = _start(flow, order.pk, knock=knock, who=who)
                if execution is not None:
                    return execution
                if knock == "poller":
                    # The poller brings no news; whoever plays looks anyway.
                    return None
                # A play is under way: tell it. It looks at its end, with the row locked, so no knock is lost.
                if Execution.objects.filter(order=order, flow=flow, status=State.RUNNING).update(
                    knocked_at=timezone.now()
                ):
                    # It may be waiting for its next try: there may be news, so it need not wait any longer.
                    queue.hasten(order.pk)
                    return None
        raise AssertionError("a play can neither be started nor be found")

    def resume(self, execution: Execution, *, who: str) -> Execution | None:
        """Play on after a failure: one winner under many clicks, because the order's row is locked."""
        with transaction.atomic():
            order = Order.objects.select_for_update(no_key=True).get(pk=execution.order_id)
            latest = Execution.objects.filter(order=order, flow=execution.flow).order_by("-number").first()
            if latest is None or latest.pk != execution.pk or latest.status != State.FAILED:
                return None
            return self.play(execution.flow, order, knock="resume", who=who)


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


def _worth_playing(order: Order, knock: str) -> bool:
    """Say whether there may be news.

    A complete order has none, and a paid one that failed waits for a person. A canceled one may have been paid
    after all (a till tells late), but only Stripe's word is worth a look.
    """
    status = Order.objects.values_list("status", flat=True).get(pk=order.pk)
    if status in AT_REST:
        return status == Status.CANCELED and knock in ("webhook", "reconciliation")
    return status not in PAID or not order.cases.filter(closed_at=None, execution__isnull=False).exists()


def _start(flow: str, order_id: int, *, knock: str, who: str) -> Execution | None:
    """Start the order's next play, with its job; None when one is under way (the database keeps it to one)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO engines_execution
                   (order_id, flow, number, definition_id, status, position, data, retries, knock, who,
                    started_at, error, cause)
            SELECT %(order)s::bigint, %(flow)s::text, COALESCE(MAX(number), 0) + 1, %(definition)s::bigint,
                   'RUNNING', '', '{}', '{}', %(knock)s::text, %(who)s::text, now(), '', ''
              FROM engines_execution WHERE order_id = %(order)s::bigint AND flow = %(flow)s::text
                ON CONFLICT DO NOTHING
            RETURNING id, number
            """,
            {"order": order_id, "flow": flow, "definition": _definition(flow), "knock": knock, "who": who},
        )
        row = cursor.fetchone()
    if row is None:
        return None
    execution = Execution(
        pk=row[0], order_id=order_id, flow=flow, number=row[1], definition_id=_definition(flow), knock=knock, who=who
    )
    queue.defer_play(execution, after=None)
    return execution


#: The rows of the definitions that this process has used: their ids by digest.
_known: dict[str, int] = {}


def _definition(flow: str) -> int:
    """The row of the flow's present definition."""
    registered = registry.flow(flow)
    known = _known.get(registered.digest)
    if known is None:
        row, _made = Definition.objects.get_or_create(
            flow=flow, digest=registered.digest, defaults={"text": registered.text}
        )
        known = row.pk
        # Remembered once it is committed: a press that is rolled back takes the row back with it.
        transaction.on_commit(functools.partial(_known.__setitem__, registered.digest, known))
    return known


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
        return _fail(execution, error.state, error="NeedsOperator", why=why, technical=why, code="definition_refused")
    order = load(execution.order_id)
    here = execution.position or flow.start
    data: Any = execution.data or {"order": execution.order_id}
    while True:
        state = flow.states[here]
        if isinstance(state, asl.Succeed):
            return _succeed(execution)
        if isinstance(state, asl.Fail):
            return _fail(execution, here, error=state.error, why=state.cause, technical=state.cause)
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
            return _succeed(execution)
        here = state.next


#: What may be over in a moment, without anybody's doing, rings only if it has not healed by then.
RING_AFTER = timedelta(minutes=15)
_MAY_HEAL = frozenset({"Unavailable", "States.Timeout", "stripe_key_refused"})


#: Steps that talk to the outside run here, so that one that hangs past its TimeoutSeconds can be left behind.
_talking = ThreadPoolExecutor(max_workers=256, thread_name_prefix="step")


def _perform(flow: str, state: asl.Task, parameters: dict[str, Any], order: Order) -> Answer:
    steps = registry.flow(flow).steps
    step = steps.get(str(parameters.get("step")))
    if step is None or step.outside is None:
        # Statement and lock timeouts of the database bound these.
        return perform_named(steps, parameters, order)
    let_go()
    future = _talking.submit(_in_its_own_thread, flow, parameters, order)
    try:
        return future.result(timeout=state.timeout)
    except TooLate as error:
        if future.done():
            raise
        raise StepTimedOut(f"{state.name} gave no answer within {state.timeout} seconds") from error


class StepTimedOut(Exception):
    """A step did not end within its TimeoutSeconds (``States.Timeout``); what it did is not known."""


def _in_its_own_thread(flow: str, parameters: dict[str, Any], order: Order) -> Answer:
    try:
        return perform_named(registry.flow(flow).steps, parameters, order)
    finally:
        connections.close_all()


def _name_of(error: Exception) -> str:
    if isinstance(error, StepTimedOut):
        return "States.Timeout"
    if isinstance(error, interpreter.RuntimeFailure):
        return "States.Runtime"
    # The three kinds of bad news are the names that a definition knows, whatever else is known of the case.
    for kind in (Unavailable, NeedsOperator):
        if isinstance(error, kind):
            return kind.__name__
    return type(error).__name__


_SECRET = re.compile(r"_secret_\w+")


def _technical(lines: list[str]) -> str:
    """An exception's text for a developer, without what PostgreSQL quotes of a row: that may be a person's address."""
    kept = [line for line in "".join(lines).splitlines() if not line.lstrip().startswith(("DETAIL:", "CONTEXT:"))]
    # Stripe's library quotes an answer that it could not read, and a client secret may stand in it.
    return _SECRET.sub("_secret_…", "\n".join(kept))


def _stumble(execution: Execution, flow: asl.Flow, here: str, data: Any, error: Exception) -> tuple[str, Any] | None:
    """A state has failed: schedule its next try, go where a Catch says, or fail the execution.

    Returns the state and data to go on with, or None when this job is over.
    """
    name = _name_of(error)
    technical = _technical(traceback.format_exception_only(error)).strip()
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
    _fail(
        execution,
        here,
        error=name,
        why=why,
        technical=_technical(traceback.format_exception(error)),
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
        return _succeed(execution)
    with transaction.atomic():
        _pause(execution, state.next, data, {}, timedelta(seconds=seconds))
    return None


def _pause(execution: Execution, position: str, data: Any, retries: dict[str, int], wait: timedelta) -> None:
    execution.position, execution.data, execution.retries = position, data, retries
    execution.save(update_fields=["position", "data", "retries"])
    queue.defer_play(execution, after=wait)


def _succeed(execution: Execution) -> None:
    """End a play well, close the order's case if it had one, and play once more if somebody knocked meanwhile."""
    now = timezone.now()
    with transaction.atomic():
        running = Execution.objects.filter(pk=execution.pk, status=State.RUNNING)
        if not running.filter(knocked_at=None).update(status=State.SUCCEEDED, stopped_at=now):
            if not running.update(status=State.SUCCEEDED, stopped_at=now):
                return  # another worker has ended it
            status = Order.objects.values_list("status", flat=True).get(pk=execution.order_id)
            # An order that this play has canceled too: the knock may have been Stripe's word that it is paid after all.
            if status not in PAID:
                _start(execution.flow, execution.order_id, knock="knocked", who="")
        if execution.number > 1:
            bell.close_case(execution.order_id, by=execution.who or "Todoku")


def _fail(execution: Execution, here: str, *, error: str, why: str, technical: str, code: str = "") -> None:
    """End a play badly: the execution, its case and its bell in one transaction."""
    now = timezone.now()
    with transaction.atomic():
        if not Execution.objects.filter(pk=execution.pk, status=State.RUNNING).update(
            status=State.FAILED, stopped_at=now, position=here, error=error[:256], cause=technical[-30_000:]
        ):
            return
        Mishap.objects.create(execution=execution, state=here, error=error[:256], cause=technical[-4000:])
        case, is_news = bell.open_case(execution, code=code or error, step=here, why=why, technical=technical)
        status, withdrawn = Order.objects.values_list("status", "withdrawn_at").get(pk=execution.order_id)
        looked_at = status == Status.PLACED or (status == Status.NOT_PAID and withdrawn is not None)
        if looked_at:
            look_later(execution.order_id, Case.objects.values_list("failures", flat=True).get(pk=case.pk))
        # What the poller finds unmended is counted, but rings no second time.
        if is_news or execution.who:
            heals = looked_at and not execution.who and (code or error) in _MAY_HEAL
            queue.defer_ring(case.pk, after=RING_AFTER if heals else None)
        knocked = Execution.objects.filter(pk=execution.pk, knocked_at__isnull=False).exists()
        if knocked and status not in PAID and status not in AT_REST:
            _start(execution.flow, execution.order_id, knock="knocked", who="")
    log.error("%s: failed at %s (%s): %s", execution, here, error, why)
