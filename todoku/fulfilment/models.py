"""Delivery slip, parcel, tracking."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from todoku.catalog.models import Temperature
from todoku.fulfilment import rules
from todoku.quote.models import Details

#: The carriers, in the order in which an operator is asked.
CARRIERS: list[tuple[str, Any]] = [
    ("yamato", _("Yamato Transport")),
    ("sagawa", _("Sagawa Express")),
    ("japanpost", _("Japan Post")),
    ("other", _("another carrier")),
]


def carrier_name(carrier: str) -> str:
    """The carrier's name in the reader's language."""
    return str(dict(CARRIERS).get(carrier, carrier))


class Delivery(Details):
    """One parcel's slip: who gets it, where, kept how; made when the paid order is recorded."""

    class State(models.TextChoices):
        TO_SHIP = "to_ship", _("to be shipped")
        SHIPPED = "shipped", _("shipped")
        #: The order was called off before this parcel left.
        CANCELED = "canceled", _("called off")

    order = models.ForeignKey(
        "order.Order", on_delete=models.PROTECT, related_name="deliveries", verbose_name=_("order")
    )
    #: The parcel's place among the order's parcels, from 1.
    number = models.PositiveSmallIntegerField(_("number"))
    temperature = models.CharField(_("temperature"), max_length=16, choices=Temperature.choices)
    size = models.PositiveSmallIntegerField(_("parcel size"))
    #: What goes in: a list of {"sku", "name_ja", "name_en", "quantity"}; with several parcels of one
    #: temperature the first one's slip lists the goods of all.
    contents = models.JSONField(_("contents"))
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.TO_SHIP)
    carrier = models.CharField(_("carrier"), max_length=32, blank=True)
    tracking_number = models.CharField(_("tracking number"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    shipped_at = models.DateTimeField(_("shipped"), null=True, blank=True)
    #: The kind of the mail in which the customer reads that this parcel is on its way; empty as long as none does.
    told_in = models.CharField(max_length=32, blank=True)
    #: When, by whom and for which carrier the parcel was last written into a file for slips.
    exported_at = models.DateTimeField(_("written for the carrier"), null=True, blank=True)
    exported_by = models.CharField(_("by"), max_length=150, blank=True)
    exported_to = models.CharField(_("for carrier"), max_length=32, blank=True)
    canceled_at = models.DateTimeField(_("called off"), null=True, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="one_delivery_per_parcel")]
        indexes = [
            models.Index(fields=["state", "-id"], name="delivery_by_state"),
            models.Index(
                fields=["tracking_number"], condition=~models.Q(tracking_number=""), name="delivery_by_tracking_number"
            ),
        ]

    def __str__(self) -> str:
        return f"parcel {self.number} of order {self.order_id}"

    @property
    def carrier_said(self) -> str:
        """The carrier's name in the reader's language."""
        return carrier_name(self.carrier)

    @property
    def tracked_at(self) -> str:
        """Where the carrier shows how the parcel is getting on; empty when nobody knows."""
        return rules.tracked_at(self.carrier, self.tracking_number)
