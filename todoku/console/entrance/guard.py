"""Who may not go on: a login that has ended, one without its second factor, and whoever should prove it is them again.

``keep_out`` is asked before every page of the console.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from todoku.console import where
from todoku.staff import second_factor, visits

#: In the session: that this login had its second factor, and when the person last proved that it is them.
SECOND, PROVED_AT = "second_factor", "proved_at"


def began(sender: Any, request: HttpRequest, user: Any, **_: Any) -> None:
    """Note every login, whichever way it came."""
    if getattr(user, "is_staff", False):
        visits.begin(request, user, where.ip(request))
        request.session[PROVED_AT] = int(time.time())


def keep_out(request: HttpRequest, *, enrolling: bool = False) -> HttpResponse | None:
    """Where to send somebody who may not see the page that they asked for; None to let them in.

    ``enrolling`` is for the pages on which a second factor is set up: whoever needs one may see these.
    """
    if not (request.user.is_authenticated and request.user.is_active and getattr(request.user, "is_staff", False)):
        return None  # Django's own guard sends them to the login
    if visits.current(request) is None:
        logout(request)
        messages.info(request, _("Your login has ended. Please log in again."))
        return to_login(request)
    if settings.STAFF_MFA and not request.session.get(SECOND):
        if second_factor.has(request.user):
            # A login from before the second factor was set up.
            logout(request)
            return to_login(request)
        if not enrolling:
            return HttpResponseRedirect(reverse("admin:second_factor"))
    return None


def proved_lately(request: HttpRequest) -> bool:
    """Say whether the person has shown a password (and code) within the last minutes, and not only a cookie."""
    proved_at = request.session.get(PROVED_AT)
    return isinstance(proved_at, int) and time.time() - proved_at < settings.STAFF_PROOF_MINUTES * 60


def ask_again(request: HttpRequest, back_to: str = "") -> HttpResponse | None:
    """The page that asks for the password once more, before what only its owner may do; None when it was just shown."""
    if proved_lately(request):
        return None
    back = back_to or (request.get_full_path() if request.method in ("GET", "HEAD") else reverse("admin:index"))
    return HttpResponseRedirect(reverse("admin:prove", query={"next": back}))


def to_login(request: HttpRequest) -> HttpResponseRedirect:
    """The way to the login, and from there to the page that was asked for."""
    query = {"next": request.get_full_path()} if request.method in ("GET", "HEAD") else {}
    return HttpResponseRedirect(reverse("admin:login", query=query or None))


def wanted_page(request: HttpRequest) -> str:
    """The console's page to go on to: only one of this site's, whatever the address claims."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe and wanted.startswith(reverse("admin:index")) else reverse("admin:index")


user_logged_in.connect(began, dispatch_uid="todoku.console.entrance.began")
