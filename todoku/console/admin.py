"""People, logins and what was done, in the console's dress; the queue's own tables are not for operators."""

from __future__ import annotations

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from procrastinate.contrib.django.models import ProcrastinateJob
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from todoku.console.editable import WrittenDown
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, display
from todoku.console.templatetags.console import jst_seconds

for plain in (User, Group, AccessAttempt, AccessFailureLog, AccessLog, ProcrastinateJob):
    if admin.site.is_registered(plain):
        admin.site.unregister(plain)


class OwnersOnly:
    """Only a superuser may say who else may what; nobody is deleted, so that every act keeps its name."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say whether the operator may make a user or a role."""
        return _superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may change a user or a role."""
        return _superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes a user or a role: take "active" away instead."""
        return False


@admin.register(User)
class UserAdmin(OwnersOnly, WrittenDown, DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]  # unfold has no types
    """The operators."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "last_name", "first_name", "is_active", "is_staff", "is_superuser")
    list_filter = ("is_active", "is_staff", "is_superuser", "groups")
    filter_horizontal = ()
    actions = None


@admin.register(Group)
class GroupAdmin(OwnersOnly, WrittenDown, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Roles: what their holders may see and do."""

    filter_horizontal = ()
    actions = None


class LoginAdmin(ReadOnlyAdmin):
    """Logins as axes notes them."""

    ordering = ("-attempt_time", "-id")
    search_fields = ("=username", "=ip_address")
    search_help_text = gettext_lazy("User or IP address")

    @display(description=gettext_lazy("at"), ordering="attempt_time")
    def when(self, login: Any) -> str:
        """When it was."""
        return jst_seconds(login.attempt_time)

    def title(self, thing: Any) -> str:
        """The heading: who and when."""
        return f"{thing.username} · {jst_seconds(thing.attempt_time)}"

    def page(self, request: HttpRequest, thing: Any) -> Page:
        """One login, or a row of failed ones."""
        return Page(
            cards=[
                Card(
                    _("Login"),
                    [
                        Fact(_("User"), thing.username or "–"),
                        Fact(_("IP address"), thing.ip_address or "–", mono=True),
                        Fact(_("Browser"), thing.user_agent),
                        Fact(_("At"), jst_seconds(thing.attempt_time)),
                        *(
                            [Fact(_("Failures"), thing.failures_since_start)]
                            if hasattr(thing, "failures_since_start")
                            else [Fact(_("Logged out"), jst_seconds(thing.logout_time))]
                        ),
                    ],
                )
            ]
        )


@admin.register(AccessLog)
class AccessLogAdmin(LoginAdmin):
    """Who has logged in, from where."""

    list_display = ("when", "username", "ip_address", "logout_time")


@admin.register(AccessAttempt)
class AccessAttemptAdmin(LoginAdmin):
    """Failed logins, counted until one succeeds."""

    list_display = ("when", "username", "ip_address", "failures_since_start")


def _superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))
