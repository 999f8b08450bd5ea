"""Cases and mails in the operator's console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case as Either
from django.db.models import F, Q, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import acts, case_acts, case_page, finding, labels, masking, money, notes, stopped, told
from todoku.console.causes import causes
from todoku.console.correct import Came, correct, may_correct, tell
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, address, display, link
from todoku.console.recover import may_start
from todoku.console.resume import resume, successor
from todoku.console.resume_panel import may_resume, overtaken_by
from todoku.console.templatetags.console import ago, jst, yen
from todoku.engines.models import Execution
from todoku.notify.models import Case, Mail
from todoku.order.admin import MailForm, mail_form
from todoku.order.models import Status

#: 0 for an order whose money has been taken and that is not finished, 1 for everything else.
UNFINISHED = Either(
    When(
        Q(order__status__in=[Status.PAID, Status.RECORDED]) | Q(code="amount_mismatch"),
        execution__isnull=False,
        then=Value(0),
    ),
    default=Value(1),
)


class OpenOrClosed(admin.SimpleListFilter):
    """Cases that wait for a person (as long as nothing else is chosen), those that are closed, or all."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The two states of a case, and both."""
        return [("open", _("open")), ("closed", _("solved")), ("all", _("all"))]

    def value(self) -> str:
        """What is chosen: the open ones, if nothing is."""
        return str(super().value() or "open")

    def choices(self, changelist: Any) -> Iterator[Any]:
        """The three choices; there is no fourth that would show none."""
        yield from list(super().choices(changelist))[1:]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        """Only the cases of the chosen state."""
        if self.value() == "closed":
            return queryset.filter(closed_at__isnull=False)
        return queryset if self.value() == "all" else queryset.filter(closed_at=None)


