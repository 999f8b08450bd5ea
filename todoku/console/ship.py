"""Mark a parcel as shipped: once, with its carrier and tracking number."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from todoku.console import acts
from todoku.fulfilment.models import Delivery

CARRIERS: list[tuple[str, Any]] = [
    ("yamato", gettext_lazy("Yamato Transport")),
    ("sagawa", gettext_lazy("Sagawa Express")),
    ("japanpost", gettext_lazy("Japan Post")),
    ("other", gettext_lazy("another carrier")),
]


class ShippedForm(forms.Form):
    """Which carrier took the parcel, and under which number."""

    carrier = forms.ChoiceField(label=gettext_lazy("Carrier"), choices=CARRIERS, widget=UnfoldAdminSelectWidget)
    tracking_number = forms.CharField(
        label=gettext_lazy("Tracking number"),
        max_length=64,
        strip=True,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )

    def clean_tracking_number(self) -> str:
        """Read full-width digits and hyphens of every kind; the three big carriers have ten to thirteen digits."""
        typed = unicodedata.normalize("NFKC", self.cleaned_data["tracking_number"])
        number = re.sub(r"[\s\-‐‑‒–—―−ー]+", "", typed).upper()
        if self.cleaned_data.get("carrier") == "other":
            if not re.fullmatch(r"[0-9A-Z]{4,40}", number):
                raise forms.ValidationError(_("A tracking number has digits and letters only."))
        elif not re.fullmatch(r"[0-9]{10,13}", number):
            raise forms.ValidationError(_("This carrier's tracking numbers have 10 to 13 digits."))
        return number


def ship(request: HttpRequest, delivery: Delivery, *, carrier: str, tracking_number: str) -> bool:
    """Mark the parcel as shipped and write down who did it; False when somebody else has already."""
    with transaction.atomic():
        shipped = Delivery.objects.filter(pk=delivery.pk, state=Delivery.State.TO_SHIP).update(
            state=Delivery.State.SHIPPED,
            carrier=carrier,
            tracking_number=tracking_number,
            shipped_at=timezone.now(),
        )
        if not shipped:
            return False
        acts.write_down(
            request,
            delivery,
            _("Shipped with %(carrier)s, %(number)s") % {"carrier": carrier_name(carrier), "number": tracking_number},
            act="shipped",
        )
    return True


def carrier_name(carrier: str) -> str:
    """The carrier's name in the operator's language."""
    return str(dict(CARRIERS).get(carrier, carrier))
