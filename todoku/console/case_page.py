"""A case's page: what happened, what to do, the money, the picture, and who did what when."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.console import (
    at_stripe,
    case_acts,
    finding,
    history,
    labels,
    masking,
    notes,
    picture,
    refunds,
    timeline,
    told,
)
from todoku.console.correct import is_sent, may_correct
from todoku.console.money import intent_of
from todoku.console.readonly import Card, Fact, Page, address, link
from todoku.console.resume import plays_of
from todoku.console.resume_panel import panel
from todoku.console.templatetags.console import ago, jst, yen
from todoku.engines.models import Execution, State
from todoku.notify.models import Case
from todoku.notify.steps import KIND
from todoku.order.models import Order


def of_case(request: HttpRequest, case: Case, mail_form: Any) -> Page:
    """The page of an order that has stopped, or of a finding."""
    order, execution = case.order, case.execution
    common = {
        "case": case,
        "order": order,
        # They stand in the history, with all else that happened.
        "acts": (),
        "happened": told.happened(case),
        "technical": masking.shown(request, "technical", case.technical),
        "runbook": labels.runbook_link(case.code),
        "money_link": address(case, "money") if intent_of(case) else "",
        "note_form": notes.NoteForm(initial={"after": case.notes.count()}) if notes.may_note(request) else None,
        "note_link": address(case, "note"),
    }
    if order is None or execution is None:
        page = finding.page(request, case)
        return Page(cards=page.cards, more={**page.more, **common, "events": history.events(case)})
    execution.order = order  # read already
    plays = plays_of(execution)
    if case.closed_at is None and plays[-1].status == State.SUCCEEDED:
        # It went through while the page was being made; nobody must read that it stands still.
        case.refresh_from_db(fields=["closed_at", "closed_by"])
        order.refresh_from_db(fields=["status", "recorded_at"])
    # What has come after the failure is what counts now: it runs, or it went through.
    latest = plays[-1].pk
    now = execution if latest == execution.pk else Execution.objects.select_related("definition").get(pk=latest)
    mishaps = list(execution.mishaps.all())
    line = timeline.draw(now, order.ledger.all(), mishaps if now is execution else now.mishaps.all(), plays)
    refused = asks_for_an_address(case, order)
    mail = order.mails.filter(kind=KIND).first() if refused else None
    corrected = mail is not None and mail.recipient != order.email
    first = told.act_for(case)
    offered = case_acts.offered(request, case, first)
    running = plays[-1] if plays[-1].status == "RUNNING" else None
    return Page(
        cards=[_facts(request, case, order)],
        more={
            **common,
            "execution": execution,
            "line": line,
            "picture": picture.draw(now, line),
            "headline": told.headline(order),
            "customer_sees": told.customer_sees(order),
            "to_do": told.to_do(case, order, corrected=corrected),
            "running": running is not None,
            "running_play": running,
            "why": case.why,
            "reason": told.happened(case),
            "stripe_link": at_stripe.payment(order.intent.stripe_id),
            "events": history.events(case, plays, mishaps),
            "mail_refused": refused,
            "mail_form": mail_form(order) if refused and may_correct(request) else None,
            "mail_open": refused and not corrected,
            "mail_now": masking.shown(request, "mail", order.email) if corrected else "",
            "mail_link": address(case, "mail"),
            "first_act": offered.first,
            "other_acts": offered.others,
            "resume_first": offered.first is None and not (refused and not corrected),
            "refund_link": _refund_link(request, order),
            "write_off": getattr(order, "write_off", None),
            **panel(request, execution, line, plays),
        },
    )


def names_a_customer(case: Case) -> bool:
    """Say whether the page shows a customer's mail address to whoever may see one."""
    asks = case.closed_at is None and case.code == "mail_refused"
    return asks or masking.masked("technical", case.technical) != case.technical


def asks_for_an_address(case: Case, order: Order) -> bool:
    """Say whether the case waits for a better mail address."""
    return case.closed_at is None and case.code == "mail_refused" and not is_sent(order)


def _facts(request: HttpRequest, case: Case, order: Order) -> Card:
    execution = case.execution
    assert execution is not None
    is_open = case.closed_at is None
    return Card(
        _("Case"),
        [
            Fact(_("State"), _("open") if is_open else _("solved"), state="open" if is_open else "closed"),
            Fact(_("Order"), order.number, link(request, "order", "order", order.pk)),
            Fact(_("Order's status"), order.get_status_display(), state=order.status),
            Fact(_("Total"), yen(order.total)),
            Fact(_("Execution"), execution.name, link(request, "engines", "execution", execution.pk), mono=True),
            Fact(_("Stopped at"), labels.state(case.step)),
            Fact(_("Cause"), case.code, mono=True),
            Fact(_("Opened"), f"{jst(case.opened_at)} ({ago(case.opened_at)})"),
            Fact(_("Last failure"), jst(case.failed_at)),
            Fact(_("Failures"), case.failures),
            Fact(_("Bell rung"), jst(case.rung_at)),
            *([] if is_open else [Fact(_("Closed"), jst(case.closed_at)), Fact(_("Closed by"), case.closed_by)]),
        ],
    )


def _refund_link(request: HttpRequest, order: Order) -> str:
    """The page that refunds this order, where there is one and the operator may open it."""
    return str(refunds.panel(request, order).get("refund_link", ""))
