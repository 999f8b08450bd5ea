"""Every act of an operator is written down: who, when, on what, and what came of it."""

from __future__ import annotations

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, QuerySet
from django.http import HttpRequest


def write_down(request: HttpRequest, thing: Model, what: str) -> None:
    """Write down what the operator has just done; call it in the act's own transaction."""
    assert request.user.pk is not None
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type=ContentType.objects.get_for_model(thing),
        object_id=str(thing.pk),
        object_repr=str(thing)[:200],
        action_flag=CHANGE,
        change_message=what,
    )


def acts_on(thing: Model, most: int = 20) -> QuerySet[LogEntry]:
    """What operators have done to this thing, the newest first."""
    return (
        LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(thing), object_id=str(thing.pk))
        .select_related("user")
        .order_by("-action_time")[:most]
    )
