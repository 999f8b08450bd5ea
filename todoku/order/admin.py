"""Orders in the operator's console: found quickly, seen whole, edited by nobody."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import BooleanField, Count, Model, OuterRef, Q, QuerySet, Subquery, Value
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget

from todoku.console import address_page, call_off, labels, masking, order_export, order_filters, order_page, paper
from todoku.console.correct import Came, correct, may_correct, tell
from todoku.console.readonly import Page, ReadOnlyAdmin, address, display
from todoku.console.sidebar import may_see
from todoku.console.templatetags.console import jst, yen
from todoku.fulfilment.models import Delivery
from todoku.order.find import find
from todoku.order.models import Order, Status
from todoku.payment.models import Attempt, Outcome, WaitsFor
from todoku.storefront import details, typed


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


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Orders, the newest first."""

    shows_personal_data = lists_personal_data = True
    detail_template = "console/order.html"
    detail_select_related = ("intent",)
    list_before_template = "console/orders_links.html"
    list_display = ("number", "placed", "who", "amount", "payment", "state", "shipment", "deadline")
    list_filter = (
        order_filters.Placed,
        "status",
        order_filters.Shipped,
        order_filters.Finished,
        order_filters.AtTheKonbini,
        order_filters.PaidWith,
        order_filters.Kept,
    )
    list_filter_sheet = True
    # What they are is find.py's affair; that there are some brings the box.
    search_fields = ("number",)
    search_help_text = gettext_lazy("Number, name, kana, mail, phone, tracking number, or Stripe's id (pi_…)")
    actions = ("print_slips", "print_slips_with_prices")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may correct the mail address; nothing else of an order can be changed."""
        return may_correct(request)

    def get_urls(self) -> list[URLPattern]:
        """The acts on an order, and the way out for all of them."""
        guard = self.admin_site.admin_view
        return [
            path("<int:pk>/mail/", guard(self.mail_view), name="order_order_mail"),
            path("<int:pk>/address/", guard(self.address_view), name="order_order_address"),
            path("<int:pk>/call-off/", guard(self.call_off_view), name="order_order_call_off"),
            path("export/", guard(self.export_view), name="order_order_export"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponseBase:
        """Choose which orders go into a file, and write it."""
        return order_export.view(request, self)

    @admin.action(description=gettext_lazy("Print delivery slips"), permissions=["view"])
    def print_slips(self, request: HttpRequest, chosen: QuerySet[Order]) -> HttpResponse | None:
        """Go to the slips of the ticked orders."""
        return paper.go(request, "admin:fulfilment_delivery_slips", _parcels(chosen))

    @admin.action(description=gettext_lazy("Print delivery slips with prices"), permissions=["view"])
    def print_slips_with_prices(self, request: HttpRequest, chosen: QuerySet[Order]) -> HttpResponse | None:
        """Go to the slips of the ticked orders, with prices."""
        return paper.go(request, "admin:fulfilment_delivery_slips", _parcels(chosen), prices="1")

    def address_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Correct where the order goes. A GET shows the form; only a POST acts."""
        order = self.find(request, str(pk)) if self.has_view_permission(request) else None
        if order is None and self.has_view_permission(request):
            raise Http404
        if order is None:
            raise PermissionDenied
        return address_page.view(request, order)

    def call_off_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Call an order off before it is shipped. Only a POST acts, and only once."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not call_off.may_call_off(request):
            raise PermissionDenied
        order = self.find(request, str(pk))
        if order is None:
            raise Http404
        form = call_off.CallOffForm(request.POST)
        if not form.is_valid():
            return self.show(request, order, status=422, call_off_form=form, call_off_open=True)
        call_off.tell(request, call_off.call_off(request, order, **form.cleaned_data))
        return HttpResponseRedirect(address(order))

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
        parcels = Delivery.objects.filter(order=OuterRef("pk")).order_by().values("order")
        return orders.annotate(
            outcome=Subquery(latest.values("outcome")[:1]),
            waits_for=Subquery(latest.values("waits_for")[:1]),
            method=Subquery(latest.values("method")[:1]),
            **{
                f"parcels_{state}": Subquery(parcels.annotate(n=Count("pk", filter=Q(state=state))).values("n"))
                for state in Delivery.State.values
            },
            # What this operator may see of a person; the list is made for one.
            whole=Value(masking.may_see(request, "name"), output_field=BooleanField()),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """Look where the typed text can only be.

        Whoever sees names masked cannot ask whether somebody of this name or address has ordered, either.
        """
        if not masking.may_see(request, "name"):
            typed = search_term.replace("\x00", "").strip()[:64]
            known = Q(number__iexact=typed) | Q(intent__stripe_id=typed)
            return (queryset.filter(known) if typed else queryset), False
        return find(queryset, search_term), False

    @display(description=gettext_lazy("name"), ordering="name")
    def who(self, order: Any) -> str:
        """Who ordered."""
        return str(order.name) if order.whole else masking.masked("name", order.name)

    @display(description=gettext_lazy("shipment"), label=labels.COLOURS)
    def shipment(self, order: Any) -> tuple[str, str] | str:
        """How far its parcels are."""
        counts = {state: getattr(order, f"parcels_{state}") or 0 for state in Delivery.State.values}
        return order_page.shipment(counts) or "–"

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
        if outcome == Outcome.PAID:
            with_what = {"card": _("card"), "konbini": _("convenience store")}.get(order.method, "")
            return "complete", _("paid: %(what)s") % {"what": with_what} if with_what else str(Outcome.PAID.label)
        return outcome, str(Outcome(outcome).label)

    @display(description=gettext_lazy("pay by"), ordering="pay_by")
    def deadline(self, order: Any) -> str:
        """Until when it can be paid, as long as it waits."""
        return jst(order.pay_by) if order.status == Status.PLACED and order.outcome == Outcome.WAITING else "–"

    def page(self, request: HttpRequest, thing: Order) -> Page:
        """Everything that the shop knows of an order."""
        return order_page.build(request, thing, mail_form(thing) if may_correct(request) else None)


def _parcels(chosen: QuerySet[Order]) -> QuerySet[Any]:
    """One parcel of each of the ticked orders stands for it: a slip is an order's."""
    return (
        Delivery.objects.filter(order__in=chosen.values("pk"), number=1)
        .order_by("order_id")
        .values_list("id", flat=True)
    )
