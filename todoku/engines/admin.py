"""Executions in the operator's console: where each one stands, and Resume."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import labels, masking, picture, timeline
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.resume import plays_of, resume, successor
from todoku.console.resume_panel import may_resume, overtaken_by, panel
from todoku.console.templatetags.console import jst, jst_seconds, lasted
from todoku.engines.models import Definition, Execution, Mishap, State
from todoku.flows.models import Done
from todoku.notify.models import Case


@admin.register(Execution)
class ExecutionAdmin(ReadOnlyAdmin):
    """Executions, the newest first. Who may change one may resume it; nothing else can be changed."""

    detail_template = "console/execution.html"
    detail_select_related = ("order", "definition")
    list_display = ("called", "order", "state", "asked_by", "started", "duration", "stopped_at_step")
    list_select_related = ("order",)
    list_filter = ("status",)
    search_fields = ("=order__number",)
    search_help_text = gettext_lazy("Order number")

    @display(description=gettext_lazy("execution"))
    def called(self, execution: Execution) -> str:
        """The execution's name, the same on every engine."""
        return execution.name

    def get_queryset(self, request: HttpRequest) -> QuerySet[Execution]:
        """Leave the long columns out of the list."""
        rows: QuerySet[Execution] = super().get_queryset(request)
        return rows.defer("cause", "data", "retries")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may resume executions."""
        return may_resume(request)

    def get_urls(self) -> list[URLPattern]:
        """Resume, and the status that the page asks for while an execution runs."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/resume/", view(self.resume_view), name="engines_execution_resume"),
            path("<int:pk>/status/", view(self.status_view), name="engines_execution_status"),
            *super().get_urls(),
        ]

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Resume the execution. Only a POST acts; whoever comes second is told who was first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        execution = Execution.objects.filter(pk=pk).first()
        if execution is None:
            raise Http404
        pressed = resume(request, execution)
        if pressed.won and pressed.play is not None:
            messages.success(request, _("Resumed: %(play)s is running.") % {"play": pressed.play.name})
        elif pressed.play is not None:
            messages.info(request, overtaken_by(successor(execution) or pressed.play))
        else:
            messages.info(request, _("There is nothing to resume: this execution has not failed."))
        if request.POST.get("back") == "case" and may_see_cases(request):
            case = Case.objects.filter(order_id=execution.order_id, execution__isnull=False).order_by("-id").first()
            if case is not None:
                return HttpResponseRedirect(address(case))
        return HttpResponseRedirect(address(pressed.play or execution))

    def status_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Say how the execution stands, for the page that waits for its end."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        execution = Execution.objects.only("order_id", "status", "position").filter(pk=pk).first()
        if execution is None:
            raise Http404
        return JsonResponse({"status": execution.status, "mark": _mark(execution)})

    @display(description=gettext_lazy("status"), ordering="status", label=labels.COLOURS)
    def state(self, execution: Execution) -> tuple[str, str]:
        """How the execution stands."""
        return execution.status, execution.get_status_display()

    @display(description=gettext_lazy("asked by"), ordering="knock")
    def asked_by(self, execution: Execution) -> str:
        """Who or what asked for the play."""
        return execution.who or labels.knock(execution.knock)

    @display(description=gettext_lazy("started"), ordering="id")
    def started(self, execution: Execution) -> str:
        """When the play began."""
        return jst_seconds(execution.started_at)

    @display(description=gettext_lazy("took"))
    def duration(self, execution: Execution) -> str:
        """How long the play took, or how long it has been running."""
        return lasted(_milliseconds(execution))

    @display(description=gettext_lazy("stopped at"))
    def stopped_at_step(self, execution: Execution) -> str:
        """The step at which the play failed."""
        return labels.state(execution.position) if execution.status == State.FAILED else "–"

    def title(self, thing: Execution) -> str:
        """The heading: the order's number and which play of it this is."""
        return f"{thing.order.number} · {thing.name}"

    def page(self, request: HttpRequest, thing: Execution) -> Page:
        """The flow as a line of stops, the failure in plain words, and Resume when there is something to resume."""
        execution = thing
        plays = plays_of(execution)
        line = timeline.draw(execution, execution.order.ledger.all(), execution.mishaps.all(), plays)
        case = Case.objects.filter(order_id=execution.order_id, execution__isnull=False).order_by("-id").first()
        why = case.why if case is not None and case.execution_id == execution.pk else ""
        code = case.code if case is not None and case.execution_id == execution.pk else execution.error
        return Page(
            cards=[
                Card(
                    _("This play"),
                    [
                        Fact(_("Status"), execution.get_status_display(), state=execution.status),
                        Fact(_("Order"), execution.order.number, link(request, "order", "order", execution.order_id)),
                        Fact(_("Asked by"), execution.who or labels.knock(execution.knock)),
                        Fact(_("Started"), jst_seconds(execution.started_at)),
                        Fact(_("Stopped"), jst_seconds(execution.stopped_at)),
                        Fact(_("Took"), lasted(_milliseconds(execution))),
                        Fact(
                            _("Definition"),
                            execution.definition.digest[:12],
                            link(request, "engines", "definition", execution.definition_id),
                            mono=True,
                        ),
                    ],
                )
            ],
            tables=[
                Table(
                    _("All plays of this order"),
                    [
                        (
                            Fact(_("Play"), play.name, address(play), mono=True),
                            Fact(_("Status"), play.get_status_display(), state=play.status),
                            Fact(_("Asked by"), play.who or labels.knock(play.knock)),
                            Fact(_("Started"), jst_seconds(play.started_at)),
                        )
                        for play in plays
                    ],
                )
            ],
            more={
                "execution": execution,
                "line": line,
                "picture": picture.draw(execution, line),
                "running": execution.status == State.RUNNING,
                "mark": _mark(execution),
                "reason": labels.reason(code, execution.position, why) if execution.status == State.FAILED else "",
                "why": why,
                "technical": masking.shown(request, "technical", execution.cause),
                "case": case if case is not None and may_see_cases(request) else None,
                **panel(request, execution, line, plays),
            },
        )


