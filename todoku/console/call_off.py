"""Call an order off before it is shipped: one that waits to be paid, or one that is paid and has not left yet.

Calling off an unpaid order is what its customer can do as well: the flow cancels at Stripe first, and only then do the
goods go back. A paid order keeps its payment: its parcels are called off, the goods go back if the operator says so,
and the money is given back by a person's refund. The order's row is locked first, as shipping does (``ship.py``), so
an order is shipped or called off, and never both.
"""

from __future__ import annotations

import enum

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from todoku.console import acts
from todoku.fulfilment.models import Delivery
from todoku.order.models import Order, Status
from todoku.order.withdraw import may_withdraw, withdraw_held
from todoku.stock.take_back import return_sold

State = Delivery.State
#: A paid order can be called off once its slips are written; before that the flow is still at work on it.
HAS_SLIPS = (Status.RECORDED, Status.COMPLETE)


class CallOffForm(forms.Form):
    """Why an order is called off, and whether its goods go back on the shelf."""

    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        help_text=gettext_lazy("The customer asked for it, goods damaged, wrong address …"),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )
    back = forms.BooleanField(
        label=gettext_lazy("Put the goods back on the shelf"),
        required=False,
        initial=True,
        widget=UnfoldBooleanWidget,
    )


class Came(enum.Enum):
    """What came of calling off."""

    #: The flow cancels at Stripe; the goods go back when that is certain.
    CANCELING = enum.auto()
    #: The parcels are called off; the money is the refund's affair.
    CALLED_OFF = enum.auto()
    ALREADY = enum.auto()
    SHIPPED = enum.auto()
    #: Nobody knows yet how its payment stands, or its slips are not written yet.
    NOT_YET = enum.auto()


def may_call_off(request: HttpRequest) -> bool:
    """Say whether the operator may call orders off."""
    return bool(request.user.has_perm("order.cancel_order"))


def can_be_called_off(order: Order, parcels: list[Delivery]) -> bool:
    """Say whether there is anything to call off about an order."""
    if order.status in HAS_SLIPS:
        states = {parcel.state for parcel in parcels}
        return State.TO_SHIP in states and State.SHIPPED not in states
    return order.status == Status.PLACED and may_withdraw(order)


def call_off(request: HttpRequest, order: Order, *, why: str, back: bool) -> Came:
    """Call the order off, and write down who did it and why; a second press changes nothing."""
    with transaction.atomic():
        held = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        came = _paid(request, held, why, back) if held.status in HAS_SLIPS else _unpaid(request, held)
        if came in (Came.CANCELING, Came.CALLED_OFF):
            acts.write_down(request, held, _("Called off"), act="called_off", reason=why)
    return came


def _unpaid(request: HttpRequest, order: Order) -> Came:
    if order.withdrawn_at is not None or order.status in (Status.CANCELED, Status.NOT_PAID):
        return Came.ALREADY
    answer = withdraw_held(order, who=request.user.get_username())
    return Came.CANCELING if answer == "withdrawing" else Came.NOT_YET


def _paid(request: HttpRequest, order: Order, why: str, back: bool) -> Came:
    parcels = list(order.deliveries.select_for_update().order_by("pk"))
    states = {parcel.state for parcel in parcels}
    if State.SHIPPED in states:
        return Came.SHIPPED
    if State.TO_SHIP not in states:
        return Came.ALREADY
    order.deliveries.filter(state=State.TO_SHIP).update(state=State.CANCELED, canceled_at=timezone.now())
    if back:
        bought = {line.product_id: line.quantity for line in order.lines.all()}
        return_sold(order, bought, who=request.user.get_username(), why=why)
    return Came.CALLED_OFF


def tell(request: HttpRequest, came: Came) -> None:
    """Tell the operator what came of it, on the next page."""
    if came is Came.CANCELING:
        messages.success(
            request,
            _(
                "The order is being called off: first at Stripe, then the goods go back. "
                "If the customer pays at this very moment, the payment wins and the order goes on."
            ),
        )
    elif came is Came.CALLED_OFF:
        messages.success(
            request,
            _("The order is called off; its parcels must not be sent. The money has not been given back yet."),
        )
    elif came is Came.SHIPPED:
        messages.error(request, _("Nothing was changed: a parcel of this order has left already."))
    elif came is Came.ALREADY:
        messages.info(request, _("Nothing was changed: the order has been called off before, or has ended."))
    else:
        messages.warning(
            request,
            _("Nothing was changed: the order is being worked on at this moment. Please try again in a minute."),
        )
