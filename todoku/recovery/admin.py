"""Resuming many, in the console: choose and start, follow, stop."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case as Either
from django.db.models import Count, Q, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import labels, recover, told
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.templatetags.console import jst, jst_seconds, yen
from todoku.recovery.models import Picked, Recovery
from todoku.recovery.run import counts

State = Picked.State
#: So many cases stand on a recovery's page: those that have stopped again first.
MOST_SHOWN = 200


@admin.register(Recovery)
class RecoveryAdmin(ReadOnlyAdmin):
    """Resumings of many, the latest first."""

    detail_template = "console/recovery.html"
    list_display = ("started", "who", "chosen", "went_through", "again", "skipped", "standing")
    search_fields = ("=who",)

    def get_urls(self) -> list[URLPattern]:
        """Choose and start, follow, stop."""
        guard = self.admin_site.admin_view
        return [
            path("choose/", guard(self.choose_view), name="recovery_recovery_choose"),
            path("<int:pk>/progress/", guard(self.progress_view), name="recovery_recovery_progress"),
            path("<int:pk>/stop/", guard(self.stop_view), name="recovery_recovery_stop"),
            *super().get_urls(),
        ]

    def choose_view(self, request: HttpRequest) -> HttpResponse:
        """Show which cases there are and what resuming them does; a POST starts."""
        if not recover.may_start(request):
            raise PermissionDenied
        choice = recover.read(request.POST if request.method == "POST" else request.GET)
        if request.method == "POST":
            return self._start(request, choice)
        found = choice.cases()
        number = found.count()
        listed = list(found.select_related("order").defer("technical")[: recover.MOST_LISTED])
        return TemplateResponse(
            request,
            "console/recover.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Resume many"),
                "choice": choice,
                "causes": recover.cause_choices(),
                "hours": recover.HOURS,
                "number": number,
                "listed": [(case, told.happened(case)) for case in listed],
                "until": timezone.now().isoformat(),
                "per_second": settings.RESUME_PER_SECOND,
                "at_once": settings.RESUME_AT_ONCE,
                "takes": recover.takes(number, settings.RESUME_PER_SECOND),
                "cases_link": reverse("admin:notify_case_changelist"),
                "under_way": Recovery.objects.filter(under_way=True).first(),
            },
        )

    def _start(self, request: HttpRequest, choice: recover.Choice) -> HttpResponse:
        cases = choice.cases()
        if request.POST.get("which") != "all":
            cases = cases.filter(pk__in=recover.ticked(request.POST.getlist("case")))
        try:
            recovery = recover.start(request, cases)
        except recover.UnderWay:
            messages.warning(request, _("Nothing was started: another resuming is under way. Please wait for its end."))
            other = Recovery.objects.filter(under_way=True).first()
            back = address(other) if other is not None else reverse("admin:recovery_recovery_choose")
            return HttpResponseRedirect(back)
        if recovery is None:
            messages.info(request, _("Nothing was chosen, or all of it has gone on meanwhile."))
            return HttpResponseRedirect(reverse("admin:recovery_recovery_choose"))
        return HttpResponseRedirect(address(recovery))

    def stop_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Stop it. Only a POST acts."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not recover.may_start(request):
            raise PermissionDenied
        recovery = Recovery.objects.filter(pk=pk).first()
        if recovery is None:
            raise Http404
        if recover.stop(request, recovery):
            messages.success(request, _("It is stopped: what has begun goes on, nothing new begins."))
        else:
            messages.info(request, _("It has ended or was stopped already."))
        return HttpResponseRedirect(address(recovery))

    def progress_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """How far it has come, for the page that follows it."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        recovery = Recovery.objects.filter(pk=pk).first()
        if recovery is None:
            raise Http404
        answer = TemplateResponse(request, "console/recovery_progress.html", self._progress(recovery))
        answer.headers["X-Ended"] = "no" if recovery.under_way else "yes"
        return answer

    def _progress(self, recovery: Recovery) -> dict[str, Any]:
        number = counts(recovery)
        over = number["done"] + number["failed"] + number["skipped"]
        return {"recovery": recovery, "number": number, "over": over}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recovery]:
        """Bring the counts along, so that a list of any length is one query."""
        rows: QuerySet[Recovery] = super().get_queryset(request)
        return rows.annotate(
            **{f"n_{state}": Count("picked", filter=Q(picked__state=state)) for state in ("done", "failed", "skipped")}
        )

    @display(description=gettext_lazy("started"), ordering="id")
    def started(self, recovery: Recovery) -> str:
        """When it was started."""
        return jst(recovery.started_at)

    @display(description=gettext_lazy("went through"))
    def went_through(self, recovery: Any) -> int:
        """How many have gone through."""
        return int(recovery.n_done)

    @display(description=gettext_lazy("stopped again"))
    def again(self, recovery: Any) -> int:
        """How many have stopped again."""
        return int(recovery.n_failed)

    @display(description=gettext_lazy("skipped"))
    def skipped(self, recovery: Any) -> int:
        """How many were skipped."""
        return int(recovery.n_skipped)

    @display(description=gettext_lazy("state"), label=labels.COLOURS)
    def standing(self, recovery: Recovery) -> tuple[str, str]:
        """Whether it is under way, stopped, or has ended."""
        if recovery.under_way:
            return "RUNNING", _("under way")
        return ("default", _("stopped")) if recovery.stopped_at else ("SUCCEEDED", _("ended"))

    def title(self, thing: Recovery) -> str:
        """The heading."""
        return _("Resuming %(n)s orders") % {"n": f"{thing.chosen:,}"}

    def page(self, request: HttpRequest, thing: Recovery) -> Page:
        """How far it has come, and what became of each order."""
        first = Either(
            When(state=State.FAILED, then=Value(0)),
            When(state=State.SKIPPED, then=Value(1)),
            When(state=State.RUNNING, then=Value(2)),
            default=Value(3),
        )
        rows = thing.picked.select_related("case__order", "play").defer("case__technical", "play__cause", "play__data")
        return Page(
            cards=[
                Card(
                    _("This resuming"),
                    [
                        Fact(_("Started"), jst_seconds(thing.started_at)),
                        Fact(_("By"), thing.who),
                        Fact(_("Pace"), _("%(n)s a second") % {"n": thing.per_second}),
                        Fact(_("Under way at once"), thing.at_once),
                        *([Fact(_("Stopped"), jst_seconds(thing.stopped_at))] if thing.stopped_at else []),
                        *([Fact(_("Stopped by"), thing.stopped_by)] if thing.stopped_at else []),
                        Fact(_("Ended"), jst_seconds(thing.ended_at)),
                    ],
                )
            ],
            tables=[
                Table(
                    _("Orders"),
                    [
                        (
                            Fact(
                                _("Order"),
                                picked.case.order.number if picked.case.order is not None else "–",
                                link(request, "notify", "case", picked.case_id),
                            ),
                            Fact(_("Total"), yen(picked.case.order.total if picked.case.order else None), number=True),
                            Fact(_("State"), picked.get_state_display(), state=f"picked_{picked.state}"),
                            Fact(_("Why"), picked.get_why_display() or "–"),
                            Fact(
                                _("Play"),
                                picked.play.name if picked.play is not None else "–",
                                link(request, "engines", "execution", picked.play_id),
                                mono=True,
                            ),
                        )
                        for picked in rows.order_by(first, "id")[:MOST_SHOWN]
                    ],
                )
            ],
            more={
                **self._progress(thing),
                "progress_link": reverse("admin:recovery_recovery_progress", args=[thing.pk]),
                "stop_link": reverse("admin:recovery_recovery_stop", args=[thing.pk])
                if thing.under_way and thing.stopped_at is None and recover.may_start(request)
                else "",
            },
        )
