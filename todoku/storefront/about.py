"""The legal notice, the privacy page, the language switch, and the health of the shop."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_safe

from todoku.storefront import konbini
from todoku.storefront.page import SeeOther, form_of, show

log = logging.getLogger(__name__)


@require_safe
def legal(request: HttpRequest) -> HttpResponse:
    """Show the legal notice (特定商取引法に基づく表記)."""
    return show(request, "storefront/legal.html", konbini.terms())


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """Show what the shop does with personal data."""
    return show(request, "storefront/privacy.html")


@form_of("storefront:home")
def language(request: HttpRequest) -> HttpResponse:
    """Switch the language and go back to the same page of this shop."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None) or "\\" in back or not back.isprintable():
        back = "/"
    response = SeeOther(back)
    chosen = request.POST.get("language", "")
    if chosen in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            chosen,
            max_age=365 * 24 * 60 * 60,
            samesite="Lax",
            httponly=True,
            secure=settings.PRODUCTION,
        )
    return response


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Say whether the shop can reach its database."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        log.error("The database does not answer: %s", type(error).__name__)
        return JsonResponse({"ok": False}, status=503, headers={"Cache-Control": "no-store"})
    return JsonResponse({"ok": True}, headers={"Cache-Control": "no-store"})
