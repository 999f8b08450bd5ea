"""Logins that end: half an hour after the last sign of life, after eight hours at the latest, at once when told to.

The session holds its visit's number. The row is looked at on every page of the console, so that what ends it (a
logout, a new password, another browser's "end all others") holds with the next request.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from todoku.staff.models import Visit

#: The visit's number in the session.
KEY = "visit"
#: What a page sends along when it asks by itself: that is no sign of life of the person before it.
BY_ITSELF = "X-By-Itself"
#: A sign of life is written down this seldom.
NOTED_EVERY = timedelta(minutes=1)


def begin(request: HttpRequest, user: User, ip: str) -> Visit:
    """Note a login and give its number to the session."""
    visit = Visit.objects.create(user=user, ip=ip, browser=request.headers.get("User-Agent", "")[:200])
    request.session[KEY] = visit.pk
    return visit


def current(request: HttpRequest) -> Visit | None:
    """The visit that this request belongs to, if it has not ended, with its sign of life noted."""
    number = request.session.get(KEY)
    if not isinstance(number, int) or request.user.pk is None:
        return None
    visit = Visit.objects.filter(pk=number, user_id=request.user.pk, ended_at=None).first()
    if visit is None:
        return None
    now = timezone.now()
    if until(visit) <= now:
        end(Visit.objects.filter(pk=visit.pk))
        return None
    if now - visit.seen_at > NOTED_EVERY and BY_ITSELF not in request.headers:
        Visit.objects.filter(pk=visit.pk).update(seen_at=now)
    return visit


def until(visit: Visit) -> datetime:
    """When the visit ends if nothing more is heard of it."""
    return min(visit.seen_at + idle(), visit.began_at + longest())


def open_visits(user: User) -> list[Visit]:
    """The person's logins that have not ended."""
    now = timezone.now()
    return [visit for visit in Visit.objects.filter(user=user, ended_at=None)[:100] if until(visit) > now]


def end_all(user: User, but: int | None = None) -> int:
    """End the person's logins at once, all but one if one is named; how many there were."""
    return end(Visit.objects.filter(user=user, ended_at=None).exclude(pk=but or 0))


def end_this(request: HttpRequest) -> None:
    """End the visit that this request belongs to."""
    end(Visit.objects.filter(pk=request.session.get(KEY) or 0))


def end(visits: QuerySet[Visit]) -> int:
    """End these logins."""
    return visits.filter(ended_at=None).update(ended_at=timezone.now())


def idle() -> timedelta:
    """How long a login lasts without a sign of life."""
    return timedelta(minutes=settings.STAFF_IDLE_MINUTES)


def longest() -> timedelta:
    """How long a login lasts at most."""
    return timedelta(seconds=settings.SESSION_COOKIE_AGE)
