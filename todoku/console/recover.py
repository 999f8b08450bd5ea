"""Choose the cases that are to be resumed together, start, and stop: an operator's acts, written down."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from todoku.console import acts, told
from todoku.console.causes import causes
from todoku.console.typed import row_number
from todoku.notify.models import Case
from todoku.recovery import run
from todoku.recovery.models import Recovery

#: So many cases are listed one by one; "all" takes the others too.
MOST_LISTED = 100
#: The ages that can be chosen, in hours.
HOURS = (1, 3, 24, 72)


class UnderWay(Exception):
    """Another recovery has not ended yet."""


@dataclass(frozen=True)
class Choice:
    """Which cases are meant: of one cause, or failed lately; all that were there when the page was shown."""

    cause: str = ""
    hours: int | None = None
    #: Cases that failed after this moment were not on the page.
    until: datetime | None = None

    def cases(self) -> QuerySet[Case]:
        """The cases that are meant and can be resumed, the oldest first."""
        found = run.resumable()
        code, colon, step = self.cause.partition(":")
        if colon:
            found = found.filter(code=code, step=step)
        if self.hours is not None:
            found = found.filter(failed_at__gte=timezone.now() - timedelta(hours=self.hours))
        if self.until is not None:
            found = found.filter(failed_at__lte=self.until)
        return found.order_by("opened_at", "id")


def read(typed: Any) -> Choice:
    """Read what was chosen; whatever makes no sense is left out."""
    cause = str(typed.get("cause", "")).replace("\x00", "")[:200]
    hours = str(typed.get("hours", ""))
    until = None
    with contextlib.suppress(ValueError):
        until = parse_datetime(str(typed.get("until", ""))[:40].replace("\x00", ""))
    if until is not None and timezone.is_naive(until):
        until = None
    return Choice(cause, int(hours) if hours in {str(one) for one in HOURS} else None, until)


def cause_choices() -> list[tuple[str, str]]:
    """The causes that can be chosen, in the operator's words, with how many there are."""
    return [
        (f"{code}:{step}", f"{told.happened(Case(code=code, step=step, execution_id=0))} ({n:,})")
        for code, step, n in causes(resumable=True)
    ]


def ticked(values: list[str]) -> list[int]:
    """Read the ticked cases' numbers."""
    return [number for value in values[:MOST_LISTED] if (number := row_number(value)) is not None]


def may_start(request: HttpRequest) -> bool:
    """Say whether the operator may resume many at once: who may resume one, and has this right besides."""
    return bool(request.user.has_perm("recovery.add_recovery") and request.user.has_perm("engines.change_execution"))


def start(request: HttpRequest, cases: QuerySet[Case]) -> Recovery | None:
    """Start resuming, and write it down with every order's number; None when nothing is left to resume.

    Raises UnderWay when somebody else's has not ended.
    """
    try:
        with transaction.atomic():
            chosen = list(cases.select_related("order", "execution").defer("technical", "execution__cause"))
            if not chosen:
                return None
            recovery = run.start(chosen, who=request.user.get_username())
            acts.write_down(
                request,
                recovery,
                _("Began to resume many: %(n)s orders") % {"n": f"{recovery.chosen:,}"},
                act="recovered",
                orders=[case.order.number for case in chosen if case.order is not None],
            )
            return recovery
    except IntegrityError as error:
        if "one_recovery_at_a_time" not in str(error):
            raise
        raise UnderWay from error


def stop(request: HttpRequest, recovery: Recovery) -> bool:
    """Stop it, and write that down."""
    with transaction.atomic():
        stopped = run.stop(recovery, who=request.user.get_username())
        if stopped:
            acts.write_down(request, recovery, _("Stopped to resume many"), act="recovered")
    return stopped


def takes(number: int, per_second: int) -> str:
    """About how long so many will take, as a person would say it."""
    seconds = -(-number // per_second)
    return _("%(n)s seconds") % {"n": seconds} if seconds < 90 else _("%(n)s minutes") % {"n": -(-seconds // 60)}
