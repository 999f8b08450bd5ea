"""What the shop writes to its own people: the link to set a password, and notices of what happened to their login.

A mail is written when it is sent, so the link in it is never kept anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.tokens import default_token_generator
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _


def link(user: User) -> str:
    """The address under which the person sets a password: once, and for three days."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    path = reverse("admin:set_password", args=[uid, default_token_generator.make_token(user)])
    return f"{settings.SITE_URL}{path}"


def _invited(user: User, facts: dict[str, Any]) -> tuple[str, str]:
    return (
        _("Your login to %(shop)s's console") % {"shop": settings.SHOP_NAME_JA},
        _(
            "You can now log in to the shop's console as %(name)s. Please set your password within three days:\n\n"
            "%(link)s\n\nIf you did not expect this mail, please throw it away."
        )
        % {"name": user.get_username(), "link": link(user)},
    )


def _forgotten(user: User, facts: dict[str, Any]) -> tuple[str, str]:
    return (
        _("Set a new password"),
        _(
            "Somebody, most likely you, asked to set a new password for %(name)s. Within three days you can do so "
            "here:\n\n%(link)s\n\nIf it was not you, you need not do anything: your password is as it was."
        )
        % {"name": user.get_username(), "link": link(user)},
    )


def _new_browser(user: User, facts: dict[str, Any]) -> tuple[str, str]:
    return _notice(user, facts, _("A login with a new browser"), _("Your login was used with a browser that is new."))


def _password(user: User, facts: dict[str, Any]) -> tuple[str, str]:
    return _notice(user, facts, _("Your password was changed"), _("The password of your login was changed."))


def _second_factor(user: User, facts: dict[str, Any]) -> tuple[str, str]:
    return _notice(
        user,
        facts,
        _("Your two-step login was changed"),
        _("The second step of your login (app or recovery codes) was changed."),
    )


def _role(user: User, facts: dict[str, Any]) -> tuple[str, str]:
    return _notice(user, facts, _("Your role was changed"), _("What you may do in the shop's console was changed."))


def _notice(user: User, facts: dict[str, Any], subject: str, sentence: str) -> tuple[str, str]:
    lines = [
        sentence,
        "",
        _("Login: %(name)s") % {"name": user.get_username()},
        _("When: %(at)s (Japan)") % {"at": facts.get("at", "–")},
        _("From: %(ip)s") % {"ip": facts.get("ip") or "–"},
        *([_("Browser: %(browser)s") % {"browser": facts["browser"]}] if facts.get("browser") else []),
        "",
        _("If this was not you, tell the shop's owner at once; an owner can end your logins in the console."),
    ]
    return subject, "\n".join(lines)


#: The mails there are.
KINDS: dict[str, Callable[[User, dict[str, Any]], tuple[str, str]]] = {
    "invited": _invited,
    "forgotten": _forgotten,
    "new_browser": _new_browser,
    "password": _password,
    "second_factor": _second_factor,
    "role": _role,
}


def written(user: User, kind: str, facts: dict[str, Any]) -> tuple[str, str]:
    """Write a mail: subject and text, in Japanese and then in English."""
    parts = []
    for language in ("ja", "en"):
        with translation.override(language):
            parts.append(KINDS[kind](user, facts))
    (subject, text), (_subject, english) = parts
    return f"[{settings.SHOP_NAME_JA}] {subject}", f"{text}\n\n----\n\n{english}\n"


def now() -> str:
    """This moment, as a mail says it."""
    return timezone.localtime().strftime("%Y-%m-%d %H:%M")
