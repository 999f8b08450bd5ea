"""One's own login: the second factor, recovery codes, logins that are open, and proving once more that it is you."""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from todoku.console import acts, where
from todoku.console.entrance.guard import PROVED_AT, SECOND, ask_again, wanted_page
from todoku.console.entrance.login import CodeForm
from todoku.staff import mails, queue, second_factor, tries, visits

#: In the session: the new app's secret (encrypted) until it has shown a code, and that the codes may be shown once.
NEW_SECRET, SHOW_CODES = "new_second_factor", "show_codes"


class ProveForm(forms.Form):
    """The password once more, and the code of whoever has a second factor."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=4096,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password", "autofocus": True}),
    )
    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("Six digits from your app, or one of your recovery codes."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


def second_factor_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Set up the second factor, or change it: the picture for the app's camera, and the code that proves it."""
    user = _me(request)
    again = second_factor.has(user)
    if again and (sent := ask_again(request)) is not None:
        return sent
    secret = _secret(request)
    form = CodeForm(request.POST or None)
    form.fields["code"].help_text = _("The six digits that your app now shows.")
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            if tries.take(tries.CODE, str(user.pk)) is None:
                form.add_error("code", _("Too many tries. Please wait a quarter of an hour and try again."))
            else:
                with transaction.atomic():
                    fits = second_factor.enrol(user, secret, form.cleaned_data["code"])
                    if fits:
                        _changed(request, user, _("Second step set up"))
                if fits:
                    tries.forget(tries.CODE, str(user.pk))
                    request.session.pop(NEW_SECRET, None)
                    request.session[SECOND] = request.session[SHOW_CODES] = True
                    visits.end_all(user, but=request.session.get(visits.KEY))
                    request.session.cycle_key()
                    return HttpResponseRedirect(reverse("admin:recovery_codes"))
                form.add_error("code", _("These digits do not fit. Wait for the next ones, and type them in at once."))
    more = {
        **context,
        "title": _("Two-step login"),
        "form": form,
        "again": again,
        # Made by ourselves of nothing that anybody typed but the person's own name, which is encoded.
        "picture": mark_safe(second_factor.picture(user, secret)),  # noqa: S308
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
    }
    return TemplateResponse(request, "console/entrance/second_factor.html", more, status=status)


def codes_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show the recovery codes right after they were made, once; a POST makes new ones."""
    user = _me(request)
    if request.method == "POST":
        if (sent := ask_again(request, reverse("admin:recovery_codes"))) is not None:
            return sent
        if second_factor.has(user):
            with transaction.atomic():
                second_factor.new_codes(user)
                _changed(request, user, _("New recovery codes made"))
            request.session[SHOW_CODES] = True
        return HttpResponseRedirect(reverse("admin:recovery_codes"))
    codes = second_factor.codes(user)
    more = {
        **context,
        "title": _("Recovery codes"),
        "codes": [f"{code[:4]} {code[4:]}" for code in codes] if request.session.pop(SHOW_CODES, False) else [],
        "left": len(codes),
        "has": second_factor.has(user),
    }
    return TemplateResponse(request, "console/entrance/codes.html", more)


def visits_page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """One's own open logins; a POST ends all but this one."""
    user, this = _me(request), request.session.get(visits.KEY)
    if request.method == "POST":
        with transaction.atomic():
            ended = visits.end_all(user, but=this)
            said = _("Ended all other logins of one's own: %(n)d") % {"n": ended}
            acts.write_down(request, user, said, act="sessions_ended")
        messages.success(request, _("All your other logins have ended."))
        return HttpResponseRedirect(reverse("admin:visits"))
    more = {
        **context,
        "title": _("Your logins"),
        "visits": [(visit, visit.pk == this, visits.until(visit)) for visit in visits.open_visits(user)],
        "idle": int(visits.idle().total_seconds() // 60),
        "longest": int(visits.longest().total_seconds() // 3600),
        "second_factor": second_factor.has(user),
    }
    return TemplateResponse(request, "console/entrance/visits.html", more)


def prove(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Ask for the password once more (and the code), before what only its owner may do."""
    user = _me(request)
    needs_code = second_factor.has(user)
    form = ProveForm(request.POST or None)
    if not needs_code:
        del form.fields["code"]
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid() and _proves(request, user, form, needs_code):
            request.session[PROVED_AT] = int(time.time())
            return HttpResponseRedirect(wanted_page(request))
    more = {**context, "title": _("Please show once more that it is you"), "form": form, "next": wanted_page(request)}
    return TemplateResponse(request, "console/entrance/prove.html", more, status=status)


def _proves(request: HttpRequest, user: User, form: ProveForm, needs_code: bool) -> bool:
    taken = tries.take(tries.CODE, str(user.pk))
    if taken is None:
        form.add_error(None, _("Too many tries. Please wait a quarter of an hour and try again."))
        return False
    found = authenticate(request, username=user.get_username(), password=form.cleaned_data["password"])
    if found != user:
        form.add_error("password", _("This password is not right."))
        return False
    if needs_code and second_factor.passes(user, form.cleaned_data.get("code", "")) is None:
        form.add_error("code", _("This code is not right, or it was used before. Wait for the next one."))
        return False
    tries.forget(tries.CODE, str(user.pk))
    return True


def _secret(request: HttpRequest) -> str:
    """The secret of the app that is being set up; the session keeps it encrypted until it has proved itself."""
    kept = request.session.get(NEW_SECRET)
    if isinstance(kept, str):
        return str(second_factor.Adapter().decrypt(kept))
    secret = second_factor.new_secret()
    request.session[NEW_SECRET] = second_factor.Adapter().encrypt(secret)
    return secret


def _changed(request: HttpRequest, user: User, what: str) -> None:
    acts.write_down(request, user, what, act="second_factor")
    queue.tell(user, "second_factor", at=mails.now(), ip=where.ip(request))


def _me(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user
