"""Delivery slip, parcel, tracking."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from todoku.catalog.models import Temperature
from todoku.quote.models import Details


class Delivery(Details):
    """One parcel's slip: who gets it, where, kept how; made when the paid order is recorded."""

    class State(models.TextChoices):
        TO_SHIP = "to_ship", _("to be shipped")
        SHIPPED = "shipped", _("shipped")

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

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="one_delivery_per_parcel")]
        indexes = [models.Index(fields=["state", "-id"], name="delivery_by_state")]

    def __str__(self) -> str:
        return f"parcel {self.number} of order {self.order_id}"
