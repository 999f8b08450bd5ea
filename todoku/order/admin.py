"""Orders in the operator's console: found quickly, seen whole, edited by nobody."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Replace
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminTextInputWidget

from todoku.console import at_stripe, labels
from todoku.console.correct import Came, correct, may_correct, tell
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.sidebar import may_see
from todoku.console.templatetags.console import jst, jst_clock, took, yen
from todoku.notify.steps import KIND
from todoku.order.models import Order, Status
from todoku.payment.admin import paid_with, waits_for
from todoku.payment.models import Attempt, Outcome, WaitsFor
from todoku.storefront import details, typed

#: Hiragana are looked up as katakana, as orders keep them.
_KATAKANA = {code: code + 0x60 for code in range(ord("ぁ"), ord("ゖ") + 1)}


class MailForm(forms.Form):
    """The right mail address, read as the shop's own pages read it. ``seen`` is the one the operator was shown."""

    email = details.MailField(
        label=gettext_lazy("Mail address"),
        max_length=254,
        read=typed.mail,
        missing=gettext_lazy("Please give a mail address; the order confirmation goes there."),
        help_text=gettext_lazy("As the customer gives it. The confirmation goes there, and nothing else changes."),
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "inputmode": "email"}
        ),
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)


def mail_form(order: Order) -> MailForm:
    """Make the form for an order's page, with the address as it is."""
    return MailForm(initial={"email": order.email, "seen": order.email})


class Finished(admin.SimpleListFilter):
    """Paid orders that are not complete yet, or those that are."""

    title = gettext_lazy("finished")
    parameter_name = "finished"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Paid orders are finished, or not yet."""
        return [("no", _("paid but unfinished")), ("yes", _("complete"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only the orders of the chosen kind."""
        if self.value() == "no":
            return queryset.filter(status__in=[Status.PAID, Status.RECORDED])
        if self.value() == "yes":
            return queryset.filter(status=Status.COMPLETE)
        return queryset


