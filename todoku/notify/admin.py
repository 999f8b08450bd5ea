"""Cases and mails in the operator's console."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import acts, at_stripe, finding, labels, timeline
from todoku.console.correct import correct, is_sent, may_correct, tell
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, address, display, link
from todoku.console.resume import plays_of
from todoku.console.resume_panel import panel
from todoku.console.sidebar import may_see
from todoku.console.templatetags.console import ago, jst, yen
from todoku.notify.models import Case, Mail
from todoku.notify.steps import KIND
from todoku.order.admin import MailForm, mail_form
from todoku.order.models import Order


class OpenOrClosed(admin.SimpleListFilter):
    """Cases that wait for a person, or those that are closed."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The two states of a case."""
        return [("open", _("open")), ("closed", _("closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Case]) -> QuerySet[Case]:
        """Only the cases of the chosen state."""
        if self.value() == "open":
            return queryset.filter(closed_at=None)
        if self.value() == "closed":
            return queryset.filter(closed_at__isnull=False)
        return queryset


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    """Cases: the open ones first, the oldest of them on top."""

    detail_template = "console/case.html"
    detail_select_related = ("order__intent", "execution__definition")
    list_display = ("subject", "amount", "state", "step_name", "sentence", "since", "failures")
    list_select_related = ("order",)
    list_filter = (OpenOrClosed,)
    # PostgreSQL puts the open ones (no date) first, from the index on (closed_at, id) read backwards.
    ordering = ("-closed_at", "id")
    search_fields = ("=order__number", "=about", "=code")
    search_help_text = gettext_lazy("Order number, id at Stripe or cause")

    def get_urls(self) -> list[URLPattern]:
        """The act that a refused mail asks for, and the one that ends a finding."""
        return [
            path("<int:pk>/mail/", self.admin_site.admin_view(self.mail_view), name="notify_case_mail"),
            path("<int:pk>/close/", self.admin_site.admin_view(self.close_view), name="notify_case_close"),
            *super().get_urls(),
        ]

    def mail_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Correct the order's mail address. A GET shows the case; only a POST acts."""
        if not self.has_view_permission(request) or not may_correct(request):
            raise PermissionDenied
        case = self.find(request, str(pk))
        if case is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(address(case))
        form = MailForm(request.POST)
        order = case.order
        if order is None or case.execution is None:
            return HttpResponseRedirect(address(case))
        if not form.is_valid() and _asks_for_an_address(case, order):
            return self.show(request, case, status=422, mail_form=form, mail_open=True)
        if form.is_valid():
            tell(request, correct(request, order, **form.cleaned_data))
        return HttpResponseRedirect(address(case))

    def close_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Close a finding with a reason. A GET shows the case; only a POST acts."""
        if not self.has_view_permission(request) or not finding.may_close(request):
            raise PermissionDenied
        case = self.find(request, str(pk))
        if case is None:
            raise Http404
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
        """Leave the technical text out of the list."""
        rows: QuerySet[Case] = super().get_queryset(request)
        return rows.defer("technical")

    @display(description=gettext_lazy("about"), ordering="order")
    def subject(self, case: Case) -> str:
        """The order, or what a finding without one is about."""
        return case.order.number if case.order is not None else case.about

    @display(description=gettext_lazy("total"), ordering="order__total")
    def amount(self, case: Case) -> str:
        """The order's total."""
        return yen(case.order.total if case.order is not None else None)

    @display(description=gettext_lazy("state"), label=labels.COLOURS)
    def state(self, case: Case) -> tuple[str, str]:
        """Whether the case waits for a person."""
        return ("open", _("open")) if case.closed_at is None else ("closed", _("closed"))

    @display(description=gettext_lazy("step"), ordering="step")
    def step_name(self, case: Case) -> str:
        """The step at which the order stopped; a finding was come upon, and has stopped nothing."""
        return labels.state(case.step) if case.step else "–"

    @display(description=gettext_lazy("reason"))
    def sentence(self, case: Case) -> str:
        """Why it stopped, in one sentence."""
        return labels.reason(case.code, case.step, case.why)

    @display(description=gettext_lazy("since"), ordering="opened_at")
    def since(self, case: Case) -> str:
        """Since when the case has been open."""
        return jst(case.opened_at)

    def title(self, thing: Case) -> str:
        """The heading: which order it is and over how much, or what else it is about."""
        return f"{thing.order.number} · {yen(thing.order.total)}" if thing.order is not None else thing.about

    def page(self, request: HttpRequest, thing: Case) -> Page:
        """What happened in one sentence, what Resume will do, and the way to everything else."""
        case, order, execution = thing, thing.order, thing.execution
        if order is None or execution is None:
            return finding.page(request, case)
        plays = plays_of(execution)
        refused = _asks_for_an_address(case, order)
        mail = order.mails.filter(kind=KIND).first() if refused else None
        corrected = mail is not None and mail.recipient != order.email
        line = timeline.draw(execution, order.ledger.all(), execution.mishaps.all(), plays)
        return Page(
            cards=[
                Card(
                    _("Case"),
                    [
                        Fact(
                            _("State"),
                            _("open") if case.closed_at is None else _("closed"),
                            state="open" if case.closed_at is None else "closed",
                        ),
                        Fact(_("Order"), order.number, link(request, "order", "order", order.pk)),
                        Fact(_("Order's status"), order.get_status_display(), state=order.status),
                        Fact(_("Total"), yen(order.total)),
                        Fact(
                            _("Execution"),
                            execution.name,
                            link(request, "engines", "execution", execution.pk),
                            mono=True,
                        ),
                        Fact(_("Stopped at"), labels.state(case.step)),
                        Fact(_("Cause"), case.code, mono=True),
                        Fact(_("Opened"), f"{jst(case.opened_at)} ({ago(case.opened_at)})"),
                        Fact(_("Last failure"), jst(case.failed_at)),
                        Fact(_("Failures"), case.failures),
                        Fact(_("Bell rung"), jst(case.rung_at)),
                        *(
                            [
                                Fact(_("Closed"), jst(case.closed_at)),
                                Fact(_("Closed by"), case.closed_by),
                            ]
                            if case.closed_at is not None
                            else []
                        ),
                    ],
                )
            ],
            more={
                "case": case,
                "order": order,
                "execution": execution,
                "line": line,
                "running": plays[-1].status == "RUNNING",
                "running_play": plays[-1],
                "reason": labels.reason(case.code, case.step, case.why),
                "why": case.why,
                "technical": case.technical,
                "stripe_link": at_stripe.payment(order.intent.stripe_id),
                # What is done about a case is done to its order.
                "acts": acts.acts_on(order),
                "mail_refused": refused,
                "mail_form": mail_form(order) if refused and may_correct(request) else None,
                "mail_open": refused and not corrected,
                "mail_now": order.email if corrected and may_see(request, "order", "order") else "",
                "mail_link": address(case, "mail"),
                **panel(request, execution, line, plays),
            },
        )


def _asks_for_an_address(case: Case, order: Order) -> bool:
    """Say whether the case waits for a better mail address."""
    return case.closed_at is None and case.code == "mail_refused" and not is_sent(order)


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """Mails to customers; the list names no recipient."""

    list_display = ("subject", "order", "kind", "written", "sent")
    list_select_related = ("order",)
    list_filter = ("kind",)
    search_fields = ("=order__number", "=recipient")
    search_help_text = gettext_lazy("Order number or the whole mail address")
    detail_select_related = ("order",)

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
                        Fact(_("Recipient"), thing.recipient),
                        Fact(_("Message-ID"), thing.message_id, mono=True),
                        Fact(_("Written"), jst(thing.written_at)),
                        Fact(_("Sent"), jst(thing.sent_at)),
                    ],
                )
            ],
            text=thing.text,
        )
