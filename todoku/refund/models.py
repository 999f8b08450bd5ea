"""Refunds as rows: who asked for how much and why, who approved it, and how it stands at Stripe.

The database keeps the promises: no refund without a person, two different ones where two are needed, one at a time
for an order, and never more in all than was paid (a trigger, with the order's row locked).
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from todoku.refund.rules import STRIPE_REASONS


class State(models.TextChoices):
    """Where a refund stands; ``rules.py`` has the table of moves."""

    REQUESTED = "requested", _("waits for a second person")
    APPROVED = "approved", _("approved, about to be asked")
    ASKED = "asked", _("asked, answer unknown")
    REQUIRES_ACTION = "requires_action", _("waits for the customer's bank account")
    PENDING = "pending", _("on its way to the customer")
    SUCCEEDED = "succeeded", _("given back")
    FAILED = "failed", _("failed")
    CANCELED = "canceled", _("canceled at Stripe")
    REFUSED = "refused", _("refused by Stripe")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Reason(models.TextChoices):
    """Why money is given back."""

    RETURNED = "returned", _("the customer sent goods back")
    CANCELED = "canceled", _("the customer canceled")
    DAMAGED = "damaged", _("damaged, or not as described")
    MISSING = "missing", _("not in stock, or not sent")
    LATE = "late", _("arrived late or not at all")
    DUPLICATE = "duplicate", _("paid twice")
    FRAUD = "fraud", _("fraud")
    GOODWILL = "goodwill", _("goodwill")
    OTHER = "other", _("another reason")


_UNFINISHED = Q(state__in=["approved", "asked", "requires_action", "pending", "succeeded"], finished_at=None)
_BEFORE_YES = ["requested", "rejected", "withdrawn"]


class Refund(models.Model):
    """One refund of one order, asked for by a person."""

    order = models.ForeignKey("order.Order", on_delete=models.PROTECT, related_name="refunds", verbose_name=_("order"))
    number = models.PositiveSmallIntegerField(_("number"))
    #: What the page that asked was given by the server: a second press of the same button finds this row.
    token = models.UUIDField(unique=True, editable=False)
    amount = models.PositiveIntegerField(_("amount"))
    shipping = models.PositiveIntegerField(_("of the shipping fee"), default=0)
    other = models.PositiveIntegerField(_("amount without goods"), default=0)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason.choices)
    note = models.CharField(_("note"), max_length=200)
    mail = models.BooleanField(_("mail to the customer"), default=True)
    state = models.CharField(_("state"), max_length=16, choices=State.choices, default=State.REQUESTED)

    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("requested by")
    )
    requested_at = models.DateTimeField(_("requested"), auto_now_add=True)
    #: Over the limit: somebody else must approve.
    needs_two = models.BooleanField(_("needs two persons"), default=False)
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("approved by"), null=True
    )
    approved_at = models.DateTimeField(_("approved"), null=True)
    #: Who rejected or withdrew it, and when.
    stopped_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("stopped by"), null=True
    )
    stopped_at = models.DateTimeField(_("stopped"), null=True)

    #: The idempotency key; it lives as long as the refund, and stands here before Stripe is asked.
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    #: How many keys a failure that Stripe keeps has used up.
    keys_spent = models.PositiveSmallIntegerField(default=0)
    asked_at = models.DateTimeField(_("asked"), null=True)
    #: The SHA-256 of what was asked: nothing else is ever sent under the key.
    asked_with = models.CharField(max_length=64, blank=True)
    #: Where Stripe asks a konbini customer for a bank account, as it was first asked.
    instructions_email = models.EmailField(max_length=254, blank=True)
    stripe_id = models.CharField(_("Stripe's id"), max_length=255, null=True, unique=True)
    #: Why Stripe refused it, or why it failed: Stripe's word.
    failure = models.CharField(_("why not"), max_length=64, blank=True)
    next_look_at = models.DateTimeField(null=True)
    #: Set by the flow's last step: the money is given back, and all that goes with it is done.
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="refunds_are_numbered"),
            models.UniqueConstraint(fields=["order"], condition=_UNFINISHED, name="one_refund_at_a_time"),
            models.CheckConstraint(condition=Q(amount__gte=1, amount__lte=99_999_999), name="refund_of_something"),
            models.CheckConstraint(condition=~Q(note="") & ~Q(reason=""), name="refund_with_a_reason"),
            models.CheckConstraint(
                condition=Q(state__in=_BEFORE_YES) | Q(approved_by__isnull=False), name="no_refund_without_a_person"
            ),
            models.CheckConstraint(
                condition=Q(needs_two=False) | Q(approved_by=None) | ~Q(approved_by=F("requested_by")),
                name="two_persons_are_two",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[*_BEFORE_YES, "approved"]) | (Q(asked_at__isnull=False) & ~Q(asked_with="")),
                name="asked_after_it_was_written_down",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="refund_by_state"),
            models.Index(
                fields=["next_look_at"], condition=Q(next_look_at__isnull=False), name="refund_by_next_look"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order.number} №{self.number}"

    @property
    def stripe_reason(self) -> str:
        """The reason in Stripe's words; empty when it has none for it."""
        return STRIPE_REASONS.get(self.reason, "")


class RefundLine(models.Model):
    """How many of an order's line a refund is over, and whether they go back on the shelf."""

    refund = models.ForeignKey(Refund, on_delete=models.CASCADE, related_name="lines")
    line = models.ForeignKey("order.OrderLine", on_delete=models.PROTECT, related_name="refunded")
    quantity = models.PositiveSmallIntegerField(_("quantity"))
    amount = models.PositiveIntegerField(_("amount"))
    back = models.BooleanField(_("back on the shelf"))

    class Meta:
        verbose_name = _("refunded line")
        verbose_name_plural = _("refunded lines")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["refund", "line"], name="one_refund_line_per_line"),
            models.CheckConstraint(condition=Q(quantity__gte=1), name="refund_line_of_something"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of line {self.line_id}"
