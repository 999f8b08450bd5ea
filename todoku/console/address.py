"""Correct where an order goes, as long as nothing of it has been shipped: the order and its delivery slips alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from todoku.console import acts
from todoku.console.preview import Preview
from todoku.console.stopped import NoLonger
from todoku.engines.models import Execution, State
from todoku.fulfilment.models import Delivery
from todoku.notify.models import Case
from todoku.order.models import Order, Status
from todoku.order.moves import write
from todoku.storefront.details import DetailsForm

#: What may be corrected here. The mail address has an act of its own, because a mail waits for it.
FIELDS = ("name", "kana", "phone", "postal_code", "prefecture", "city", "street", "building")


class AddressForm(DetailsForm):
    """The details of the shop's own form, read in the same way. ``seen`` stands for those that the page showed."""

    HINTS = {
        name: {"autocomplete": "off", **({"inputmode": "numeric"} if name in ("phone", "postal_code") else {})}
        for name in FIELDS
    }

    email = None  # type: ignore[assignment]  # Django's way to leave a field out
    wished_on = None  # type: ignore[assignment]
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in FIELDS:
            field = self.fields[name]
            field.help_text = ""
            kind = UnfoldAdminSelectWidget if name == "prefecture" else UnfoldAdminTextInputWidget
            choices = {"choices": field.choices} if isinstance(field, forms.ChoiceField) else {}
            attrs = {**field.widget.attrs, "id": f"id_{name}"}
            attrs.pop("aria-describedby", None)
            field.widget = kind(attrs=attrs, **choices)
            field.widget.is_required = field.required


def details(order: Order) -> dict[str, str]:
    """Where the order goes now."""
    return {name: getattr(order, name) for name in FIELDS}


def fingerprint(order: Order) -> str:
    """A short text that changes whenever the order's details do."""
    return hashlib.sha256(json.dumps(details(order), sort_keys=True).encode()).hexdigest()[:32]


def why_not(order: Order) -> str:
    """Why the address cannot be corrected any more; empty when it can."""
    if order.status in (Status.CANCELED, Status.WRITTEN_OFF):
        return _("Nothing of this order will be sent.")
    if Delivery.objects.filter(order=order, state=Delivery.State.SHIPPED).exists():
        return _("A parcel of this order has been shipped. Please call the carrier.")
    return ""


def fits(case: Case) -> bool:
    """Say whether the case's order may still get another address."""
    return case.order is not None and not why_not(case.order)


def preview(case: Case) -> Preview:
    """Say what correcting the address does."""
    assert case.order is not None
    return preview_of(case.order)


def preview_of(order: Order) -> Preview:
    """Say what correcting the address of an order does."""
    return Preview(
        will=[
            _("The order gets the new name, address and phone number, and so do its delivery slips."),
            _("That you have corrected it is written down."),
        ],
        will_not=[
            _("The price is not calculated again, even if the parcel goes to another prefecture."),
            _("No mail is sent, and the order is not played on by this."),
        ],
        button=_("Correct"),
        blocked=why_not(order),
        read={"order": order},
    )


def form(case: Case, typed: Mapping[str, Any] | None, shown: Preview) -> AddressForm:
    """The form, with the address as it is."""
    return form_of(shown.read["order"], typed)


def form_of(order: Order, typed: Mapping[str, Any] | None) -> AddressForm:
    """The form for an order, with the address as it is."""
    initial = {**details(order), "seen": fingerprint(order)}
    initial["postal_code"] = f"{order.postal_code[:3]}-{order.postal_code[3:]}"
    return AddressForm(typed, initial=initial)


def act(request: HttpRequest, case: Case, *, seen: str, **typed: str) -> None:
    """Correct the address of the case's order. Raises NoLonger."""
    assert case.order is not None
    correct(request, case.order, seen=seen, **typed)


def correct(request: HttpRequest, order: Order, *, seen: str, **typed: str) -> None:
    """Write the new details to the order and to its slips, and write down that it was done. Raises NoLonger.

    The order's row is locked against everything, so that no play can start in between: one that is under way has
    read the order, and may be writing its slips at this moment.
    """
    with transaction.atomic():
        held = Order.objects.select_for_update(of=("self",)).get(pk=order.pk)
        before = details(held)
        changed = {name: typed[name] for name in FIELDS if typed[name] != before[name]}
        if not changed:
            messages.info(request, _("Nothing has changed: the order has these details already."))
            return
        slips = list(Delivery.objects.select_for_update().filter(order=held))
        refused = why_not(held)
        if refused:
            raise NoLonger(_("Nothing was changed. %(trouble)s") % {"trouble": refused})
        if Execution.objects.filter(order=held, status=State.RUNNING).exists():
            raise NoLonger(
                _(
                    "Nothing was changed: the order is being played right now. "
                    "Please look again when the play has stopped."
                )
            )
        if seen != fingerprint(held):
            raise NoLonger(_("Nothing was changed: somebody else has corrected it meanwhile. Please look again."))
        write(held, **changed)
        for slip in slips:
            for name, value in changed.items():
                setattr(slip, name, value)
        Delivery.objects.bulk_update(slips, list(changed))
        named = ", ".join(str(AddressForm.base_fields[name].label) for name in changed)
        acts.write_down(request, held, _("Corrected: %(what)s") % {"what": named}, act="corrected")
    messages.success(request, _("Corrected: %(what)s") % {"what": named})
