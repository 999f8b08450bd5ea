"""Log in: name or mail address and password, then the second factor.

The answer to a wrong name is the answer to a wrong password, and takes as long. Tries are counted in the database
before the password is looked at (``staff/tries.py``).
"""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate
from django.contrib.auth import login as let_in
from django.contrib.auth import logout as let_out
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from todoku.audit.write import write
from todoku.console import acts, roles, where
from todoku.console.entrance.guard import SECOND, wanted_page
from todoku.staff import browsers, mails, queue, second_factor, tries, visits

#: In the session between the password and the code: whose password was right, and when.
HALF = "half_in"
#: How long one may look for the phone (seconds).
PATIENCE = 5 * 60


class LoginForm(forms.Form):
    """Who, and the password."""

    username = forms.CharField(
        label=gettext_lazy("User name or mail address"),
        max_length=254,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false", "autofocus": True}
        ),
    )
    password = forms.CharField(
        label=gettext_lazy("Password"),
        max_length=4096,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )


class CodeForm(forms.Form):
    """Six digits from the app, or a recovery code."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=40,
        help_text=gettext_lazy("Six digits from your app, or one of your recovery codes."),
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )


def login(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Ask for name and password."""
    if request.method != "POST":
        return _page(request, context, LoginForm())
    form = LoginForm(request.POST)
    if not form.is_valid():
        return _page(request, context, form)
    typed, ip = form.cleaned_data["username"].strip(), where.ip(request)
    person = _find(typed)
    about = person.get_username() if person is not None else typed
    browser = browsers.known(request, person)
    # A browser that the account knows has tries of its own: nobody else can lock its owner out.
    of_account = f"{about} {browser.pk}" if browser is not None else about
    taken = [tries.take(tries.ADDRESS, ip), tries.take(tries.ACCOUNT, of_account)]
    if None in taken:
        for one in taken:
            tries.give_back(one)
        _note("locked_out", person, ip)
        form.add_error(None, _("Too many tries. Please wait a quarter of an hour and try again."))
        return _page(request, context, form, status=429)
    user = authenticate(request, username=about, password=form.cleaned_data["password"])
    if not isinstance(user, User) or not user.is_staff:
        _note("login_failed", person, ip)
        form.add_error(None, _("The user name, the mail address or the password is not right."))
        return _page(request, context, form)
    for one in taken:
        tries.give_back(one)
    tries.forget(tries.ACCOUNT, of_account)
    if second_factor.has(user):
        if request.user.is_authenticated:
            let_out(request)
        request.session.cycle_key()
        request.session[HALF] = {"user": user.pk, "at": int(time.time()), "password": user.get_session_auth_hash()}
        return HttpResponseRedirect(reverse("admin:code", query={"next": wanted_page(request)}))
    return _enter(request, user, second=False)


def code(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Ask for the second factor."""
    user = _half_in(request)
    if user is None:
        return HttpResponseRedirect(reverse("admin:login", query={"next": wanted_page(request)}))
    template, more = "console/entrance/code.html", {**context, "title": _("Second step")}
    if request.method != "POST":
        return TemplateResponse(request, template, {**more, "form": CodeForm(), "next": wanted_page(request)})
    form = CodeForm(request.POST)
    if form.is_valid():
        ip, taken = where.ip(request), tries.take(tries.CODE, str(user.pk))
        if taken is None:
            request.session.pop(HALF, None)
            _note("locked_out", user, ip, _("second step"))
            messages.error(request, _("Too many tries. Please wait a quarter of an hour and try again."))
            return HttpResponseRedirect(reverse("admin:login"))
        how = second_factor.passes(user, form.cleaned_data["code"])
        if how is not None:
            tries.forget(tries.CODE, str(user.pk))
            request.session.pop(HALF, None)
            return _enter(request, user, second=True, recovery=how == "recovery")
        _note("login_failed", user, ip, _("second step"))
        form.add_error("code", _("This code is not right, or it was used before. Wait for the next one."))
    return TemplateResponse(request, template, {**more, "form": form, "next": wanted_page(request)}, status=422)


def logout(request: HttpRequest) -> HttpResponse:
    """End this login. Only a POST does."""
    user = request.user
    with transaction.atomic():
        if isinstance(user, User):
            acts.write_down(request, None, "", act="logout")
            visits.end_this(request)
        let_out(request)
    messages.info(request, _("You have logged out."))
    return HttpResponseRedirect(reverse("admin:login"))


def _enter(request: HttpRequest, user: User, *, second: bool, recovery: bool = False) -> HttpResponse:
    """Let the person in; the session gets a new key, so whoever knew the old one has nothing."""
    ip = where.ip(request)
    response = HttpResponseRedirect(wanted_page(request))
    with transaction.atomic():
        let_in(request, user, backend="django.contrib.auth.backends.ModelBackend")
        request.session[SECOND] = second
        what = _("with a recovery code") if recovery else _("with the second step") if second else ""
        write(who=user.get_username(), user=user, role=roles.role_of(user), ip=ip, act="login", what=what)
        if browsers.remember(request, response, user):
            agent = request.headers.get("User-Agent", "")[:200]
            queue.tell(user, "new_browser", at=mails.now(), ip=ip, browser=agent)
    if recovery:
        left = len(second_factor.codes(user))
        messages.warning(request, _("You used a recovery code. %(left)d are left.") % {"left": left})
    return response


def _find(typed: str) -> User | None:
    """The person of this name, or of this mail address if it is one person's only. Both are always looked for."""
    typed = typed.replace("\x00", "")
    named = User.objects.filter(username=typed).first()
    mailed = list(User.objects.filter(email__iexact=typed, is_active=True)[:2]) if typed else []
    return named or (mailed[0] if len(mailed) == 1 else None)


def _half_in(request: HttpRequest) -> User | None:
    half = request.session.get(HALF)
    if not isinstance(half, dict) or time.time() - half.get("at", 0) > PATIENCE:
        return None
    user = User.objects.filter(pk=half.get("user") or 0, is_active=True, is_staff=True).first()
    # A password that was changed meanwhile has to be shown again.
    return user if user is not None and user.get_session_auth_hash() == half.get("password") else None


def _note(act: str, person: User | None, ip: str, what: str = "") -> None:
    # A name that is nobody's is not kept: people type their passwords into the wrong field.
    who = person.get_username() if person is not None else "?"
    write(who=who, user=person, role=roles.role_of(person) if person is not None else "", ip=ip, act=act, what=what)


def _page(request: HttpRequest, context: dict[str, Any], form: forms.Form, status: int = 200) -> HttpResponse:
    more = {**context, "title": _("Log in"), "form": form, "next": wanted_page(request)}
    return TemplateResponse(request, "console/entrance/login.html", more, status=status)
