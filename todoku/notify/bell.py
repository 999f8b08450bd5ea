"""The operator's bell: a failed execution opens a case, and the case rings.

The case is opened in the transaction that fails the execution, so there is never a failure without a
case. Ringing is a job of its own: a mail server that is down does not stop it, it is tried again.
"""

from __future__ import annotations

import logging
import smtplib
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection
from django.db.models import F
from django.utils import timezone, translation

from todoku.bad_news import Unavailable
from todoku.database import let_go
from todoku.money import spoken
from todoku.notify.models import Case

if TYPE_CHECKING:
    from todoku.engines.models import Execution
    from todoku.order.models import Order

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
    again = (
        Case.objects.select_for_update()
        .filter(order_id=execution.order_id, closed_at=None, execution__isnull=False)
        .first()
    )
    if again is None:
        return Case.objects.create(order_id=execution.order_id, **found), True
    is_news = (again.code, again.step) != (found["code"], found["step"])
    Case.objects.filter(pk=again.pk).update(failures=F("failures") + 1, **found)
    return again, is_news


def report(
    code: str, *, about: str, why: str, technical: str = "", order: Order | None = None, step: str = ""
) -> tuple[Case, bool]:
    """Open a case for a finding that belongs to no execution, or count it once more; say whether it is news.

    Must run in a transaction. A finding that a person has closed is not opened again: ``about`` must name the
    thing itself (the refund's id, not the order's). ``ring_new`` rings for it.
    """
    now = timezone.now()
    known = Case.objects.select_for_update().filter(code=code, about=about, execution=None).order_by("-id").first()
    if known is None or (known.closed_at is not None and known.closed_by == ITSELF):
        case = Case.objects.create(
            code=code[:64],
            about=about[:255],
            order=order,
            step=step[:64],
            why=why,
            technical=technical[:20_000],
            failed_at=now,
        )
        return case, True
    if known.closed_at is None:
        Case.objects.filter(pk=known.pk).update(failures=F("failures") + 1, failed_at=now, why=why)
    return known, False


#: Who closes a finding that is no longer so.
ITSELF = "Todoku"


def withdraw(case_ids: Iterable[int]) -> int:
    """Close findings that are no longer so, and say how many; they open again should they come back."""
    return Case.objects.filter(pk__in=list(case_ids), closed_at=None, execution=None).update(
        closed_at=timezone.now(), closed_by=ITSELF
    )


def open_about(code: str, about: str) -> list[int]:
    """The ids of the open findings of a kind about a thing."""
    return list(
        Case.objects.filter(code=code, about=about, closed_at=None, execution=None).values_list("pk", flat=True)
    )


#: Findings of one kind ring at most this often; those that come meanwhile share the next mail.
STORM_PAUSE = timedelta(minutes=1)
#: How many findings one mail names one by one.
MOST_NAMED = 100
#: The advisory lock of whoever is ringing ("ring" in ASCII): of several workers one rings.
_RINGING = 0x72696E67


def ring_new() -> int:
    """Ring for every finding that has not been rung for; return how many mails went out. Called every few seconds.

    One mail for each kind, and none of a kind that has rung within the last minute: a storm of findings is a few
    mails that name every case. Raises ``Unavailable`` when a mail cannot be sent now.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_RINGING])
        if not cursor.fetchone()[0]:
            return 0
    try:
        return _ring_new()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_RINGING])


def _ring_new() -> int:
    unheard: dict[str, list[Case]] = {}
    findings = Case.objects.filter(execution=None)
    for case in findings.filter(closed_at=None, rung_at=None).select_related("order").order_by("id"):
        unheard.setdefault(case.code, []).append(case)
    just_now = timezone.now() - STORM_PAUSE
    lately = set(findings.filter(rung_at__gt=just_now).values_list("code", flat=True)) if unheard else set()
    mails = 0
    for code, cases in unheard.items():
        if code in lately:
            continue
        _send(*(_found(cases[0]) if len(cases) == 1 else _storm(code, cases)))
        Case.objects.filter(pk__in=[case.pk for case in cases]).update(rung_at=timezone.now())
        mails += 1
    return mails


def close_case(order_id: int, *, by: str) -> bool:
    """Close the order's open case, if there is one, and say whether there was."""
    return bool(
        Case.objects.filter(order_id=order_id, closed_at=None, execution__isnull=False).update(
            closed_at=timezone.now(), closed_by=by
        )
    )


