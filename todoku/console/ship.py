"""Ship: mark parcels as shipped, correct a tracking number, take a shipment of the same day back.

Every act locks the order's row first, so that shipping and calling off (``call_off.py``) never both happen, and writes
the customer's mail and what was done in its own transaction: a parcel is shipped once and told of once.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanWidget

from todoku.console import acts
from todoku.fulfilment import rules
from todoku.fulfilment.models import CARRIERS, Delivery, carrier_name
from todoku.notify import outbox
from todoku.notify.models import Mail
from todoku.order.models import Order

State = Delivery.State


def may_ship(request: HttpRequest) -> bool:
    """Say whether the operator may ship parcels, and write and read the carriers' files."""
    return bool(request.user.has_perm("fulfilment.change_delivery"))


class NumberForm(forms.Form):
    """Which carrier has the parcel, and under which number."""

    carrier = forms.ChoiceField(label=gettext_lazy("Carrier"), choices=CARRIERS, widget=UnfoldAdminSelectWidget)
    tracking_number = forms.CharField(
        label=gettext_lazy("Tracking number"),
        max_length=64,
        strip=True,
        help_text=gettext_lazy("As on the slip; hyphens and spaces do not matter."),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "text"}),
    )

    def clean_tracking_number(self) -> str:
        """Read full-width digits and hyphens of every kind, and hold the number against the carrier's own rule."""
        number = rules.plain(self.cleaned_data["tracking_number"])
        wrong = trouble(self.cleaned_data.get("carrier", "other"), number)
        if wrong:
            raise forms.ValidationError(wrong)
        return number


class ShippedForm(NumberForm):
    """The form that marks a parcel as shipped."""


class RenumberForm(NumberForm):
    """The form that corrects a number; ``seen`` is the one that the operator was shown."""

    tell = forms.BooleanField(
        label=gettext_lazy("Mail the right number to the customer"),
        required=False,
        initial=True,
        widget=UnfoldBooleanWidget,
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)


class TakeBackForm(forms.Form):
    """Why a shipment is taken back."""

    why = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        help_text=gettext_lazy("Wrong parcel marked, the carrier has not come …"),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


def trouble(carrier: str, number: str) -> str:
    """Say in a sentence what is wrong with a tracking number; nothing when it is good."""
    wrong = rules.trouble(carrier, number)
    if wrong == "check_digit":
        return _(
            "This is not a number of %(carrier)s: its last digit does not fit the others. "
            "Please compare it with the slip, digit by digit."
        ) % {"carrier": carrier_name(carrier)}
    if not wrong:
        return ""
    return {
        "yamato": _("A tracking number of Yamato Transport has 12 digits."),
        "sagawa": _("A tracking number of Sagawa Express has 12 digits."),
        "japanpost": _("A tracking number of Japan Post has 11 or 12 digits, or 13 signs such as EE123456789JP."),
    }.get(carrier, _("A tracking number has digits and letters only, 4 to 40 of them."))


class Came(enum.Enum):
    """What came of an act on a parcel."""

    DONE = enum.auto()
    #: It is so already, or it is not shipped: there is nothing to do.
    ALREADY = enum.auto()
    CALLED_OFF = enum.auto()
    #: Somebody else has changed the number since the operator looked.
    OVERTAKEN = enum.auto()
    #: A shipment is taken back on its own day only.
    TOO_LATE = enum.auto()


@dataclass(frozen=True)
class Shipment:
    """One parcel that has left."""

    delivery: int
    carrier: str
    tracking_number: str


def ship(request: HttpRequest, order_id: int, shipments: Sequence[Shipment]) -> dict[int, Came]:
    """Mark parcels of one order as shipped, tell the customer in one mail, and write down who did it.

    Parcels that somebody has shipped before, or that were called off, are left as they are; the answer says what came
    of each.
    """
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True).get(pk=order_id)
        parcels = {parcel.pk: parcel for parcel in order.deliveries.select_for_update().order_by("pk")}
        came = {shipment.delivery: _may(parcels.get(shipment.delivery)) for shipment in shipments}
        leaving = [shipment for shipment in shipments if came[shipment.delivery] is Came.DONE]
        if leaving:
            kind = next_kind(order, "shipped")
            for shipment in leaving:
                parcel = parcels[shipment.delivery]
                parcel.state = State.SHIPPED
                parcel.carrier = shipment.carrier
                parcel.tracking_number = shipment.tracking_number
                parcel.shipped_at = timezone.now()
                parcel.told_in = kind
                acts.write_down(
                    request,
                    parcel,
                    _("Shipped with %(carrier)s, %(number)s")
                    % {"carrier": carrier_name(shipment.carrier), "number": shipment.tracking_number},
                    act="shipped",
                    orders=[order.number],
                )
            Delivery.objects.bulk_update(
                [parcels[shipment.delivery] for shipment in leaving],
                ["state", "carrier", "tracking_number", "shipped_at", "told_in"],
            )
            outbox.write(order, kind)
    return came