class AtTheKonbini(admin.SimpleListFilter):
    """Orders that wait to be paid at a convenience store."""

    title = gettext_lazy("convenience store")
    parameter_name = "konbini"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Waiting within the deadline, or waiting after it for Stripe's last word."""
        return [("waiting", _("waiting to be paid")), ("late", _("past the deadline, Stripe has not ended it yet"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Only the orders of the chosen kind."""
        if self.value() not in ("waiting", "late"):
            return queryset
        attempt = Attempt.objects.filter(
            order=OuterRef("pk"), number=OuterRef("attempts"), outcome=Outcome.WAITING, waits_for=WaitsFor.KONBINI
        )
        waiting = queryset.filter(Exists(attempt), status=Status.PLACED)
        return waiting.filter(pay_by__lte=timezone.now()) if self.value() == "late" else waiting


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Orders, the newest first."""

    detail_template = "console/order.html"
    detail_select_related = ("intent",)
    list_display = ("number", "placed", "name", "amount", "state", "payment", "deadline")
    list_filter = ("status", Finished, AtTheKonbini)
    search_fields = ("number", "name", "kana", "email", "phone", "intent__stripe_id")
    search_help_text = gettext_lazy("Number, name, kana, mail, phone, or Stripe's id (pi_…)")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may correct the mail address; nothing else of an order can be changed."""
        return may_correct(request)

    def get_urls(self) -> list[URLPattern]:
        """The one act on an order."""
        return [
            path("<int:pk>/mail/", self.admin_site.admin_view(self.mail_view), name="order_order_mail"),
            *super().get_urls(),
        ]

    def mail_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Correct the mail address. A GET shows the order's page; only a POST acts."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        order = self.find(request, str(pk))
        if order is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseRedirect(address(order))
        form = MailForm(request.POST)
        if not form.is_valid():
            return self.show(request, order, status=422, mail_form=form, mail_open=True)
        came = correct(request, order, **form.cleaned_data)
        tell(request, came)
        case = order.cases.filter(closed_at=None, code="mail_refused").first()
        if came in (Came.CORRECTED, Came.SAME) and case is not None and may_see(request, "notify", "case"):
            # What is left to do is to press Resume, and the case has it.
            return HttpResponseRedirect(address(case))
        return HttpResponseRedirect(address(order))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Bring along how the latest payment attempt stands, so that a list of any length is one query."""
        orders: QuerySet[Order] = super().get_queryset(request)
        latest = Attempt.objects.filter(order=OuterRef("pk"), number=OuterRef("attempts"))
        return orders.annotate(
            outcome=Subquery(latest.values("outcome")[:1]), waits_for=Subquery(latest.values("waits_for")[:1])
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Look where the typed text can only be: an id at Stripe, a mail address, a phone number, or a name."""
        typed = unicodedata.normalize("NFKC", search_term.replace("\x00", "")).strip()[:200]
        if not typed:
            return queryset, False
        if re.fullmatch(r"pi_\w+", typed):
            return queryset.filter(intent__stripe_id=typed), False
        if re.fullmatch(r"(?:ch|py)_\w+", typed):
            return queryset.filter(payment_attempts__charge=typed), True
        if "@" in typed:
            return queryset.filter(email__icontains=typed), False
        digits = re.sub(r"[\s\-‐‑‒–—―−ー()]", "", typed)
        if re.fullmatch(r"\+?[0-9]{4,}", digits):
            phone = re.sub(r"^\+810?", "0", digits)
            return queryset.filter(Q(phone__contains=phone) | Q(number__icontains=typed)), False
        name = re.sub(r"\s", "", typed)
        return (
            queryset.alias(joined=_without_spaces("name"), read=_without_spaces("kana")).filter(
                Q(number__icontains=name)
                | Q(joined__icontains=name)
                | Q(read__icontains=name.translate(_KATAKANA))
                | Q(email__icontains=name)
            ),
            False,
        )

    @display(description=gettext_lazy("placed (JST)"), ordering="id")
    def placed(self, order: Order) -> str:
        """When the order was placed."""
        return jst(order.placed_at)

    @display(description=gettext_lazy("total"), ordering="total")
    def amount(self, order: Order) -> str:
        """The order's total."""
        return yen(order.total)

    @display(description=gettext_lazy("status"), ordering="status", label=labels.COLOURS)
    def state(self, order: Order) -> tuple[str, str]:
        """Where the order stands."""
        return order.status, order.get_status_display()

    @display(description=gettext_lazy("payment"), label=labels.COLOURS)
    def payment(self, order: Any) -> tuple[str, str]:
        """How its latest payment attempt stands."""
        outcome = order.outcome or Outcome.PENDING
        if outcome == Outcome.WAITING and order.waits_for in WaitsFor.values:
            return outcome, _("waiting: %(what)s") % {"what": WaitsFor(order.waits_for).label}
        return ("complete" if outcome == Outcome.PAID else outcome), str(Outcome(outcome).label)

    @display(description=gettext_lazy("pay by"), ordering="pay_by")
    def deadline(self, order: Any) -> str:
        """Until when it can be paid, as long as it waits."""
        return jst(order.pay_by) if order.status == Status.PLACED and order.outcome == Outcome.WAITING else "–"

    def page(self, request: HttpRequest, thing: Order) -> Page:
        """Everything that the shop knows of an order."""
        order = thing
        language = get_language() or "ja"
        executions = list(order.executions.order_by("number"))
        attempts = list(order.payment_attempts.all())
        numbers = {execution.name: execution.pk for execution in executions}
        mails = list(order.mails.all())
        case = order.cases.filter(closed_at=None).order_by("execution_id", "-id").first()
        running = any(execution.status == "RUNNING" for execution in executions)
        refused = case is not None and case.code == "mail_refused"
        corrected = any(mail.recipient != order.email for mail in mails if mail.kind == KIND)
        sent = order.status == Status.COMPLETE or any(mail.sent_at for mail in mails if mail.kind == KIND)
        charge = next((attempt.charge for attempt in attempts if attempt.outcome == Outcome.PAID), "")
        stripe = [
            Fact(
                _("Payment intent"),
                order.intent.stripe_id or "–",
                link(request, "payment", "intent", order.intent_id),
                mono=True,
            ),
            *([Fact(_("Stripe charge"), charge, mono=True)] if charge else []),
        ]
        building = f" {order.building}" if order.building else ""
        lines = [
            (
                Fact(_("Product"), line.name_in(language), link(request, "catalog", "product", line.product_id)),
                Fact(_("SKU"), line.sku, mono=True),
                Fact(_("Unit price"), yen(line.unit_price), number=True),
                Fact(_("Quantity"), f"{line.quantity:,}", number=True),
                Fact(_("Tax"), f"{line.percent} %", number=True),
                Fact(_("Amount"), yen(line.amount), number=True),
            )
            for line in order.lines.all()
        ]
        return Page(
            cards=[
                Card(
                    _("Amounts"),
                    [
                        Fact(_("Goods"), yen(order.goods_total), number=True),
                        Fact(_("Shipping"), yen(order.shipping), number=True),
                        Fact(_("Total"), yen(order.total), number=True),
                        *(
                            Fact(
                                _("of which tax at %(percent)s %%") % {"percent": tax["percent"]},
                                f"{yen(tax['tax'])} / {yen(tax['base'])}",
                                number=True,
                            )
                            for tax in order.taxes
                        ),
                        *stripe,
                    ],
                ),
                Card(
                    _("To"),
                    [
                        Fact(_("Name"), order.name),
                        Fact(_("Kana"), order.kana),
                        Fact(
                            _("Address"),
                            f"〒{order.postal_code[:3]}-{order.postal_code[3:]} "
                            f"{order.prefecture}{order.city}{order.street}{building}",
                        ),
                        Fact(_("Phone"), order.phone, f"tel:{order.phone}", mono=True),
                        Fact(_("Mail"), order.email, f"mailto:{order.email}"),
                        Fact(_("Wished day"), order.wished_on or _("none")),
                        Fact(_("Language"), order.language),
                    ],
                ),
                Card(
                    _("What happened"),
                    [
                        Fact(_("Placed"), jst(order.placed_at)),
                        Fact(_("Paid"), jst(order.paid_at)),
                        Fact(_("Recorded"), jst(order.recorded_at)),
                        Fact(_("Complete"), jst(order.completed_at)),
                        *([Fact(_("Pay by"), jst(order.pay_by))] if order.status == "placed" else []),
                        *([Fact(_("Withdrawn"), jst(order.withdrawn_at))] if order.withdrawn_at else []),
                    ],
                ),
            ],
            tables=[
                Table(_("Lines"), lines),
                Table(
                    _("Payment attempts"),
                    [
                        (
                            Fact("№", attempt.number, link(request, "payment", "attempt", attempt.pk)),
                            Fact(
                                _("Outcome"),
                                attempt.get_outcome_display(),
                                state="complete" if attempt.outcome == Outcome.PAID else attempt.outcome,
                            ),
                            Fact(_("Paid with"), paid_with(attempt)),
                            Fact(_("Waits for"), waits_for(attempt)),
                            Fact(_("Decline"), attempt.decline_code or "–", mono=True),
                            Fact(_("Asked"), jst(attempt.asked_at)),
                        )
                        for attempt in attempts
                    ],
                    _("Nobody has pressed the order button."),
                ),
                Table(
                    _("Executions"),
                    [
                        (
                            Fact(
                                _("Play"),
                                execution.name,
                                link(request, "engines", "execution", execution.pk),
                                mono=True,
                            ),
                            Fact(_("Status"), execution.get_status_display(), state=execution.status),
                            Fact(_("Asked by"), execution.who or labels.knock(execution.knock)),
                            Fact(_("Started"), jst(execution.started_at)),
                            Fact(
                                _("Stopped at"),
                                labels.state(execution.position) if execution.status == "FAILED" else "–",
                            ),
                        )
                        for execution in executions
                    ],
                ),
                Table(
                    _("Ledger"),
                    [
                        (
                            Fact(_("Step"), labels.state(done.step)),
                            Fact(_("Answer"), done.answer.get("outcome", "–"), mono=True),
                            Fact(_("Attempt"), done.attempt or "–", number=True),
                            Fact(
                                _("Done by"),
                                done.execution,
                                link(request, "engines", "execution", numbers.get(done.execution)),
                                mono=True,
                            ),
                            Fact(_("Took"), took(done.began_at, done.ended_at), number=True),
                            Fact(_("At"), jst_clock(done.ended_at)),
                        )
                        for done in order.ledger.all()
                    ],
                    _("No step has finished yet."),
                ),
                Table(
                    _("Deliveries"),
                    [
                        (
                            Fact("№", delivery.number, link(request, "fulfilment", "delivery", delivery.pk)),
                            Fact(_("State"), delivery.get_state_display(), state=delivery.state),
                            Fact(_("Parcel"), f"{delivery.get_temperature_display()} {delivery.size}"),
                            Fact(_("Tracking number"), delivery.tracking_number or "–", mono=True),
                            Fact(_("Shipped"), jst(delivery.shipped_at)),
                        )
                        for delivery in order.deliveries.order_by("number")
                    ],
                    _("There is no delivery slip yet: it is written when the paid order is recorded."),
                ),
                Table(
                    _("Mails"),
                    [
                        (
                            Fact(_("Subject"), mail.subject, link(request, "notify", "mail", mail.pk)),
                            Fact(_("Written"), jst(mail.written_at)),
                            Fact(_("Sent"), jst(mail.sent_at)),
                        )
                        for mail in mails
                    ],
                    _("No mail has been written yet."),
                ),
            ],
            more={
                "stripe_link": at_stripe.payment(order.intent.stripe_id),
                "case": case,
                "mail_form": mail_form(order) if may_correct(request) and not sent and not running else None,
                "mail_open": refused and not corrected,
                "mail_link": address(order, "mail"),
            },
        )


def _without_spaces(name: str) -> Replace:
    return Replace(Replace(F(name), Value(" "), Value("")), Value("　"), Value(""))
