"""Who is shopping: a random cookie, known to the database by its SHA-256 only.

Shoppers have no Django session, so no page of the shop asks the session table anything.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

#: How long a browser is remembered (seconds): 180 days after the last change to its cart.
REMEMBERED = 180 * 24 * 60 * 60
_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name() -> str:
    """Name the cookie; in production no subdomain can set one of this name."""
    return "__Host-todoku_shopper" if settings.PRODUCTION else "todoku_shopper"


def fingerprint(secret: str) -> str:
    """Turn a cookie's value into what the database knows the shopper by."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _shown(request: HttpRequest) -> str:
    value = request.COOKIES.get(cookie_name(), "")
    return value if _SHAPE.fullmatch(value) else ""


def recognise(request: HttpRequest) -> str:
    """Say whose request this is: the SHA-256 of their cookie, or "" for a stranger."""
    secret = _shown(request)
    return fingerprint(secret) if secret else ""


def secret_of(request: HttpRequest) -> str:
    """Read the shopper's cookie, or think of a new secret (256 bits) for a stranger."""
    return _shown(request) or secrets.token_urlsafe(32)


def remember(response: HttpResponseBase, secret: str) -> None:
    """Give the browser its cookie."""
    response.set_cookie(
        cookie_name(),
        secret,
        max_age=REMEMBERED,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=settings.PRODUCTION,
    )
