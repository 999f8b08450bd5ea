"""The promise.

An order is committed, with its lines and its payment attempt, before Stripe is asked for money. Its
amounts are copied from the quote and never computed again.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models.functions import Upper
from django.utils.translation import gettext_lazy as _

from todoku.quote.models import Details, SoldLine


class Status(models.TextChoices):
    """Where an order stands; ``order/rules.py`` has the table of moves."""

    PLACED = "placed", _("checking the payment")
    NOT_PAID = "not_paid", _("not paid")
    CANCELED = "canceled", _("canceled")
    PAID = "paid", _("paid, being recorded")
    RECORDED = "recorded", _("recorded")
    COMPLETE = "complete", _("complete")
    #: By a person: see WriteOff.
    WRITTEN_OFF = "written_off", _("written off")


class Order(Details):
    """One promise to one shopper: these goods, to this address, for this many yen."""

    #: Unguessable name of the order for everything outside: links, flows, Stripe's metadata.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: What people say on the phone. It opens nothing by itself.
    number = models.CharField(_("order number"), max_length=24, unique=True)
    shopper = models.CharField(max_length=64)
    language = models.CharField(_("language"), max_length=8, default="ja")
    cart = models.ForeignKey("cart.Cart", on_delete=models.PROTECT, related_name="orders")
    cart_version = models.PositiveIntegerField()
    quote = models.OneToOneField("quote.Quote", on_delete=models.PROTECT, related_name="order")
    intent = models.OneToOneField(
        "payment.Intent", on_delete=models.PROTECT, related_name="order", verbose_name=_("payment")
    )

    goods_total = models.PositiveIntegerField(_("goods total"))
    shipping = models.PositiveIntegerField(_("shipping"))
    total = models.PositiveIntegerField(_("total"))
    parcels = models.JSONField()
    taxes = models.JSONField()

    status = models.CharField(_("status"), max_length=16, choices=Status.choices, default=Status.PLACED)
    #: How many payment attempts there were; the latest one's number.
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=1)
    #: After this moment an unpaid attempt is canceled at Stripe, and only then the stock goes back.
    pay_by = models.DateTimeField(_("pay by"))
    #: Set when a newer quote of the same cart took this order's place; it can then only end.
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    #: What the shopper must be told about the last attempt: {"outcome", "reason", "lines"}; no personal data.
    setback = models.JSONField(null=True, blank=True)
    #: When the order wants to be played again although nobody knocked; null when it is at rest.
    next_look_at = models.DateTimeField(null=True, blank=True)

    placed_at = models.DateTimeField(_("placed"), auto_now_add=True)
    paid_at = models.DateTimeField(_("paid"), null=True, blank=True)
    recorded_at = models.DateTimeField(_("recorded"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed"), null=True, blank=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-id"]
        permissions = [
            ("view_personal_data", "See customers' names, addresses, phone numbers and mail addresses"),
            ("view_parcel_data", "See what stands on a parcel: name, address and phone number"),
            ("cancel_order", "Call orders off before they are shipped"),
            ("export_order", "Export orders"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["cart", "cart_version"], name="one_order_per_cart_version"),
            # Two tabs cannot have two orders of one cart in payment at the same time.
            models.UniqueConstraint(
                fields=["cart"], condition=models.Q(status__in=["placed"]), name="one_order_in_payment_per_cart"
            ),
            models.CheckConstraint(
                condition=models.Q(total=models.F("goods_total") + models.F("shipping")), name="order_adds_up"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "-id"], name="order_by_status"),
            models.Index(fields=["shopper", "-id"], name="order_by_shopper"),
            # Whoever orders the same goods again in another browser is asked (in_doubt.py).
            models.Index(Upper("email"), name="order_by_email"),
            models.Index(fields=["phone"], name="order_by_phone"),
            # What came in on a day, and how quickly it was complete (the console's front page).
            models.Index(
                fields=["paid_at"], include=["total"], condition=models.Q(paid_at__isnull=False), name="order_by_paid"
            ),
            models.Index(
                fields=["completed_at"], condition=models.Q(completed_at__isnull=False), name="order_by_completed"
            ),
            models.Index(
                fields=["next_look_at"], condition=models.Q(next_look_at__isnull=False), name="order_by_next_look"
            ),
            models.Index(fields=["placed_at"], name="order_by_day"),
            models.Index(fields=["total", "-id"], name="order_by_total"),
            # And order_by_words, over a column that the database writes: migrations 0005 and 0007, find.py.
        ]

    def __str__(self) -> str:
        return self.number


class OrderLine(SoldLine):
    """One line of an order, copied from its quote."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")

    class Meta:
        verbose_name = _("order line")
        verbose_name_plural = _("order lines")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["order", "product"], name="one_order_line_per_product")]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku}"


class MyPageEntry(models.Model):
    """An order as published to its shopper's my page."""

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="my_page_entry")
    shopper = models.CharField(max_length=64)
    published_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("my page entry")
        verbose_name_plural = _("my page entries")
        indexes = [models.Index(fields=["shopper", "-id"], name="entry_by_shopper")]

    def __str__(self) -> str:
        return f"my page of order {self.order_id}"


class WriteOff(models.Model):
    """A person's word that an order will not be carried out: who, why, and what became of the goods."""

    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="write_off")
    who = models.CharField(_("who"), max_length=150)
    why = models.CharField(_("why"), max_length=300)
    #: What Stripe still had of the customer's money at that moment, in whole yen; more later is news.
    kept = models.PositiveIntegerField(_("kept at Stripe"))
    #: Whether what the order held went back on the shelf.
    goods_back = models.BooleanField(_("goods put back"))
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("write-off")
        verbose_name_plural = _("write-offs")

    def __str__(self) -> str:
        return f"write-off of order {self.order_id}"