def may_see_cases(request: HttpRequest) -> bool:
    """Say whether the operator may look at cases."""
    return bool(request.user.has_perm("notify.view_case") or request.user.has_perm("notify.change_case"))


def _milliseconds(execution: Execution) -> int:
    until = execution.stopped_at or timezone.now()
    return round((until - execution.started_at).total_seconds() * 1000)


def _mark(execution: Execution) -> str:
    """A short text that changes whenever the page would."""
    steps = Done.objects.filter(order_id=execution.order_id).count()
    return f"{execution.status}:{execution.position}:{steps}:{execution.mishaps.count()}"


@admin.register(Mishap)
class MishapAdmin(ReadOnlyAdmin):
    """Failed tries, the newest first."""

    list_display = ("at_time", "execution", "step", "error", "again")
    list_select_related = ("execution",)
    ordering = ("-id",)
    detail_select_related = ("execution",)

    @display(description=gettext_lazy("at"), ordering="id")
    def at_time(self, mishap: Mishap) -> str:
        """When the try failed."""
        return jst_seconds(mishap.at)

    @display(description=gettext_lazy("step"))
    def step(self, mishap: Mishap) -> str:
        """The step that failed."""
        return labels.state(mishap.state)

    @display(description=gettext_lazy("tried again at"))
    def again(self, mishap: Mishap) -> str:
        """When it was or will be tried again."""
        return jst_seconds(mishap.again_at)

    def page(self, request: HttpRequest, thing: Mishap) -> Page:
        """One failed try with its technical text."""
        return Page(
            cards=[
                Card(
                    _("Failed try"),
                    [
                        Fact(
                            _("Execution"),
                            thing.execution.name,
                            link(request, "engines", "execution", thing.execution_id),
                            mono=True,
                        ),
                        Fact(_("Step"), labels.state(thing.state)),
                        Fact(_("Error"), thing.error, mono=True),
                        Fact(_("At"), jst_seconds(thing.at)),
                        Fact(_("Tried again at"), jst_seconds(thing.again_at)),
                    ],
                )
            ],
            text=masking.shown(request, "technical", thing.cause),
        )


@admin.register(Definition)
class DefinitionAdmin(ReadOnlyAdmin):
    """Every definition that an execution has started with."""

    list_display = ("flow", "short_digest", "used")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Definition]:
        """Leave the text out of the list."""
        rows: QuerySet[Definition] = super().get_queryset(request)
        return rows.defer("text")

    @display(description="SHA-256")
    def short_digest(self, definition: Definition) -> str:
        """The beginning of the text's digest."""
        return definition.digest[:12]

    @display(description=gettext_lazy("first used"), ordering="id")
    def used(self, definition: Definition) -> str:
        """When an execution first started with it."""
        return jst(definition.first_used_at)

    def page(self, request: HttpRequest, thing: Definition) -> Page:
        """The definition's text."""
        return Page(
            cards=[
                Card(
                    _("Flow definition"),
                    [
                        Fact(_("Flow"), thing.flow),
                        Fact("SHA-256", thing.digest, mono=True),
                        Fact(_("First used"), jst(thing.first_used_at)),
                    ],
                )
            ],
            text=thing.text,
        )
