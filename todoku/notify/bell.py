"""The operator's bell: a failed execution opens a case, and the case rings.

The case is opened in the transaction that fails the execution, so there is never a failure without a
case. Ringing is a job of its own: a mail server that is down does not stop it, it is tried again.
"""

from __future__ import annotations

import logging
import smtplib
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import F
from django.utils import timezone

from todoku.bad_news import Unavailable
from todoku.database import let_go
from todoku.money import spoken
from todoku.notify.models import Case

if TYPE_CHECKING:
    from todoku.engines.models import Execution

log = logging.getLogger("todoku.bell")


def open_case(execution: Execution, *, code: str, step: str, why: str, technical: str) -> tuple[Case, bool]:
    """Open the order's case, or count one more failure on the open one, and say whether its cause is news.

    Must run in a transaction.
    """
    now = timezone.now()
    found = {
        "execution_id": execution.pk,
        "code": code[:64],
        "step": step[:64],
        "why": why,
        "technical": technical[:20_000],
        "failed_at": now,
    }
    again = Case.objects.select_for_update().filter(order_id=execution.order_id, closed_at=None).first()
    if again is None:
        return Case.objects.create(order_id=execution.order_id, **found), True
    is_news = (again.code, again.step) != (found["code"], found["step"])
    Case.objects.filter(pk=again.pk).update(failures=F("failures") + 1, **found)
    return again, is_news


def close_case(order_id: int, *, by: str) -> bool:
    """Close the order's open case, if there is one, and say whether there was."""
    return bool(Case.objects.filter(order_id=order_id, closed_at=None).update(closed_at=timezone.now(), closed_by=by))


def ring(case_id: int) -> None:
    """Tell the operators of a case: in the log, and by mail without personal data.

    Raises ``Unavailable`` when the mail cannot be sent now; the job is then done again later.
    """
    case = Case.objects.select_related("order").get(pk=case_id)
    if case.closed_at is not None:
        return
    order = case.order
    log.error("order %s stopped at %s (%s): %s", order.number, case.step, case.code, case.why)
    message = EmailMessage(
        subject=f"[Todoku] {order.number} {case.step}: {case.code}",
        body=(
            f"注文 {order.number}（{spoken(order.total)}）の処理が {case.step} で止まりました。\n"
            f"Order {order.number} ({spoken(order.total, 'en')}) has stopped at {case.step}.\n\n"
            f"{case.why}\n\n"
            "原因を取り除いてから、次のページで「再開」を押してください。済んだ処理は繰り返されません。\n"
            "Mend the cause, then press Resume on this page. Finished steps are not done again.\n"
            f"{settings.SITE_URL}/console/notify/case/{case.pk}/change/\n"
        ),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=settings.OPERATOR_EMAILS,
    )
    let_go()
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"the bell's mail could not be sent: {type(error).__name__}") from error
    Case.objects.filter(pk=case.pk).update(rung_at=timezone.now())
