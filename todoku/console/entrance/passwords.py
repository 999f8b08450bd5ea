"""Passwords: change one's own, ask for a link when it is forgotten, and set one by the link of a mail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.forms import SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.forms import AdminOwnPasswordChangeForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from todoku.audit.write import write
from todoku.console import roles, where
from todoku.staff import mails, queue, tries, visits


class ForgottenForm(forms.Form):
    """The mail address that the link goes to."""

    email = forms.EmailField(
        label=gettext_lazy("Mail address"),
        max_length=254,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "email", "inputmode": "email", "autofocus": True}),
    )


class NewPasswordForm(SetPasswordForm):  # type: ignore[type-arg]  # cannot be subscripted when it runs
    """A new password, twice."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("new_password1", "new_password2"):
            self.fields[name].widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"})


def forgotten(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Mail a link to whoever has this address. The answer is the same when nobody has it; the worker sends the mail."""
    form = ForgottenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        ip = where.ip(request)
        if tries.take(tries.MAILS, ip) is None:
            form.add_error(None, _("Too many tries. Please come back in an hour."))
        else:
            with transaction.atomic():
                found = User.objects.filter(email__iexact=form.cleaned_data["email"], is_active=True, is_staff=True)
                for user in found[:5]:
                    queue.tell(user, "forgotten")
                    _note(user, ip, _("Asked for a link to set a new password"))
            messages.info(
                request, _("If this address belongs to one of us, a link to set a new password is on its way to it.")
            )
            return HttpResponseRedirect(reverse("admin:login"))
    more = {**context, "title": _("Forgotten your password?"), "form": form}
    status = 422 if request.method == "POST" else 200
    return TemplateResponse(request, "console/entrance/forgotten.html", more, status=status)


class ByLink(PasswordResetConfirmView):
    """Set a password by the link of a mail. The link's secret goes into the session and out of the address at once."""

    form_class = NewPasswordForm
    template_name = "console/entrance/set_password.html"
    success_url = reverse_lazy("admin:login")
    reset_url_token = "new"  # noqa: S105 - a word in the address
    title = gettext_lazy("Set your password")

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the password, end every login that there is, and write it down. Who set it has still to log in."""
        with transaction.atomic():
            answer: HttpResponse = super().form_valid(form)
            _password_changed(self.request, form.user, but=None)
        messages.success(self.request, _("Your password is set. Please log in."))
        return answer


def by_link(request: HttpRequest, context: dict[str, Any], uidb64: str, token: str) -> HttpResponseBase:
    """The page that the link of a mail opens."""
    return ByLink.as_view(extra_context=context)(request, uidb64=uidb64, token=token)


class Own(PasswordChangeView):
    """Change one's own password; all other logins end."""

    form_class = AdminOwnPasswordChangeForm
    template_name = "registration/password_change_form.html"
    success_url = reverse_lazy("admin:password_change_done")

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep the password and write it down. This browser's login goes on under a new key."""
        with transaction.atomic():
            answer: HttpResponse = super().form_valid(form)
            _password_changed(self.request, form.user, but=self.request.session.get(visits.KEY))
        return answer


def _password_changed(request: HttpRequest, user: User, but: int | None) -> None:
    visits.end_all(user, but=but)
    ip = where.ip(request)
    _note(user, ip, _("Password changed"))
    queue.tell(user, "password", at=mails.now(), ip=ip)


def _note(user: User, ip: str, what: str) -> None:
    write(who=user.get_username(), user=user, role=roles.role_of(user), ip=ip, act="password", what=what, thing=user)
