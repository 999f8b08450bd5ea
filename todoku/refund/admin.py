"""Refunds in the operator's console: asked for here, approved here, and seen through to the customer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from todoku.console import acts, at_stripe, labels, masking, picture, refunds, timeline
from todoku.console.readonly import Card, Fact, Page, ReadOnlyAdmin, Table, address, display, link
from todoku.console.refund_form import RefundForm, all_typed, said
from todoku.console.templatetags.console import jst, yen
from todoku.engines.models import Execution
from todoku.order.models import Order
from todoku.refund import ask
from todoku.refund.models import Reason, Refund, State
from todoku.refund.rules import LOST, Wrong
from todoku.refund.steps import STEPS

#: Before Stripe has been asked.
_STOPPABLE = (State.REQUESTED, State.APPROVED)


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    """Refunds, the newest first."""

    detail_template = "console/refund.html"
    detail_select_related = ("order__intent", "requested_by", "approved_by", "stopped_by")
    list_display = ("called", "amount_", "status", "reason_", "asked_by", "approved", "at_time")
    list_select_related = ("order", "requested_by", "approved_by")
    list_filter = ("state", "reason")
    search_fields = ("=order__number", "=stripe_id")
    search_help_text = gettext_lazy("Order number or Stripe's id (re_…)")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever asks for refunds sees them."""
        return bool(super().has_view_permission(request, obj)) or refunds.may_ask(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the operator may approve and reject."""
        return refunds.may_decide(request)

    def get_urls(self) -> list[URLPattern]:
        """The acts: ask, approve, reject, withdraw."""
        view = self.admin_site.admin_view
        return [
            path("ask/<int:order>/", view(self.ask_view), name="refund_refund_ask"),
            path("<int:pk>/approve/", view(self.approve_view), name="refund_refund_approve"),
            path("<int:pk>/reject/", view(self.reject_view), name="refund_refund_reject"),
            path("<int:pk>/withdraw/", view(self.withdraw_view), name="refund_refund_withdraw"),
            *super().get_urls(),
        ]

    def ask_view(self, request: HttpRequest, order: int) -> HttpResponse:
        """Ask for a refund: the form, then what will happen, then the press. Only the last one acts."""
        if not refunds.may_ask(request):
            raise PermissionDenied
        found = Order.objects.select_related("intent").prefetch_related("lines").filter(pk=order).first()
        if found is None:
            raise Http404
        has = ask.purse(found)
        if request.method != "POST":
            return self._form(request, found, self._fresh(request, found, has))
        form = RefundForm(found, has, request.POST)
        step = request.POST.get("step", "")
        if step == "press":
            known = self._known(request, found)
            if known is not None:
                messages.info(request, _("This refund has been asked for already; nothing was done twice."))
                return HttpResponseRedirect(address(known))
        if not ask.may_be_refunded(found) or not form.is_valid():
            return self._form(request, found, form, status=422)
        if step == "press":
            return self._press(request, found, form)
        if step == "edit":
            return self._form(request, found, form)
        return self._preview(request, found, form)

    def _fresh(self, request: HttpRequest, order: Order, has: ask.Purse) -> RefundForm:
        token = ask.issue(order, refunds.person(request))
        typed = all_typed(has) if "all" in request.GET else {}
        return RefundForm(order, has, initial={"mail": True, "token": token, **typed})

    def _known(self, request: HttpRequest, order: Order) -> Refund | None:
        try:
            return ask.find(request.POST.get("token", ""), order, refunds.person(request))
        except ask.Refused:
            return None

    def _form(self, request: HttpRequest, order: Order, form: RefundForm, *, status: int = 200) -> HttpResponse:
        return self._page(
            request,
            "console/refund_form.html",
            order,
            status,
            form=form,
            left=form.has.left,
            given=form.has.given,
            can=ask.may_be_refunded(order) and form.has.left > 0,
            waiting=Refund.objects.filter(order=order, state=State.REQUESTED).first(),
        )

    def _preview(self, request: HttpRequest, order: Order, form: RefundForm) -> HttpResponse:
        wish = form.wish()
        language = get_language() or "ja"
        lines = [
            (form.lines[line].name_in(language), part.quantity, form.lines[line].unit_price * part.quantity)
            for line, part in wish.lines.items()
        ]
        return self._page(
            request,
            "console/refund_preview.html",
            order,
            200,
            form=form,
            wish=wish,
            lines=lines,
            whole=form.whole,
            reason=Reason(wish.reason).label,
            notices=refunds.what_will_happen(order, form),
            stripe_link=at_stripe.payment(order.intent.stripe_id),
            kept=[(name, value) for name, value in form.data.items() if name in form.fields],
        )

    def _press(self, request: HttpRequest, order: Order, form: RefundForm) -> HttpResponse:
        try:
            refund = refunds.press(request, order, form)
        except ask.Refused as refused:
            refunds.tell(request, refused)
            place = address(refused.other) if refused.other is not None else address(order)
            return HttpResponseRedirect(place)
        except Wrong as wrong:
            # Somebody was faster between our look and the lock.
            form.add_error(None, said(wrong))
            return self._form(request, order, form, status=422)
        if refund.state == State.REQUESTED:
            messages.info(request, _("The refund is asked for. Somebody else has to approve it."))
        else:
            messages.success(request, _("The refund is on its way."))
        return HttpResponseRedirect(address(refund))

    def _page(self, request: HttpRequest, template: str, order: Order, status: int, **shown: Any) -> HttpResponse:
        return TemplateResponse(
            request,
            template,
            {
                **self.admin_site.each_context(request),
                "title": _("Refund for order %(number)s") % {"number": order.number},
                "list_title": order.number,
                "list_link": link(request, "order", "order", order.pk) or address_of_list(),
                "order": order,
                **shown,
            },
            status=status,
        )

    def _act(
        self, request: HttpRequest, pk: int, may: Callable[[HttpRequest, Refund], bool],
        do: Callable[[HttpRequest, Refund], None], done: str,
    ) -> HttpResponse:  # fmt: skip
        """One of the acts on a refund. Only a POST acts, and only once."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        refund = self.find(request, str(pk))
        if refund is None:
            raise Http404
        if not may(request, refund):
            raise PermissionDenied
        try:
            do(request, refund)
        except ask.Refused as refused:
            refunds.tell(request, refused)
        else:
            messages.success(request, done)
        return HttpResponseRedirect(address(refund))

    def approve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Approve what somebody else has asked for."""
        done = _("The refund is approved and on its way.")
        return self._act(request, pk, lambda asked, _refund: refunds.may_decide(asked), refunds.approve, done)

    def reject_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Reject what somebody else has asked for."""
        done = _("The refund is rejected. Nothing is given back.")
        return self._act(request, pk, lambda asked, _refund: refunds.may_decide(asked), refunds.reject, done)

    def withdraw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Take a refund back before Stripe is asked."""
        done = _("The refund is withdrawn. Nothing is given back.")
        return self._act(request, pk, _may_withdraw, refunds.withdraw, done)

    @display(description=gettext_lazy("refund"))
    def called(self, refund: Refund) -> str:
        """The order's number and which of its refunds it is."""
        return str(refund)

    @display(description=gettext_lazy("amount"))
    def amount_(self, refund: Refund) -> str:
        """How much is given back."""
        return yen(refund.amount)

    @display(description=gettext_lazy("state"), ordering="state", label=labels.COLOURS)
    def status(self, refund: Refund) -> tuple[str, str]:
        """Where it stands."""
        return refund.state, refund.get_state_display()

    @display(description=gettext_lazy("reason"))
    def reason_(self, refund: Refund) -> str:
        """Why."""
        return refund.get_reason_display()

    @display(description=gettext_lazy("requested by"))
    def asked_by(self, refund: Refund) -> str:
        """Who asked for it."""
        return refund.requested_by.get_username()

    @display(description=gettext_lazy("approved by"))
    def approved(self, refund: Refund) -> str:
        """Who said yes."""
        return refund.approved_by.get_username() if refund.approved_by is not None else "–"

    @display(description=gettext_lazy("requested"), ordering="id")
    def at_time(self, refund: Refund) -> str:
        """When it was asked for."""
        return jst(refund.requested_at)

    def title(self, thing: Refund) -> str:
        """The heading: the order, which of its refunds, and how much."""
        return f"{thing} · {yen(thing.amount)}"

    def page(self, request: HttpRequest, thing: Refund) -> Page:
        """One refund: who, why, how much, and the flow that gives the money back."""
        refund, order = thing, thing.order
        language = get_language() or "ja"
        stopped = refund.stopped_by.get_username() if refund.stopped_by is not None else ""
        lines = [
            (
                Fact(_("Product"), part.line.name_in(language)),
                Fact(_("Quantity"), f"{part.quantity:,}", number=True),
                Fact(_("Goods"), _("back on the shelf") if part.back else _("not back on the shelf")),
                Fact(_("Amount"), yen(part.amount), number=True),
            )
            for part in refund.lines.select_related("line")
        ]
        if refund.instructions_email and masking.may_see(request, "mail"):
            acts.looked_at(request, refund)
        mine = refund.requested_by_id == request.user.pk
        waits = refund.state == State.REQUESTED
        play, line = _flow(refund)
        case = order.cases.filter(closed_at=None, flow="refund", execution__isnull=False).first()
        lost = order.cases.filter(closed_at=None, about__in=[refund.stripe_id or "", str(refund)]).first()
        return Page(
            cards=[
                Card(
                    _("Refund"),
                    [
                        Fact(_("State"), refund.get_state_display(), state=refund.state),
                        Fact(_("Order"), order.number, link(request, "order", "order", order.pk)),
                        Fact(_("Amount"), yen(refund.amount), number=True),
                        *([Fact(_("Shipping"), yen(refund.shipping), number=True)] if refund.shipping else []),
                        *([Fact(_("Without goods"), yen(refund.other), number=True)] if refund.other else []),
                        Fact(_("Reason"), refund.get_reason_display()),
                        Fact(_("What happened"), refund.note),
                        Fact(_("Mail to the customer"), _("yes") if refund.mail else _("no")),
                        *([Fact(_("Why not"), refund.failure, mono=True)] if refund.failure else []),
                        *([Fact(_("Stripe's id"), refund.stripe_id, mono=True)] if refund.stripe_id else []),
                    ],
                ),
                Card(
                    _("Who and when"),
                    [
                        Fact(_("Requested by"), refund.requested_by.get_username()),
                        Fact(_("Requested"), jst(refund.requested_at)),
                        Fact(_("Approved by"), refund.approved_by.get_username() if refund.approved_by else "–"),
                        Fact(_("Approved"), jst(refund.approved_at)),
                        *([Fact(_("Stopped by"), f"{stopped}, {jst(refund.stopped_at)}")] if stopped else []),
                        Fact(_("Asked"), jst(refund.asked_at)),
                        Fact(_("Finished"), jst(refund.finished_at)),
                    ],
                ),
            ],
            tables=[Table(_("Goods"), lines, _("An amount without goods."))],
            more={
                "refund": refund,
                "asks_at": masking.shown(request, "mail", refund.instructions_email),
                "order": order,
                "line": line,
                "play": play,
                "picture": picture.draw(play, line) if play is not None and line is not None else None,
                "running": play is not None and play.status == "RUNNING",
                "reason": "",
                "case": case if request.user.has_perm("notify.view_case") else None,
                "lost": lost if request.user.has_perm("notify.view_case") else None,
                "is_lost": refund.state in LOST,
                "waits": waits,
                "mine": mine,
                "may_decide": waits and refunds.may_decide(request) and not (mine and refund.needs_two),
                "may_withdraw": _may_withdraw(request, refund) and refund.state in _STOPPABLE and not refund.asked_at,
                "approve_link": address(refund, "approve"),
                "reject_link": address(refund, "reject"),
                "withdraw_link": address(refund, "withdraw"),
                "stripe_link": at_stripe.payment(order.intent.stripe_id),
            },
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Refund]:
        """The rows, without the key that Stripe knows them by."""
        rows: QuerySet[Refund] = super().get_queryset(request)
        return rows.defer("key", "token", "asked_with")


def _may_withdraw(request: HttpRequest, refund: Refund) -> bool:
    """Whoever asked for it may take it back, and whoever may decide."""
    return refunds.may_decide(request) or (refunds.may_ask(request) and refund.requested_by_id == request.user.pk)


def _flow(refund: Refund) -> tuple[Execution | None, timeline.Line | None]:
    """The latest play that was about this refund, as a line of stops."""
    order = refund.order
    plays = list(Execution.objects.filter(order=order, flow="refund").select_related("definition").order_by("number"))
    done = list(order.ledger.filter(step__in=STEPS, attempt=refund.number))
    named = {row.execution for row in done}
    last = [play for play in plays if play.name in named]
    newest = Refund.objects.filter(order=order, approved_at__isnull=False).order_by("-number").first()
    if newest is not None and newest.pk == refund.pk and plays:
        last = plays
    if not last or refund.approved_at is None:
        return None, None
    return last[-1], timeline.draw(last[-1], done, last[-1].mishaps.all(), plays)


def address_of_list() -> str:
    """The console's list of refunds."""
    return reverse("admin:refund_refund_changelist")