class Cause(admin.SimpleListFilter):
    """Cases of one cause, among those that wait for a person."""

    title = gettext_lazy("cause")
    parameter_name = "cause"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The causes that there are now, each with its step and how many there are."""
        return [
            (f"{code}:{step}", f"{told.happened(Case(code=code, step=step, execution_id=0))} ({number})")
            for code, step, number in causes()
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        """Only the cases of the chosen cause."""
        code, colon, step = (self.value() or "").replace("\x00", "").partition(":")
        return queryset.filter(code=code, step=step) if colon else queryset


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    """Cases: what is paid and unfinished on top, then the oldest, then the dearest."""

    list_before_template = "console/cases_before.html"
    detail_template = "console/case.html"
    detail_select_related = ("order__intent", "order__write_off", "execution__definition")
    list_display = ("sentence", "subject", "amount", "paid", "age", "failures")
    list_display_links = ("sentence", "subject")
    list_select_related = ("order",)
    list_filter = (OpenOrClosed, Cause)
    search_fields = ("=order__number", "=about", "=code")
    search_help_text = gettext_lazy("Order number, id at Stripe or cause")

    def get_urls(self) -> list[URLPattern]:
        """The fragment with the money, the acts, the notes, and what ends a finding."""
        guard = self.admin_site.admin_view
        return [
            path("<int:pk>/money/", guard(self.money_view), name="notify_case_money"),
            path("<int:pk>/note/", guard(self.note_view), name="notify_case_note"),
            path("<int:pk>/mail/", guard(self.mail_view), name="notify_case_mail"),
            path("<int:pk>/close/", guard(self.close_view), name="notify_case_close"),
            path("<int:pk>/do/<slug:name>/", guard(self.act_view), name="notify_case_act"),
            *super().get_urls(),
        ]

    def _case(self, request: HttpRequest, pk: int, *, may: bool = True) -> Case:
        """The case that a page is about; refused to whoever may not see it, or may not act on it."""
        if not self.has_view_permission(request) or not may:
            raise PermissionDenied
        case: Case | None = self.find(request, str(pk))
        if case is None:
            raise Http404
        return case

    def money_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask Stripe how the case's payment stands: a part of the page for its script, a page for everybody else."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        case = self._case(request, pk)
        truth = money.look(case)
        if request.headers.get("X-Part") != "yes":
            return self.show(request, case, truth=truth)
        return TemplateResponse(request, "console/money.html", {"truth": truth})

    def act_view(self, request: HttpRequest, pk: int, name: str) -> HttpResponse:
        """Show what an act on the case will do; a POST does it."""
        act = case_acts.named(name)
        if act is None:
            raise Http404
        case = self._case(request, pk, may=act.may(request))
        if case.order is None or case.execution is None:
            return HttpResponseRedirect(address(case))
        fits = case.closed_at is None and case.execution.flow == "checkout" and act.fits(case)
        if not fits and request.method != "POST":
            messages.info(request, _("This is no longer needed: the order has gone on."))
            return HttpResponseRedirect(address(case))
        if not fits:
            messages.warning(request, _("Nothing was changed: the order has gone on meanwhile. Please look again."))
            return HttpResponseRedirect(address(case))
        if act is case_acts.named("address"):
            acts.looked_at(request, case.order)
        # Stripe is asked by the act itself, too; the page only says what it will find.
        shown = act.preview(case)
        form = act.form(case, request.POST if request.method == "POST" else None, shown)
        if request.method == "POST" and not shown.blocked and form.is_valid():
            try:
                act.act(request, case, **form.cleaned_data)
            except stopped.NoLonger as why:
                messages.warning(request, str(why))
            return HttpResponseRedirect(address(case))
        return TemplateResponse(
            request,
            "console/act.html",
            {
                **self.admin_site.each_context(request),
                "title": act.title,
                "icon": act.icon,
                "headline": told.headline(case.order),
                "happened": told.happened(case),
                "preview": shown,
                "truth": shown.truth,
                "form": form,
                "back_link": address(case),
                "back_says": _("Back to the case"),
                "act_link": reverse("admin:notify_case_act", args=[case.pk, act.name]),
            },
            status=422 if request.method == "POST" else 200,
        )

    def note_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Write a note. A GET shows the case; only a POST writes."""
        case = self._case(request, pk, may=notes.may_note(request))
        if request.method != "POST":
            return HttpResponseRedirect(address(case))
        form = notes.NoteForm(request.POST)
        if not form.is_valid():
            return self.show(request, case, status=422, note_form=form)
        notes.write(request, case, **form.cleaned_data)
        return HttpResponseRedirect(address(case) + "#history")

    def mail_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Correct the order's mail address, and go on if that was asked for. Only a POST acts."""
        case = self._case(request, pk, may=may_correct(request))
        if request.method != "POST":
            return HttpResponseRedirect(address(case))
        form = MailForm(request.POST)
        order = case.order
        if order is None or case.execution is None:
            return HttpResponseRedirect(address(case))
        if not form.is_valid() and case_page.asks_for_an_address(case, order):
            return self.show(request, case, status=422, mail_form=form, mail_open=True)
        if form.is_valid():
            came = correct(request, order, **form.cleaned_data)
            if came in (Came.CORRECTED, Came.SAME) and request.POST.get("go_on") and may_resume(request):
                self._resume(request, case, case.execution)
            else:
                tell(request, came)
        return HttpResponseRedirect(address(case))

    def _resume(self, request: HttpRequest, case: Case, execution: Execution) -> None:
        pressed = resume(request, execution)
        if pressed.won:
            messages.success(request, _("The mail address is corrected, and the mail is on its way."))
        elif pressed.play is not None:
            messages.info(request, overtaken_by(successor(execution) or pressed.play))

    def close_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Close a finding with a reason. A GET shows the case; only a POST acts."""
        case = self._case(request, pk, may=finding.may_close(request))
        if request.method != "POST":
            return HttpResponseRedirect(address(case))
        if case.execution is not None:
            messages.error(request, _("A stopped order's case closes by itself, when the order has gone on."))
            return HttpResponseRedirect(address(case))
        form = finding.CloseForm(request.POST)
        if not form.is_valid() and case.closed_at is None:
            return self.show(request, case, status=422, close_form=form)
        if form.is_valid() and finding.close(request, case, **form.cleaned_data):
            messages.success(request, _("The finding is closed."))
        else:
            messages.info(request, _("The finding is closed already."))
        return HttpResponseRedirect(address(case))

    def show(self, request: HttpRequest, thing: Case, **more: Any) -> TemplateResponse:
        """Show an order that has stopped with its flow, and a finding with what it is about."""
        shown = super().show(request, thing, **more)
        if thing.execution is None:
            shown.template_name = "console/finding.html"
        return shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[Case]:
        """Leave the technical text out of the list, and say of each case whether its money has been taken."""
        rows: QuerySet[Case] = super().get_queryset(request)
        return rows.defer("technical").annotate(unfinished=UNFINISHED)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Whether a case is open need not be said where all are."""
        return self.list_display if request.GET.get("state", "open") == "open" else (*self.list_display, "state")

    def get_ordering(self, request: HttpRequest) -> tuple[Any, ...]:
        """Open cases by what they are worth a person's time; closed ones from the index, the latest first."""
        if request.GET.get("state") in ("closed", "all"):
            return ("-closed_at", "id") if request.GET["state"] == "all" else ("-closed_at", "-id")
        return (UNFINISHED.asc(), "opened_at", F("order__total").desc(nulls_last=True), "id")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Say above the list that all is well, when it is."""
        more = {
            "all_is_well": not Case.objects.filter(closed_at=None).exists(),
            "recover_link": reverse("admin:recovery_recovery_choose") if may_start(request) else "",
            **(extra_context or {}),
        }
        answer: HttpResponse = super().changelist_view(request, more)
        return answer

    @display(description=gettext_lazy("what happened"))
    def sentence(self, case: Case) -> str:
        """What happened, in one sentence."""
        return told.happened(case)

    @display(description=gettext_lazy("about"), ordering="order")
    def subject(self, case: Case) -> str:
        """The order, or what a finding without one is about."""
        return case.order.number if case.order is not None else case.about

    @display(description=gettext_lazy("total"), ordering="order__total")
    def amount(self, case: Case) -> str:
        """The order's total."""
        return yen(case.order.total if case.order is not None else None)

    @display(description=gettext_lazy("money"))
    def paid(self, case: Any) -> str:
        """Whether a customer's money has been taken for something that is not finished."""
        if case.unfinished or case.closed_at is not None:
            return ""
        return format_html('<span class="tk-chip tk-warning">{}</span>', _("paid, unfinished"))

    @display(description=gettext_lazy("age"), ordering="opened_at")
    def age(self, case: Case) -> str:
        """For how long the case has been open, or when it was closed."""
        return ago(case.opened_at) if case.closed_at is None else jst(case.closed_at)

    @display(description=gettext_lazy("state"), label=labels.COLOURS)
    def state(self, case: Case) -> tuple[str, str]:
        """Whether the case waits for a person."""
        return ("open", _("open")) if case.closed_at is None else ("closed", _("solved"))

    def title(self, thing: Case) -> str:
        """The heading: which order it is and over how much, or what else it is about."""
        return f"{thing.order.number} · {yen(thing.order.total)}" if thing.order is not None else thing.about

    def page(self, request: HttpRequest, thing: Case) -> Page:
        """What happened, what to do, the money, the picture, and who did what when."""
        if case_page.names_a_customer(thing) and masking.may_see(request, "mail"):
            acts.looked_at(request, thing)
        return case_page.of_case(request, thing, mail_form)


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """Mails to customers; the list names no recipient."""

    shows_personal_data = True

    list_display = ("subject", "order", "kind", "written", "sent")
    list_select_related = ("order",)
    list_filter = ("kind",)
    search_fields = ("=order__number", "=recipient")
    search_help_text = gettext_lazy("Order number or the whole mail address")
    detail_select_related = ("order",)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Who sees mail addresses masked cannot ask whether somebody has had a mail, either."""
        return self.search_fields if masking.may_see(request, "mail") else ("=order__number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mail]:
        """Leave the text out of the list."""
        rows: QuerySet[Mail] = super().get_queryset(request)
        return rows.defer("text")

    @display(description=gettext_lazy("written"), ordering="id")
    def written(self, mail: Mail) -> str:
        """When the mail was written."""
        return jst(mail.written_at)

    @display(description=gettext_lazy("sent"), ordering="sent_at")
    def sent(self, mail: Mail) -> str:
        """When a mail server took it."""
        return jst(mail.sent_at)

    def title(self, thing: Mail) -> str:
        """The heading: the mail's subject."""
        return thing.subject

    def page(self, request: HttpRequest, thing: Mail) -> Page:
        """The mail as the customer got it."""
        return Page(
            cards=[
                Card(
                    _("Mail"),
                    [
                        Fact(_("Order"), thing.order.number, link(request, "order", "order", thing.order_id)),
                        Fact(_("Recipient"), masking.shown(request, "mail", thing.recipient)),
                        Fact(_("Message-ID"), thing.message_id, mono=True),
                        Fact(_("Written"), jst(thing.written_at)),
                        Fact(_("Sent"), jst(thing.sent_at)),
                    ],
                )
            ],
            text=masking.shown(request, "text", thing.text),
        )
