"""Logins in the console: who is or was logged in, from where."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, display, link
from todoku.console.templatetags.console import jst, jst_seconds
from todoku.staff import visits
from todoku.staff.models import Visit


@admin.register(Visit)
class VisitAdmin(ReadOnlyAdmin):
    """Logins, the newest first. Failed ones are in the audit log."""

    list_display = ("began", "user", "ip", "seen", "ended")
    list_select_related = ("user",)
    ordering = ("-id",)
    search_fields = ("=user__username", "=ip")
    search_help_text = gettext_lazy("User or IP address")
    detail_select_related = ("user",)

    @display(description=gettext_lazy("logged in at"), ordering="id")
    def began(self, visit: Visit) -> str:
        """When it began."""
        return jst_seconds(visit.began_at)

    @display(description=gettext_lazy("last seen"))
    def seen(self, visit: Visit) -> str:
        """When somebody last did something."""
        return jst(visit.seen_at)

    @display(description=gettext_lazy("ended"))
    def ended(self, visit: Visit) -> str:
        """When it ended, or will if nothing more is heard."""
        if visit.ended_at is None and visits.until(visit) > timezone.now():
            return _("open")
        return jst(visit.ended_at or visits.until(visit))

    def title(self, thing: Visit) -> str:
        """The heading: who and when."""
        return f"{thing.user.get_username()} · {jst_seconds(thing.began_at)}"

    def page(self, request: HttpRequest, thing: Visit) -> Page:
        """One login."""
        return Page(
            cards=[
                Card(
                    _("Login"),
                    [
                        Fact(_("User"), thing.user.get_username(), link(request, "auth", "user", thing.user_id)),
                        Fact(_("Logged in at"), jst_seconds(thing.began_at)),
                        Fact(_("Last seen"), jst_seconds(thing.seen_at)),
                        Fact(_("Ended"), self.ended(thing)),
                        Fact(_("IP address"), thing.ip or "–", mono=True),
                        Fact(_("Browser"), thing.browser or "–"),
                    ],
                )
            ]
        )
