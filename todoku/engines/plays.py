"""What a play is to the shop, on whichever engine: its row, its end, and the case that a bad end opens.

An engine inherits from ``Engine`` here and says how a play is sent on its way; all that the shop knows of plays
(who may start one, that one runs at a time, what comes after it) is the same everywhere, because it stands in
the shop's own rows.
"""

from __future__ import annotations

import functools
import logging
import re

from django.db import connection, transaction
from django.utils import timezone

from todoku.bad_news import NeedsOperator, Unavailable
from todoku.engines import interpreter
from todoku.engines.models import Definition, Execution, Mishap, State
from todoku.engines.poller import look_later
from todoku.flows import registry
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order.models import Order, Status

log = logging.getLogger(__name__)


class Engine:
    """The port's half that is the same on every engine."""

    def send(self, execution: Execution) -> None:
        """Send a play on its way, in the transaction that has made its row; every engine says how."""
        raise NotImplementedError

    def hasten(self, order_id: int) -> None:
        """Have a play that waits for its next try go on now, if the engine can."""

    def look_after(self) -> None:
        """Set right what two misfortunes at once may have left behind; every worker asks for it every few seconds."""

    def play(self, flow: str, order: Order, *, knock: str, who: str = "") -> Execution | None:
        """Start a play in the caller's transaction; see the port."""
        if knock not in ("press", "resume") and not registry.flow(flow).looks.worth_playing(order.pk, knock):
            return None
        # Nothing below fails half-way: no savepoint is needed inside the caller's transaction.
        with transaction.atomic(savepoint=False):
            for _ in range(3):
                execution = self.start(flow, order.pk, knock=knock, who=who)
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
                    self.hasten(order.pk)
                    return None
        raise AssertionError("a play can neither be started nor be found")

    def resume(self, execution: Execution, *, who: str) -> Execution | None:
        """Play on after a failure: one winner under many clicks, because the order's row is locked."""
        with transaction.atomic():
            order = Order.objects.select_for_update(no_key=True).get(pk=execution.order_id)
            if order.status == Status.WRITTEN_OFF and execution.flow == "checkout":
                return None
            latest = Execution.objects.filter(order=order, flow=execution.flow).order_by("-number").first()
            if latest is None or latest.pk != execution.pk or latest.status != State.FAILED:
                return None
            return self.play(execution.flow, order, knock="resume", who=who)

    def start(self, flow: str, order_id: int, *, knock: str, who: str) -> Execution | None:
        """Start the order's next play; None when one is under way (the database keeps it to one)."""
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
            pk=row[0], order_id=order_id, flow=flow, number=row[1], definition_id=_definition(flow), knock=knock,
            who=who,
        )  # fmt: skip
        self.send(execution)
        return execution

    def end_well(self, execution: Execution) -> None:
        """End a play well, close the order's case if it had one, and play once more if somebody knocked meanwhile."""
        now = timezone.now()
        with transaction.atomic():
            running = Execution.objects.filter(pk=execution.pk, status=State.RUNNING)
            if not running.filter(knocked_at=None).update(status=State.SUCCEEDED, stopped_at=now):
                if not running.update(status=State.SUCCEEDED, stopped_at=now):
                    return  # somebody else has ended it
                if registry.flow(execution.flow).looks.plays_again(execution.order_id, False):
                    self.start(execution.flow, execution.order_id, knock="knocked", who="")
            if execution.number > 1:
                bell.close_case(execution.order_id, execution.flow, by=execution.who or "Todoku")

    def end_badly(
        self, execution: Execution, here: str, *, error: str, why: str, technical: str, code: str = ""
    ) -> None:
        """End a play badly: the execution, its case and its bell in one transaction."""
        now = timezone.now()
        with transaction.atomic():
            # The order's row first, as everywhere: whoever knocks holds it and then wants the execution's.
            Order.objects.select_for_update(no_key=True).only("pk").get(pk=execution.order_id)
            if not Execution.objects.filter(pk=execution.pk, status=State.RUNNING).update(
                status=State.FAILED, stopped_at=now, position=here, error=error[:256], cause=technical[-30_000:]
            ):
                return
            Mishap.objects.create(execution=execution, state=here, error=error[:256], cause=technical[-4000:])
            case, is_news = bell.open_case(execution, code=code or error, step=here, why=why, technical=technical)
            looks = registry.flow(execution.flow).looks
            looked_at = looks.mends_itself(execution.order_id)
            if looked_at:
                failures = Case.objects.values_list("failures", flat=True).get(pk=case.pk)
                look_later(execution.flow, execution.order_id, failures)
            # What the poller finds unmended is counted, but rings no second time.
            if is_news or execution.who:
                heals = looked_at and not execution.who and (code or error) in _MAY_HEAL
                bell.ring_later(case.pk, after=bell.RING_AFTER if heals else None)
            knocked = Execution.objects.filter(pk=execution.pk, knocked_at__isnull=False).exists()
            if knocked and looks.plays_again(execution.order_id, True):
                self.start(execution.flow, execution.order_id, knock="knocked", who="")
        log.error("%s: failed at %s (%s): %s", execution, here, error, why)


#: What may be over in a moment, without anybody's doing, rings only if it has not healed by then.
_MAY_HEAL = frozenset({"Unavailable", "States.Timeout", "stripe_key_refused"})


#: The rows of the definitions that this process has used: their ids by digest.
known: dict[str, int] = {}


def _definition(flow: str) -> int:
    """The row of the flow's present definition."""
    registered = registry.flow(flow)
    found = known.get(registered.digest)
    if found is None:
        row, _made = Definition.objects.get_or_create(
            flow=flow, digest=registered.digest, defaults={"text": registered.text}
        )
        found = row.pk
        # Remembered once it is committed: a press that is rolled back takes the row back with it.
        transaction.on_commit(functools.partial(known.__setitem__, registered.digest, found))
    return found


class StepTimedOut(Exception):
    """A step did not end within its TimeoutSeconds (``States.Timeout``); what it did is not known."""


def name_of(error: Exception) -> str:
    """The name under which a definition knows an error."""
    if isinstance(error, StepTimedOut):
        return "States.Timeout"
    if isinstance(error, interpreter.RuntimeFailure):
        return "States.Runtime"
    # The kinds of bad news are the names that a definition knows, whatever else is known of the case.
    for kind in (Unavailable, NeedsOperator):
        if isinstance(error, kind):
            return kind.__name__
    return type(error).__name__


_SECRET = re.compile(r"_secret_\w+")
_QUOTED = re.compile(r"(Invalid response body from API: ).*?(?=\s*\((?:HTTP|request)|\Z)", re.DOTALL)


def technical(lines: list[str]) -> str:
    """An exception's text for a developer, without what PostgreSQL quotes of a row: that may be a person's address."""
    kept = [line for line in "".join(lines).splitlines() if not line.lstrip().startswith(("DETAIL:", "CONTEXT:"))]
    # Stripe's library quotes an answer that it could not read: the customer's name and a client secret stand in it.
    return _SECRET.sub("_secret_…", _QUOTED.sub(r"\1…", "\n".join(kept)))
