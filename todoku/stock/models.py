"""What we have; the row that can say no; every movement is a row.

For each product, at every instant: all that was ever stocked = on_hand + reserved + sold.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Level(models.Model):
    """How many of a product there are: free to take (on hand), held for an order (reserved), sold."""

    product = models.OneToOneField(
        "catalog.Product", on_delete=models.PROTECT, primary_key=True, related_name="level"
    )
    on_hand = models.IntegerField(_("on hand"), default=0)
    reserved = models.IntegerField(_("reserved"), default=0)
    sold = models.IntegerField(_("sold"), default=0)

    class Meta:
        verbose_name = _("stock level")
        verbose_name_plural = _("stock levels")
        constraints = [
            models.CheckConstraint(condition=models.Q(on_hand__gte=0), name="on_hand_never_negative"),
            models.CheckConstraint(condition=models.Q(reserved__gte=0), name="reserved_never_negative"),
            models.CheckConstraint(condition=models.Q(sold__gte=0), name="sold_never_negative"),
        ]

    def __str__(self) -> str:
        return f"product {self.product_id}: {self.on_hand} on hand"


class Kind(models.TextChoices):
    """Why stock moved."""

    COUNTED = "counted", _("counted in")
    TAKEN = "taken", _("taken for an order")
    RETURNED = "returned", _("returned from an order")
    SOLD = "sold", _("sold")


class Movement(models.Model):
    """One change of one product's stock: how each of the three numbers moved, for which order, by whom."""

    product = models.ForeignKey("catalog.Product", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    on_hand = models.IntegerField(_("on hand"))
    reserved = models.IntegerField(_("reserved"), default=0)
    sold = models.IntegerField(_("sold"), default=0)
    order = models.ForeignKey(
        "order.Order", on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("order")
    )
    who = models.CharField(_("who"), max_length=150, blank=True)
    why = models.CharField(_("why"), max_length=200, blank=True)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("stock movement")
        verbose_name_plural = _("stock movements")
        ordering = ["-id"]
        indexes = [models.Index(fields=["product", "-id"], name="movement_by_product")]

    def __str__(self) -> str:
        return f"{self.kind} {self.on_hand:+d} of product {self.product_id}"


class Reservation(models.Model):
    """Stock held for one payment attempt of one order, until it is sold or returned: once, either way."""

    class State(models.TextChoices):
        HELD = "held", _("held")
        RETURNED = "returned", _("returned")
        SOLD = "sold", _("sold")

    order = models.ForeignKey("order.Order", on_delete=models.PROTECT, related_name="reservations")
    attempt = models.PositiveSmallIntegerField()
    product = models.ForeignKey("catalog.Product", on_delete=models.PROTECT, related_name="+")
    quantity = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.HELD)
    held_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("reservation")
        verbose_name_plural = _("reservations")
        constraints = [
            models.UniqueConstraint(fields=["order", "attempt", "product"], name="one_reservation_per_attempt"),
            # An order holds a product once at a time, whatever attempt it is in.
            models.UniqueConstraint(
                fields=["order", "product"], condition=models.Q(state="held"), name="one_held_reservation"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of product {self.product_id} {self.state} for order {self.order_id}"
