"""Press Resume: one winner, whoever presses; the others learn who it was."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from todoku.console import acts
from todoku.engines import engine
from todoku.engines.models import Execution, State
from todoku.order.models import Order


@dataclass(frozen=True)
class Pressed:
    """What came of a press: the play that now runs, and whether this press started it."""

    play: Execution | None
    won: bool


def resume(request: HttpRequest, execution: Execution) -> Pressed:
    """Resume a failed execution that is its order's latest, and write down who did it, in one transaction.

    The order's row is locked first, so of many presses at once only one finds the execution still the latest.
    A press that comes late, on a page that has grown old, starts nothing.
    """
    with transaction.atomic():
        Order.objects.select_for_update(no_key=True).get(pk=execution.order_id)
        latest = latest_play(execution)
        if latest.pk != execution.pk or latest.status != State.FAILED:
            return Pressed(latest if latest.pk != execution.pk else None, won=False)
        play = engine.resume(execution, who=request.user.get_username())
        if play is None:
            return Pressed(None, won=False)
        acts.write_down(request, execution, _("Resumed as %(play)s") % {"play": play.name}, act="resumed")
        return Pressed(play, won=True)


def latest_play(execution: Execution) -> Execution:
    """The order's latest play of the same flow."""
    return Execution.objects.filter(order_id=execution.order_id, flow=execution.flow).order_by("-number")[0]


def successor(execution: Execution) -> Execution | None:
    """The play that came after this one: who resumed it and when stands there."""
    return Execution.objects.filter(
        order_id=execution.order_id, flow=execution.flow, number=execution.number + 1
    ).first()


def plays_of(execution: Execution) -> list[Execution]:
    """All plays of the order, the first one first, without their long columns."""
    return list(
        Execution.objects.filter(order_id=execution.order_id, flow=execution.flow)
        .defer("cause", "data", "retries")
        .order_by("number")
    )
