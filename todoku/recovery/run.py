"""Resume many, at a pace: so many in a second, so many under way at once, each once.

What a case came to is committed with its play. So whoever dies in between, or is called twice, resumes nothing
twice, and a case that an operator has resumed meanwhile is skipped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, QuerySet
from django.utils import timezone

from todoku.database import let_go
from todoku.engines import engine
from todoku.notify.models import Case
from todoku.recovery import queue
from todoku.recovery.models import Picked, Recovery

log = logging.getLogger(__name__)

State = Picked.State
#: When to look again while as many are under way as may be.
LOOK_AGAIN_AFTER = 1.0


def resumable() -> QuerySet[Case]:
    """Cases that Resume can help: open ones of orders that have stopped. A refund is resumed one by one, by hand."""
    return Case.objects.filter(closed_at=None, execution__isnull=False, execution__flow="checkout")


def start(cases: Iterable[Case], *, who: str) -> Recovery:
    """Begin a recovery of these cases, in the caller's transaction.

    Raises ``IntegrityError`` when another one is under way.
    """
    chosen = [(case, case.execution) for case in cases if case.execution is not None]
    recovery = Recovery.objects.create(
        who=who,
        chosen=len(chosen),
        per_second=settings.RESUME_PER_SECOND,
        at_once=settings.RESUME_AT_ONCE,
    )
    Picked.objects.bulk_create(
        (Picked(recovery=recovery, case=case, failed_play=failed) for case, failed in chosen), batch_size=1000
    )
    queue.defer(recovery.pk)
    return recovery


def stop(recovery: Recovery, *, who: str) -> bool:
    """Stop a recovery: what is under way goes on, what has not begun is skipped. False when it was stopped before."""
    stopped = Recovery.objects.filter(pk=recovery.pk, under_way=True, stopped_at=None).update(
        stopped_at=timezone.now(), stopped_by=who
    )
    return bool(stopped)


def go_on(recovery_id: int) -> float | None:
    """Resume the next few cases; say in how many seconds to go on, or None when all have come to something."""
    recovery = Recovery.objects.get(pk=recovery_id)
    if not recovery.under_way:
        return None
    _settle(recovery)
    if recovery.stopped_at is None:
        _resume_some(recovery)
    else:
        recovery.picked.filter(state=State.WAITING).update(
            state=State.SKIPPED, why=Picked.Skipped.STOPPED, changed_at=timezone.now()
        )
    waiting = recovery.picked.filter(state__in=[State.WAITING, State.RUNNING])
    if waiting.exists():
        busy = waiting.filter(state=State.RUNNING).count() >= recovery.at_once
        only_looks = not waiting.filter(state=State.WAITING).exists()
        return LOOK_AGAIN_AFTER if busy or only_looks else 0
    Recovery.objects.filter(pk=recovery.pk, under_way=True).update(under_way=False, ended_at=timezone.now())
    log.info("%s has ended: %s", recovery, counts(recovery))
    return None


def counts(recovery: Recovery) -> dict[str, int]:
    """How many of a recovery's cases are in which state."""
    found = dict(recovery.picked.order_by().values_list("state").annotate(n=Count("id")))
    return {str(state): found.get(state, 0) for state in State}


def _settle(recovery: Recovery) -> None:
    """Write down what the plays under way have come to."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE recovery_picked AS picked
               SET state = CASE play.status WHEN 'SUCCEEDED' THEN 'done' ELSE 'failed' END, changed_at = now()
              FROM engines_execution AS play
             WHERE picked.recovery_id = %s AND picked.state = 'running' AND play.id = picked.play_id
               AND play.status <> 'RUNNING'
            """,
            [recovery.pk],
        )


def _resume_some(recovery: Recovery) -> None:
    """Resume as many as the pace allows in a second, evenly."""
    under_way = recovery.picked.filter(state=State.RUNNING).count()
    room = min(recovery.per_second, recovery.at_once - under_way)
    for picked in list(recovery.picked.filter(state=State.WAITING)[: max(0, room)]):
        began = time.monotonic()
        if Recovery.objects.filter(pk=recovery.pk, stopped_at__isnull=False).exists():
            return
        _resume(picked, recovery.who)
        let_go()
        time.sleep(max(0.0, 1 / recovery.per_second - (time.monotonic() - began)))


def _resume(picked: Picked, who: str) -> None:
    """Resume one case, and write down in the same transaction that it was done, or why not."""
    with transaction.atomic():
        # Held by this row: a job that was given up for dead and is not finds nothing left to do.
        mine = Picked.objects.select_for_update(skip_locked=True).filter(pk=picked.pk, state=State.WAITING).first()
        if mine is None:
            return
        case = Case.objects.get(pk=mine.case_id)
        if case.closed_at is not None:
            mine.state, mine.why = State.SKIPPED, Picked.Skipped.CLOSED
        elif case.execution_id != mine.failed_play_id:
            mine.state, mine.why = State.SKIPPED, Picked.Skipped.PLAYED
        else:
            mine.play = engine.resume(mine.failed_play, who=who)
            if mine.play is None:
                mine.state, mine.why = State.SKIPPED, Picked.Skipped.PLAYED
            else:
                mine.state = State.RUNNING
        mine.save(update_fields=["state", "why", "play", "changed_at"])
