"""What we have; the row that can say no; every movement is a row.

For each product, at every instant: all that was ever stocked = on_hand + reserved + sold.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Level(models.Model):
    """How many of a product there are: free to take (on hand), held for an order (reserved), sold."""

    product = models.OneToOneField("catalog.Product", on_delete=models.PROTECT, primary_key=True, related_name="level")
    on_hand = models.IntegerField(_("on hand"), default=0)
    reserved = models.IntegerField(_("reserved"), default=0)
    sold = models.IntegerField(_("sold"), default=0)
    #: From so many on hand downwards the product is running out; empty for what the shop says of all (shop/chosen.py).
    low_at = models.PositiveIntegerField(_("warn from"), null=True, blank=True)

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


class Reason(models.TextChoices):
    """Why a person changed what is on hand."""

    DELIVERY = "delivery", _("goods came in")
    COUNT = "count", _("counted")
    BROKEN = "broken", _("broken or spoiled")
    LOST = "lost", _("missing")
    CUSTOMER = "customer", _("back from a customer")
    OWN_USE = "own_use", _("own use or sample")
    SLIP = "slip", _("an earlier entry was wrong")
    OTHER = "other", _("another reason")


class Restock(models.Model):
    """A file of deliveries and corrections: read and shown first, then applied as a whole, once."""

    file = models.CharField(_("file"), max_length=255)
    #: The SHA-256 of the file's bytes: the same file is not counted in twice unawares.
    digest = models.CharField(max_length=64)
    encoding = models.CharField(max_length=32)
    #: What was read: a list of {"product", "sku", "delta", "reason", "why"}.
    rows = models.JSONField()
    who = models.CharField(_("who"), max_length=150)
    read_at = models.DateTimeField(_("read"), auto_now_add=True)
    applied_at = models.DateTimeField(_("applied"), null=True, blank=True)
    applied_by = models.CharField(_("applied by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("restock file")
        verbose_name_plural = _("restock files")
        ordering = ["-id"]
        indexes = [models.Index(fields=["digest"], name="restock_by_digest")]

    def __str__(self) -> str:
        return self.file


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
    #: A person's reason out of a list, and their own words to it.
    reason = models.CharField(_("reason"), max_length=16, choices=Reason.choices, blank=True, default="", db_default="")
    why = models.CharField(_("why"), max_length=200, blank=True)
    #: The form that this movement came from: sent twice, it moves nothing more.
    token = models.UUIDField(null=True, blank=True, unique=True, editable=False)
    restock = models.ForeignKey(
        Restock, on_delete=models.PROTECT, null=True, blank=True, related_name="movements", verbose_name=_("file")
    )
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("stock movement")
        verbose_name_plural = _("stock movements")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["product", "-id"], name="movement_by_product"),
            models.Index(fields=["kind", "-id"], name="movement_by_kind"),
            # The sum that proves the stock (proof.py) reads this and not the rows.
            models.Index(
                fields=["product"], include=["kind", "on_hand", "reserved", "sold"], name="movement_for_sums"
            ),
        ]

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
        indexes = [models.Index(fields=["state", "-id"], name="reservation_by_state")]

    def __str__(self) -> str:
        return f"{self.quantity} of product {self.product_id} {self.state} for order {self.order_id}"
