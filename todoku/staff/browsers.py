"""Browsers that a person has used before: a new one is told to its owner, and a known one has tries of its own."""

from __future__ import annotations

import hashlib
import re
import secrets

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from todoku.staff.models import Browser

#: How long a browser is remembered (seconds): half a year.
REMEMBERED = 180 * 24 * 60 * 60
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name() -> str:
    """Name the cookie; in production no subdomain can set one of this name."""
    return "__Host-todoku_browser" if settings.PRODUCTION else "todoku_browser"


def known(request: HttpRequest, user: User | None) -> Browser | None:
    """The browser, if this person has used it before."""
    secret = request.COOKIES.get(cookie_name(), "")
    if user is None or not _SHAPE.fullmatch(secret):
        return None
    return Browser.objects.filter(user=user, fingerprint=_fingerprint(secret)).first()


def remember(request: HttpRequest, response: HttpResponseBase, user: User) -> bool:
    """Remember that the person came with this browser; True when it is a new one, and not their first."""
    secret = request.COOKIES.get(cookie_name(), "")
    if not _SHAPE.fullmatch(secret):
        secret = secrets.token_urlsafe(32)
    had_others = Browser.objects.filter(user=user).exists()
    _row, new = Browser.objects.update_or_create(
        user=user, fingerprint=_fingerprint(secret), defaults={"last_seen_at": timezone.now()}
    )
    response.set_cookie(
        cookie_name(), secret, max_age=REMEMBERED, path="/", httponly=True, samesite="Lax", secure=settings.PRODUCTION
    )
    return new and had_others


def _fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