def ring(case_id: int) -> None:
    """Tell the operators of a case: in the log, and by mail without personal data.

    Raises ``Unavailable`` when the mail cannot be sent now; the job is then done again later.
    """
    case = Case.objects.select_related("order").get(pk=case_id)
    if case.closed_at is not None:
        return
    subject, text = _stopped(case, case.order) if case.execution_id and case.order else _found(case)
    let_go()
    _send(subject, text)
    Case.objects.filter(pk=case.pk).update(rung_at=timezone.now())


def _send(subject: str, text: str) -> None:
    message = EmailMessage(
        subject=subject, body=text, from_email=settings.DEFAULT_FROM_EMAIL, to=settings.OPERATOR_EMAILS
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise Unavailable(f"the bell's mail could not be sent: {type(error).__name__}") from error


def _address(case: Case) -> str:
    return f"{settings.SITE_URL}/console/notify/case/{case.pk}/change/"


def _stopped(case: Case, order: Order) -> tuple[str, str]:
    log.error("order %s stopped at %s (%s): %s", order.number, case.step, case.code, case.why)
    return (
        f"[Todoku] {order.number} {case.step}: {case.code}",
        f"注文 {order.number}（{spoken(order.total)}）の処理が {case.step} で止まりました。\n"
        f"Order {order.number} ({spoken(order.total, 'en')}) has stopped at {case.step}.\n\n"
        f"{case.why}\n\n"
        "原因を取り除いてから、次のページで「再開」を押してください。済んだ処理は繰り返されません。\n"
        "Mend the cause, then press Resume on this page. Finished steps are not done again.\n"
        f"{_address(case)}\n",
    )


def _found(case: Case) -> tuple[str, str]:
    order = case.order
    log.error("found %s about %s: %s", case.code, case.about, case.why)
    whose = f"注文 Order {order.number}（{spoken(order.total)}）\n" if order is not None else ""
    return (
        f"[Todoku] {_name(case)}: {case.code}",
        "確認が必要なことが見つかりました。\nSomething was found that a person must look at.\n\n"
        f"{whose}{case.about}\n{_in_both(case.why)}\n\n{_address(case)}\n",
    )


def _storm(code: str, cases: list[Case]) -> tuple[str, str]:
    """One mail for many findings of one kind."""
    log.error("found %s, %s times: %s", code, len(cases), ", ".join(case.about for case in cases[:MOST_NAMED]))
    whys = list(dict.fromkeys(case.why for case in cases))
    lines = [f"{_name(case)} {case.about}\n  {_address(case)}" for case in cases[:MOST_NAMED]]
    if len(cases) > MOST_NAMED:
        lines.append(f"… {len(cases) - MOST_NAMED}\n  {settings.SITE_URL}/console/notify/case/?state=open")
    return (
        f"[Todoku] {len(cases)} × {code}",
        f"同じ種類のことが{len(cases)}件見つかりました。\n{len(cases)} things of one kind were found.\n\n"
        + "\n\n".join(_in_both(why) for why in whys[:5])
        + "\n\n"
        + "\n".join(lines)
        + "\n",
    )


def _name(case: Case) -> str:
    return case.order.number if case.order is not None else case.about


def _in_both(sentence: str) -> str:
    """The sentence in Japanese, where the catalog knows it, and in English."""
    with translation.override("ja"):
        japanese = translation.gettext(sentence) if sentence else ""
    return sentence if japanese == sentence else f"{japanese}\n{sentence}"
