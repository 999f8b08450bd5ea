"""A case that no play has opened: what it is about, in plain words, and the way to close it with a reason."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from todoku.console import acts, at_stripe, labels, masking
from todoku.console.readonly import Card, Fact, Page, address, link
from todoku.console.templatetags.console import ago, jst, yen
from todoku.notify.models import Case
from todoku.refund import ask
from todoku.refund.models import State


class CloseForm(forms.Form):
    """Why a finding may be left as it is, or how it was mended."""

    why = forms.CharField(
        label=gettext_lazy("Reason"),
        min_length=3,
        max_length=200,
        help_text=gettext_lazy("What was done, or why it may stay as it is. The finding does not come back."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


def may_close(request: HttpRequest) -> bool:
    """Say whether the operator may close findings."""
    return bool(request.user.has_perm("notify.change_case"))


def close(request: HttpRequest, case: Case, *, why: str) -> bool:
    """Close a finding for good and write down who did it and why; False when it is closed already."""
    with transaction.atomic():
        closed = Case.objects.filter(pk=case.pk, closed_at=None, execution=None).update(
            closed_at=timezone.now(), closed_by=request.user.get_username()
        )
        if closed:
            acts.write_down(request, case, _("Finding closed"), act="closed", reason=why)
    return bool(closed)


def _refund_link(request: HttpRequest, case: Case) -> str:
    """The refund that a finding waits for; empty for any other finding."""
    if case.code != ask.WAITS_CODE or case.order is None or case.closed_at is not None:
        return ""
    waiting = case.order.refunds.filter(state=State.REQUESTED)
    return next((link(request, "refund", "refund", refund.pk) for refund in waiting if str(refund) == case.about), "")


def page(request: HttpRequest, case: Case) -> Page:
    """What was found, in one sentence, and the way to everything that it is about."""
    order = case.order
    facts = [
        Fact(
            _("State"),
            _("open") if case.closed_at is None else _("solved"),
            state="open" if case.closed_at is None else "closed",
        ),
        *([Fact(_("About"), case.about, mono=True)] if case.about else []),
        Fact(_("Cause"), case.code, mono=True),
        Fact(_("First seen"), f"{jst(case.opened_at)} ({ago(case.opened_at)})"),
        Fact(_("Last seen"), jst(case.failed_at)),
        Fact(_("Seen how often"), f"{case.failures:,}"),
        Fact(_("Bell rung"), jst(case.rung_at)),
    ]
    if case.closed_at is not None:
        facts += [Fact(_("Closed"), jst(case.closed_at)), Fact(_("Closed by"), case.closed_by)]
    cards = [Card(_("Finding"), facts)]
    if order is not None:
        cards.append(
            Card(
                _("Order"),
                [
                    Fact(_("Order"), order.number, link(request, "order", "order", order.pk)),
                    Fact(_("Order's status"), order.get_status_display(), state=order.status),
                    Fact(_("Total"), yen(order.total)),
                    Fact(_("Paid"), jst(order.paid_at)),
                ],
            )
        )
    more: dict[str, Any] = {
        "refund_link": _refund_link(request, case),
        "case": case,
        "order": order,
        "reason": labels.reason(case.code, case.step, case.why),
        "technical": masking.shown(request, "technical", case.technical),
        "stripe_link": at_stripe.anything(case.about, case.technical)
        or (at_stripe.payment(order.intent.stripe_id) if order is not None else ""),
    }
    if case.closed_at is None and may_close(request):
        more |= {"close_form": CloseForm(), "close_link": address(case, "close")}
    return Page(cards=cards, more=more)
