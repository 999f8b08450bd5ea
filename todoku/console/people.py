"""What an owner does about people: invite, give a role, let nobody in any more, help somebody who lost their phone.

Each is one transaction with its line in the audit log. Rights and logins end or change at once, because both are
looked at on every page.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.contrib.auth.validators import ASCIIUsernameValidator
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from todoku.console import acts, roles, where
from todoku.staff import mails, queue, second_factor, visits


def role_choices() -> list[tuple[str, Any]]:
    """The roles to choose from, each with what it is for."""
    return [(role.key, role.name) for role in roles.ROLES.values()]


class InviteForm(forms.Form):
    """Somebody new: what they log in as, where the mail goes, and what they may."""

    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=150,
        validators=[ASCIIUsernameValidator()],
        help_text=gettext_lazy("Half-width letters, digits and @ . + - _, for example hanako."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    last_name = forms.CharField(
        label=gettext_lazy("Family name"), max_length=100, required=False, widget=UnfoldAdminTextInputWidget
    )
    first_name = forms.CharField(
        label=gettext_lazy("Given name"), max_length=100, required=False, widget=UnfoldAdminTextInputWidget
    )
    email = forms.EmailField(
        label=gettext_lazy("Mail address"),
        max_length=254,
        help_text=gettext_lazy("The link to set a password goes there."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "email"}),
    )
    role = forms.ChoiceField(
        label=gettext_lazy("Role"), choices=role_choices, initial=roles.READ_ONLY, widget=UnfoldAdminSelectWidget
    )

    def clean_username(self) -> str:
        """Refuse a name that somebody has, however it is written."""
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError(_("Somebody has this user name. Please choose another."))
        return name

    def clean_email(self) -> str:
        """Refuse an address that somebody has: people may log in with it."""
        email: str = self.cleaned_data["email"]
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError(_("Somebody has this mail address."))
        return email


class RoleForm(forms.Form):
    """Which role somebody gets."""

    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=role_choices, widget=UnfoldAdminSelectWidget)


def may_manage(request: HttpRequest) -> bool:
    """Say whether the operator may say who else may what: owners, and nobody who was only given a permission."""
    return bool(request.user.is_active and roles.role_of(request.user) == roles.OWNER)


@transaction.atomic
def invite(request: HttpRequest, facts: dict[str, Any]) -> User:
    """Make a user with a role and no password, and mail them the link to set one."""
    user = User(**{name: facts[name] for name in ("username", "last_name", "first_name", "email")})
    user.set_unusable_password()
    user.save()
    roles.give(user, facts["role"])
    acts.write_down(
        request,
        user,
        _("%(name)s invited as %(role)s") % {"name": user, "role": roles.name_of(facts["role"])},
        act="invited",
        after={"role": facts["role"]},
    )
    queue.tell(user, "invited")
    return user


@transaction.atomic
def give_role(request: HttpRequest, user: User, key: str) -> bool:
    """Give a role; False when they have it already. Raises LastOwner."""
    before = roles.role_of(user)
    if before == key and not user.is_superuser:
        return False
    roles.give(user, key)
    acts.write_down(
        request,
        user,
        _("%(name)s is now: %(role)s") % {"name": user, "role": roles.name_of(key)},
        act="role",
        before={"role": before},
        after={"role": key},
    )
    queue.tell(user, "role", at=mails.now(), ip=where.ip(request))
    return True


@transaction.atomic
def deactivate(request: HttpRequest, user: User) -> None:
    """Let somebody in no more, and end their logins. Raises LastOwner."""
    roles.deactivate(user)
    visits.end_all(user)
    acts.write_down(request, user, _("%(name)s deactivated") % {"name": user}, act="deactivated")


@transaction.atomic
def activate(request: HttpRequest, user: User) -> None:
    """Let somebody in again, with the role that they had."""
    User.objects.filter(pk=user.pk).update(is_active=True)
    acts.write_down(request, user, _("%(name)s may log in again") % {"name": user}, act="activated")


@transaction.atomic
def reset_second_factor(request: HttpRequest, user: User) -> None:
    """Take away the second factor of somebody who lost their phone, and end their logins: they set up a new one."""
    second_factor.take_away(user)
    visits.end_all(user)
    acts.write_down(request, user, _("Second step of %(name)s reset") % {"name": user}, act="second_factor")
    queue.tell(user, "second_factor", at=mails.now(), ip=where.ip(request))


@transaction.atomic
def send_link(request: HttpRequest, user: User) -> None:
    """Mail somebody a link with which they can set a password."""
    queue.tell(user, "forgotten" if user.has_usable_password() else "invited")
    acts.write_down(request, user, _("Link to set a password sent to %(name)s") % {"name": user}, act="password")


@transaction.atomic
def end_visits(request: HttpRequest, user: User) -> int:
    """End all of somebody's logins."""
    ended = visits.end_all(user)
    acts.write_down(request, user, _("Logins of %(name)s ended") % {"name": user}, act="sessions_ended")
    return ended
