"""An order that has stopped, held still for an operator's act: whoever acts, acts on what they have seen."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from todoku.console import acts
from todoku.console.resume import latest_play
from todoku.engines import engine
from todoku.engines.models import Execution, State
from todoku.notify.models import Case
from todoku.order.models import Order


class NoLonger(Exception):
    """What the operator wanted to do is no longer possible; the text tells them why, kindly."""


@dataclass(frozen=True)
class Stopped:
    """An order that has stopped, its case and its last play, with the order's row locked."""

    case: Case
    order: Order
    execution: Execution


class WhyForm(forms.Form):
    """The reason for an act, and which cause the operator has seen."""

    why = forms.CharField(
        label=gettext_lazy("Reason"),
        min_length=3,
        max_length=200,
        error_messages={
            "required": gettext_lazy("Please write down why: whoever looks at this later wants to know."),
            "min_length": gettext_lazy("Please write a few more words."),
        },
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64, required=False)


def hold(case: Case, seen: str) -> Stopped:
    """Lock the order of a case and make sure that it still stands as the operator saw it. In a transaction.

    ``seen`` is the cause that the operator's page told of. Raises NoLonger.
    """
    assert transaction.get_connection().in_atomic_block
    assert case.order_id is not None
    order = Order.objects.select_for_update(of=("self",)).select_related("intent").get(pk=case.order_id)
    case = Case.objects.select_related("execution").get(pk=case.pk)
    if case.closed_at is not None or case.execution is None:
        raise NoLonger(_("Nothing was changed: the case has been closed meanwhile."))
    latest = latest_play(case.execution)
    if latest.status == State.RUNNING:
        raise NoLonger(
            _("Nothing was changed: the order is being played right now. Please look again when the play has stopped.")
        )
    if latest.status != State.FAILED or latest.pk != case.execution_id:
        raise NoLonger(_("Nothing was changed: the order has gone on meanwhile. Please look again."))
    if seen and seen != case.code:
        raise NoLonger(_("Nothing was changed: the order has stopped for another reason meanwhile. Please look again."))
    return Stopped(case, order, latest)


def go_on(request: HttpRequest, stopped: Stopped) -> Execution | None:
    """Resume the order in the act's own transaction, if the operator may; write down that they did."""
    if not request.user.has_perm("engines.change_execution"):
        return None
    play = engine.resume(stopped.execution, who=request.user.get_username())
    if play is not None:
        acts.write_down(request, stopped.execution, _("Resumed as %(play)s") % {"play": play.name}, act="resumed")
    return play


def tell(request: HttpRequest, done: str, play: Execution | None) -> None:
    """Tell the operator on the next page what was done, and whether the order goes on."""
    onward = _("The order goes on.") if play is not None else _("Now somebody has to press Resume.")
    messages.success(request, f"{done} {onward}")
