"""Write an order off: a person ends it with a reason, and says what becomes of the goods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console import acts, money
from todoku.console.preview import Preview
from todoku.console.stopped import NoLonger, WhyForm, hold
from todoku.console.templatetags.console import yen
from todoku.fulfilment.models import Delivery
from todoku.gateways.gateway import Payment
from todoku.notify import bell
from todoku.notify.models import Case
from todoku.order import rules
from todoku.order.models import Order
from todoku.order.write_off import HasLeft, write_off
from todoku.stock.models import Movement

#: Statuses at Stripe in which nothing can be charged any more.
SETTLED = frozenset({"succeeded", "canceled"})


class WriteOffForm(WhyForm):
    """What becomes of the goods and of the money, and why."""

    goods = forms.ChoiceField(
        label=gettext_lazy("The goods"),
        choices=[
            ("back", gettext_lazy("put them back on the shelf, others may buy them")),
            ("gone", gettext_lazy("do not put them back: they are not there any more")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": gettext_lazy("Please say what becomes of the goods.")},
    )
    settled = forms.BooleanField(
        widget=forms.CheckboxInput,
        error_messages={
            "required": gettext_lazy("Stripe still has this customer's money. Please confirm that you know.")
        },
    )
    kept = forms.IntegerField(widget=forms.HiddenInput, min_value=0, max_value=2**31 - 1)

    def __init__(self, typed: Mapping[str, Any] | None, *, kept: int, has_goods: bool, **more: Any) -> None:
        super().__init__(typed, **more)
        if has_goods:
            self.order_fields(["goods", "settled", "why"])
        else:
            del self.fields["goods"]
        if kept:
            self.fields["settled"].label = _("I know that Stripe still has %(kept)s of this customer.") % {
                "kept": yen(kept)
            }
        else:
            del self.fields["settled"]
        self.fields["why"].help_text = _("Refunded by hand, the customer has it from the store …")


def fits(case: Case) -> bool:
    """Say whether the case's order could be written off."""
    order = case.order
    return order is not None and case.execution_id is not None and rules.may_move(order.status, "written_off")


def preview(case: Case) -> Preview:
    """Look at Stripe, and say what writing off would do."""
    assert case.order is not None
    truth = money.look(case)
    if truth is None or truth.payment is None:
        return Preview(blocked=truth.trouble if truth is not None else _("Stripe knows no payment of this order."))
    blocked = _why_not(truth.payment, case.order)
    kept = kept_of(truth.payment)
    return Preview(
        will=[
            _("The order ends, and this case is closed. No play, no event and no comparison looks at it any more."),
            _("Its parcels are called off, and the customer's page says that the shop has ended the order."),
            _("Your name and your reason stay with the order."),
        ],
        will_not=[
            _("No money is given back by this. A refund is made before, by a person."),
            _("No mail is sent to the customer. Please tell them yourself."),
            _("It cannot be undone."),
        ],
        button=_("Write the order off"),
        blocked=blocked,
        truth=truth,
        read={"kept": kept, "has_goods": _has_goods(case.order)},
    )


def form(case: Case, typed: Mapping[str, Any] | None, shown: Preview) -> WriteOffForm:
    """The form, asking only what there is to be decided."""
    return WriteOffForm(
        typed,
        kept=shown.read.get("kept", 0),
        has_goods=shown.read.get("has_goods", False),
        initial={"kept": shown.read.get("kept", 0), "seen": case.code},
    )


def act(
    request: HttpRequest, case: Case, *, why: str, seen: str, kept: int, goods: str = "", settled: bool = False
) -> None:
    """Make sure that nothing can be charged any more, then end the order. Raises NoLonger."""
    assert case.order is not None
    payment = money.ask(case.order.intent.stripe_id or "")
    if isinstance(payment, str):
        raise NoLonger(_("Nothing was changed. %(trouble)s") % {"trouble": payment})
    refused = _why_not(payment, case.order)
    if refused:
        raise NoLonger(_("Nothing was changed. %(trouble)s") % {"trouble": refused})
    if kept_of(payment) != kept:
        raise NoLonger(_("Nothing was changed: Stripe has another amount by now. Please look again."))
    who = request.user.get_username()
    with transaction.atomic():
        stopped = hold(case, seen)
        try:
            write_off(stopped.order, who=who, why=why, kept=kept, goods_back=goods == "back")
        except HasLeft as error:
            raise NoLonger(_("Nothing was changed: a parcel of this order has been shipped.")) from error
        except rules.ForbiddenMove as error:
            raise NoLonger(_("Nothing was changed: the order has come to its end meanwhile.")) from error
        bell.close_case(stopped.order.pk, by=who)
        acts.write_down(request, stopped.order, _("Written off"), act="written_off", reason=why)
    messages.success(request, _("The order is written off, and its case is closed."))


def kept_of(payment: Payment) -> int:
    """What Stripe has left of the customer's money."""
    return max(0, payment.amount_received - payment.amount_refunded) if payment.status == "succeeded" else 0


def _why_not(payment: Payment, order: Order) -> str:
    if payment.status not in SETTLED:
        return _(
            "This payment can still be made (%(status)s): the customer would be charged for nothing. "
            "Cancel it at Stripe first, or wait until it has ended by itself."
        ) % {"status": money.status_name(payment.status)}
    if Delivery.objects.filter(order=order, state=Delivery.State.SHIPPED).exists():
        return _("A parcel of this order has been shipped. It can no longer be written off.")
    return ""


def _has_goods(order: Order) -> bool:
    """Whether the order holds goods or has bought some."""
    held = order.reservations.filter(state="held").exists()
    return held or Movement.objects.filter(order=order, sold__gt=0).exists()
