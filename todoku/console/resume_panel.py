"""What the Resume panel says: what it will do and what it will not do again, or who has resumed already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.console import labels, timeline
from todoku.console.readonly import address
from todoku.console.templatetags.console import jst
from todoku.engines.models import Execution, State
from todoku.order.models import Status


def may_resume(request: HttpRequest) -> bool:
    """Say whether the operator may resume executions."""
    return bool(request.user.has_perm("engines.change_execution"))


def panel(
    request: HttpRequest, execution: Execution, line: timeline.Line, plays: Sequence[Execution]
) -> dict[str, Any]:
    """Gather what the panel shows for an execution, given all plays of its order."""
    failed = execution.status == State.FAILED
    following = next((play for play in plays if play.number == execution.number + 1), None)
    return {
        "failed": failed,
        "can_resume": failed and following is None and may_resume(request) and not _ended(execution),
        "resume_link": address(execution, "resume"),
        "again": labels.state(execution.position),
        "finished": line.finished,
        "to_come": line.to_come,
        "following": following if failed else None,
        "overtaken": overtaken_by(following) if failed and following is not None else "",
    }


def _ended(execution: Execution) -> bool:
    """Whether a person has written the order off: then nothing of its checkout is played any more."""
    return execution.flow == "checkout" and execution.order.status == Status.WRITTEN_OFF


def overtaken_by(play: Execution) -> str:
    """Say who played on after a failure, and when."""
    when = jst(play.started_at)
    if play.knock == "resume":
        return _("Already resumed by %(who)s at %(when)s as %(play)s.") % {
            "who": play.who,
            "when": when,
            "play": play.name,
        }
    return _("Played again since, at %(when)s, as %(play)s.") % {"when": when, "play": play.name}
