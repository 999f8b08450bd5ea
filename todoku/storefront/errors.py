"""Pages for what went wrong, in the shop's look; none of them asks the database anything."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.utils.translation import gettext as _

#: When a browser is told to come again while the database is away (seconds).
AGAIN_IN = 10


def _page(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    body = loader.render_to_string("storefront/error.html", {"title": title, "words": words, "code": status}, request)
    return HttpResponse(body, status=status, headers={"Cache-Control": "no-store, private"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: something we cannot read."""
    return _page(
        request,
        400,
        _("We could not read that"),
        _("What arrived was incomplete or too large. Please go back and try once more."),
    )


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403: not for this visitor."""
    return _page(request, 403, _("This page is not open to you"), _("Please go back to the shop's front page."))


def forgery(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 of the CSRF check: nearly always a page that stood open for long, or cookies that are switched off."""
    return _page(
        request,
        403,
        _("This page stood open for too long"),
        _(
            "For your safety we did not do what was asked; nothing was ordered or charged. "
            "Please allow cookies for this shop, open the page again and try once more."
        ),
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no such page."""
    return _page(
        request,
        404,
        _("We could not find that page"),
        _("It may have moved, or the link may be incomplete. Our goods are on the front page."),
    )


def broken(request: HttpRequest) -> HttpResponse:
    """500: our fault; or 503, to be asked again, while the database is away."""
    away = isinstance(sys.exception(), OperationalError | InterfaceError)
    answer = _page(
        request,
        503 if away else 500,
        _("Something went wrong on our side"),
        _(
            "We are sorry. Please wait a moment and try once more. If you had just placed an order, "
            "look at My page first: an order that was received is kept, and is never charged twice."
        ),
    )
    if away:
        answer.headers["Retry-After"] = str(AGAIN_IN)
    return answer
