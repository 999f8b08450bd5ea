"""The bell's channels in the operator's console: how each is doing, a test, and (for owners) where they lead."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import acts, labels
from todoku.console.readonly import Fact, ReadOnlyAdmin, Table, address, link
from todoku.console.templatetags.console import ago, jst_seconds
from todoku.ringing import channels
from todoku.ringing.form import ChannelForm
from todoku.ringing.models import Channel, Ring, named_by_settings
from todoku.ringing.tried import try_out

#: Messages that a channel's page shows, the newest first.
SHOWN = 20

STATES: dict[str, Any] = {
    "told": gettext_lazy("got through"),
    "failed": gettext_lazy("failed; tried again"),
    "waiting": gettext_lazy("waiting"),
    "dropped": gettext_lazy("no longer needed"),
}
_COLOURS = {"told": "yes", "failed": "no", "waiting": "asked", "dropped": "canceled"}


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin):
    """A page of its own instead of Django's forms: an address that is a secret must never be shown again."""

    def get_urls(self) -> list[URLPattern]:
        """The acts on one channel."""
        return [
            path("<int:pk>/test/", self.admin_site.admin_view(self.test_view), name="ringing_channel_test"),
            path("<int:pk>/remove/", self.admin_site.admin_view(self.remove_view), name="ringing_channel_remove"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only who may set channels; an address may be a secret, and what is told there leaves the house."""
        return bool(request.user.has_perm("ringing.add_channel"))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show all channels in their turns, and how each is doing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        usable = {channel.pk for channel in channels.ready()}
        rows = [_card(request, channel, channel.pk in usable) for channel in Channel.objects.all()]
        return TemplateResponse(
            request,
            "console/channels.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Bell channels"),
                "channels": rows,
                "nobody": not usable,
                "failing": [row["channel"] for row in rows if row["state"] == "failed"],
                "may_set": _may_set(request),
                "add_link": reverse("admin:ringing_channel_add"),
                **(extra_context or {}),
            },
        )

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Make a channel."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            first = {"kind": Channel.Kind.MAIL, "turn": 1, "language": Channel.Language.BOTH, "on": True}
            return self._form_page(request, ChannelForm(initial=first), None)
        form = ChannelForm(request.POST)
        if form.is_valid():
            try:
                with transaction.atomic():
                    channel = Channel.objects.create(**form.cleaned_data)
                    acts.write_down(request, channel, _("Bell channel made: %(where)s") % {"where": channel.masked})
            except IntegrityError:
                form.add_error("name", _("There is a channel of this name already. Choose another one."))
            else:
                messages.success(request, _("The channel is made. Send a test to see whether it gets through."))
                return HttpResponseRedirect(reverse("admin:ringing_channel_changelist"))
        return self._form_page(request, form, None, status=422)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show one channel with what it was told lately; change it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        channel: Channel | None = self.find(request, object_id)
        if channel is None:
            raise Http404
        if request.method != "POST":
            return self._form_page(request, ChannelForm(initial=_present(channel), channel=channel), channel)
        if not _may_set(request):
            raise PermissionDenied
        form = ChannelForm(request.POST, channel=channel)
        if not form.is_valid():
            return self._form_page(request, form, channel, status=422)
        before = channel.masked
        for name, value in form.cleaned_data.items():
            setattr(channel, name, value)
        # What it failed with belongs to the address that it had.
        channel.failures, channel.failing_since, channel.trouble, channel.rest_until = 0, None, "", None
        fields = [*form.cleaned_data, "failures", "failing_since", "trouble", "rest_until"]
        try:
            with transaction.atomic():
                channel.save(update_fields=fields)
                what = _("Bell channel changed: %(before)s → %(after)s, turn %(turn)s, %(on)s") % {
                    "before": before,
                    "after": channel.masked,
                    "turn": channel.turn,
                    "on": _("on") if channel.on else _("off"),
                }
                acts.write_down(request, channel, what)
        except IntegrityError:
            form.add_error("name", _("There is a channel of this name already. Choose another one."))
            return self._form_page(request, form, channel, status=422)
        messages.success(request, _("The channel is changed."))
        return HttpResponseRedirect(reverse("admin:ringing_channel_changelist"))

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test. A GET shows the channel; only a POST acts."""
        if not _may_set(request):
            raise PermissionDenied
        channel = self.find(request, str(pk))
        if channel is None:
            raise Http404
        if request.method == "POST":
            trouble = try_out(channel)
            with transaction.atomic():
                acts.write_down(request, channel, _("Bell tested: %(what)s") % {"what": trouble or _("got through")})
            if trouble:
                messages.error(
                    request,
                    _("“%(channel)s” did not get through: %(why)s") % {"channel": channel.name, "why": trouble},
                )
            else:
                messages.success(
                    request,
                    _("The test has left through “%(channel)s”. Look whether it came.") % {"channel": channel.name},
                )
        return HttpResponseRedirect(reverse("admin:ringing_channel_changelist"))

    def remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Remove a channel that was made in the console. A GET shows it; only a POST acts."""
        if not request.user.has_perm("ringing.delete_channel"):
            raise PermissionDenied
        channel = self.find(request, str(pk))
        if channel is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(address(channel))
        if channel.from_settings and channel.from_settings in dict(named_by_settings()):
            messages.error(request, _("This channel stands in the settings. Switch it off here, or remove it there."))
            return HttpResponseRedirect(address(channel))
        with transaction.atomic():
            acts.write_down(request, channel, _("Bell channel removed: %(where)s") % {"where": channel.masked})
            channel.delete()
        messages.success(request, _("The channel is removed."))
        return HttpResponseRedirect(reverse("admin:ringing_channel_changelist"))

    def _form_page(
        self, request: HttpRequest, form: ChannelForm, channel: Channel | None, *, status: int = 200
    ) -> HttpResponse:
        named = channel is not None and channel.from_settings
        return TemplateResponse(
            request,
            "console/channel.html",
            {
                **self.admin_site.each_context(request),
                "title": channel.name if channel is not None else _("New bell channel"),
                "list_title": _("Bell channels"),
                "list_link": reverse("admin:ringing_channel_changelist"),
                "channel": channel,
                "form": form,
                "may_set": _may_set(request) if channel is not None else True,
                "may_remove": channel is not None
                and request.user.has_perm("ringing.delete_channel")
                and not (named and channel.from_settings in dict(named_by_settings())),
                "told": _told(request, channel) if channel is not None else None,
                "acts": acts.acts_on(channel) if channel is not None else [],
            },
            status=status,
        )


def _may_set(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("ringing.change_channel"))


def _present(channel: Channel) -> dict[str, Any]:
    """What the form shows at first; an address only where it is no secret."""
    shown = channel.address if channel.kind == Channel.Kind.MAIL else ""
    return {
        "name": channel.name, "kind": channel.kind, "address": shown, "turn": channel.turn,
        "language": channel.language, "on": channel.on,
    }  # fmt: skip


def _card(request: HttpRequest, channel: Channel, usable: bool) -> dict[str, Any]:
    """How one channel is doing."""
    state = "off" if not usable else "failed" if channel.failing_since else "well" if channel.heard_at else "untried"
    says = {
        "off": _("off") if not channel.on else _("no longer in the settings"),
        "failed": _("does not get through"),
        "well": _("gets through"),
        "untried": _("not used yet"),
    }[state]
    return {
        "channel": channel,
        "state": state,
        "says": says,
        "colour": {"off": "default", "failed": "danger", "well": "success", "untried": "info"}[state],
        "link": address(channel),
        "test_link": address(channel, "test"),
        "since": f"{jst_seconds(channel.failing_since)} ({ago(channel.failing_since)})"
        if channel.failing_since
        else "",
        "heard": f"{jst_seconds(channel.heard_at)} ({ago(channel.heard_at)})" if channel.heard_at else "–",
    }


def _told(request: HttpRequest, channel: Channel) -> Table:
    rings = Ring.objects.filter(channel=channel).select_related("case__order").defer("case__technical")
    return Table(
        _("Last messages"),
        [
            [
                Fact(_("When"), jst_seconds(ring.sent_at or ring.tried_at or ring.made_at)),
                Fact(
                    _("Case"),
                    ring.case.order.number if ring.case.order is not None else ring.case.about,
                    link(request, "notify", "case", ring.case_id),
                ),
                Fact(_("Cause"), ring.code, labels.runbook_link(ring.code), mono=True),
                Fact(_("State"), STATES[ring.state], state=_COLOURS[ring.state]),
                Fact(_("Reason"), ring.trouble or "–"),
            ]
            for ring in rings.order_by("-id")[:SHOWN]
        ],
        _("None yet."),
    )