def _may(parcel: Delivery | None) -> Came:
    if parcel is None or parcel.state == State.SHIPPED:
        return Came.ALREADY
    return Came.CALLED_OFF if parcel.state == State.CANCELED else Came.DONE


def renumber(
    request: HttpRequest, delivery: Delivery, *, carrier: str, tracking_number: str, seen: str, tell: bool
) -> Came:
    """Correct a shipped parcel's carrier and number; the customer is told when asked for, or has not been told yet."""
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True).get(pk=delivery.order_id)
        held = Delivery.objects.select_for_update().get(pk=delivery.pk)
        if held.state != State.SHIPPED or (held.carrier, held.tracking_number) == (carrier, tracking_number):
            return Came.ALREADY
        if held.tracking_number != seen:
            return Came.OVERTAKEN
        before, told_in = held.tracking_number, held.told_in
        held.carrier, held.tracking_number = carrier, tracking_number
        held.save(update_fields=["carrier", "tracking_number"])
        if not _tell_anew(order, told_in) and tell:
            held.told_in = next_kind(order, "renumbered")
            held.save(update_fields=["told_in"])
            outbox.write(order, held.told_in)
        acts.write_down(
            request,
            held,
            _("Tracking number corrected from %(before)s to %(after)s (%(carrier)s)")
            % {"before": before, "after": tracking_number, "carrier": carrier_name(carrier)},
            act="corrected",
            orders=[order.number],
        )
    return Came.DONE


def take_back(request: HttpRequest, delivery: Delivery, *, why: str) -> Came:
    """Mark a parcel of today as not shipped after all, with a reason."""
    with transaction.atomic():
        order = Order.objects.select_for_update(no_key=True).get(pk=delivery.order_id)
        held = Delivery.objects.select_for_update().get(pk=delivery.pk)
        if held.state != State.SHIPPED:
            return Came.ALREADY
        if not of_today(held):
            return Came.TOO_LATE
        number, told_in = held.tracking_number, held.told_in
        held.state, held.carrier, held.tracking_number, held.shipped_at, held.told_in = State.TO_SHIP, "", "", None, ""
        held.save(update_fields=["state", "carrier", "tracking_number", "shipped_at", "told_in"])
        _tell_anew(order, told_in)
        acts.write_down(
            request,
            held,
            _("Shipment %(number)s taken back") % {"number": number},
            act="corrected",
            reason=why,
            orders=[order.number],
        )
    return Came.DONE


def _tell_anew(order: Order, told_in: str) -> bool:
    """Write anew what a mail says that has not left yet: nobody names the old one any more, so it stays behind.

    Says whether there was such a mail. One that has left is left alone.
    """
    if Mail.objects.filter(order=order, kind=told_in, sent_at__isnull=False).exists():
        return False
    kind = next_kind(order, "shipped")
    if order.deliveries.filter(told_in=told_in, state=State.SHIPPED).update(told_in=kind):
        outbox.write(order, kind)
    return True


def of_today(delivery: Delivery) -> bool:
    """Say whether the parcel was marked as shipped today (JST)."""
    return (
        delivery.state == State.SHIPPED
        and delivery.shipped_at is not None
        and timezone.localdate(delivery.shipped_at) == timezone.localdate()
    )


def next_kind(order: Order, sort: str) -> str:
    """Name the order's next mail about its parcels; the caller holds the order's row."""
    so_far = Mail.objects.filter(order=order, kind__regex=r"^(shipped|renumbered)-").count()
    return f"{sort}-{so_far + 1}"


def tell(request: HttpRequest, came: Came, done: str) -> None:
    """Tell the operator what came of an act on a parcel, on the next page."""
    if came is Came.DONE:
        messages.success(request, done)
    elif came is Came.ALREADY:
        messages.info(request, _("Nothing was changed: the parcel is so already, or somebody else was quicker."))
    elif came is Came.CALLED_OFF:
        messages.error(request, _("Do not send this parcel: the order has been called off. Nothing was changed."))
    elif came is Came.OVERTAKEN:
        messages.warning(request, _("Nothing was changed: somebody else has corrected the number meanwhile."))
    else:
        messages.warning(
            request, _("Nothing was changed: a shipment can be taken back only on the day on which it was marked.")
        )


def told(parcels: int) -> Any:
    """Say that so many parcels are marked as shipped."""
    return ngettext(
        "The parcel is marked as shipped. The customer gets a mail with the tracking number.",
        "%(n)d parcels are marked as shipped. The customers get mails with the tracking numbers.",
        parcels,
    ) % {"n": parcels}
