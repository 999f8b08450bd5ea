"""Attempts and outcomes: paid, declined, waiting, unknown.

The row comes first: every POST to Stripe carries a key derived from a row committed before the call.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Intent(models.Model):
    """Our row for one Stripe PaymentIntent: one checkout has one while it can be paid.

    The row exists before Stripe is asked to create the intent (its id is the idempotency key), so a crash in
    between finds the same intent again. ``amount`` is what Stripe holds, in whole yen.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    cart = models.ForeignKey("cart.Cart", on_delete=models.PROTECT, related_name="intents")
    #: The quote whose total the intent carries.
    quote = models.ForeignKey("quote.Quote", on_delete=models.PROTECT, related_name="+")
    #: Stripe's id (pi_…); empty until Stripe has answered the creation.
    stripe_id = models.CharField(_("Stripe's id"), max_length=255, null=True, unique=True)
    amount = models.PositiveIntegerField(_("amount"))
    #: For the browser's 3-D Secure only. Never logged, never in a mail.
    client_secret = models.CharField(max_length=255, blank=True)
    #: True once Stripe has answered that it holds this amount; false while a creation or an update is under way.
    #: An order takes only a ready intent, and an intent that is not ready is never changed again.
    ready = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    #: Set once Stripe has said that the intent can no longer be paid.
    canceled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("payment intent")
        verbose_name_plural = _("payment intents")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(amount__gte=50, amount__lte=99_999_999), name="intent_amount_chargeable"
            )
        ]
        indexes = [
            models.Index(fields=["cart", "-created_at"], name="intent_by_cart"),
            models.Index(fields=["-created_at", "-id"], name="intent_newest_first"),
        ]

    def __str__(self) -> str:
        return self.stripe_id or f"intent {self.pk} (not yet at Stripe)"


class Outcome(models.TextChoices):
    """What is known of an attempt. "We do not know" is not "failed"."""

    PENDING = "pending", _("not asked yet")
    ASKED = "asked", _("asked, answer unknown")
    PAID = "paid", _("paid")
    DECLINED = "declined", _("declined")
    WAITING = "waiting", _("waiting for the customer")
    CANCELED = "canceled", _("canceled")


#: An attempt that can no longer be paid: only then its stock goes back.
OVER = (Outcome.DECLINED, Outcome.CANCELED)


class WaitsFor(models.TextChoices):
    """What a waiting attempt waits for."""

    AUTHENTICATION = "authentication", _("the bank's question (3-D Secure)")
    KONBINI = "konbini", _("payment at a convenience store")
    PROCESSING = "processing", _("the bank's decision")


class Attempt(models.Model):
    """One press of the order button: one card, one confirmation of the intent at most."""

    #: The idempotency key of the confirmation; it lives as long as the attempt.
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    order = models.ForeignKey("order.Order", on_delete=models.PROTECT, related_name="payment_attempts")
    number = models.PositiveSmallIntegerField(_("number"))
    #: Stripe's ConfirmationToken (ctoken_…): stands for the card, is not the card.
    confirmation_token = models.CharField(max_length=255, unique=True)
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome.choices, default=Outcome.PENDING)
    decline_code = models.CharField(_("decline code"), max_length=64, blank=True)
    #: How it is paid: card or konbini; empty until Stripe has said so.
    method = models.CharField(_("method"), max_length=16, blank=True)
    #: While the outcome is "waiting", and what it last waited for afterwards.
    waits_for = models.CharField(_("waits for"), max_length=16, blank=True, choices=WaitsFor.choices)
    #: Which convenience store took the money.
    chain = models.CharField(_("convenience store"), max_length=16, blank=True)
    charge = models.CharField(_("charge"), max_length=255, blank=True)
    #: How many of our cancels Stripe has answered with a definite no. It keeps such an answer under its key for a
    #: day, so that the next cancel goes under a key of its own.
    cancels_refused = models.PositiveSmallIntegerField(default=0)
    #: A konbini voucher of this attempt would live so many days: as it was chosen when the shopper pressed; 0 where
    #: the shop took none.
    konbini_days = models.PositiveSmallIntegerField(null=True, blank=True)
    card_brand = models.CharField(_("card"), max_length=32, blank=True)
    card_last4 = models.CharField(_("last four digits"), max_length=4, blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    asked_at = models.DateTimeField(_("asked"), null=True, blank=True)
    settled_at = models.DateTimeField(_("settled"), null=True, blank=True)

    class Meta:
        verbose_name = _("payment attempt")
        verbose_name_plural = _("payment attempts")
        ordering = ["order", "number"]
        constraints = [models.UniqueConstraint(fields=["order", "number"], name="one_attempt_per_number")]
        indexes = [
            models.Index(fields=["outcome", "-id"], name="attempt_by_outcome"),
            models.Index(fields=["waits_for", "-id"], name="attempt_by_wait"),
            models.Index(fields=["charge"], condition=~models.Q(charge=""), name="attempt_by_charge"),
            models.Index(
                fields=["settled_at"], condition=models.Q(settled_at__isnull=False), name="attempt_by_settled"
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of order {self.order_id}: {self.outcome}"


class Voucher(models.Model):
    """What a customer takes to a konbini: codes for each chain, good until ``expires_at`` (UTC; 23:59:59 JST).

    It is never given up by our own clock: Stripe says when it can no longer be paid, about an hour later.
    """

    attempt = models.OneToOneField(
        Attempt, on_delete=models.PROTECT, related_name="voucher", verbose_name=_("payment attempt")
    )
    expires_at = models.DateTimeField(_("pay by"))
    #: Stripe's own page with the codes.
    url = models.URLField(max_length=500, blank=True)
    #: [{"chain", "payment_code", "confirmation_number"}], in the order in which they are shown.
    stores = models.JSONField(default=list)
    issued_at = models.DateTimeField(_("issued"), auto_now_add=True)
    #: When the customer is to be reminded; null when that is done or not to be done.
    remind_at = models.DateTimeField(_("reminder due"), null=True, blank=True)

    class Meta:
        verbose_name = _("konbini voucher")
        verbose_name_plural = _("konbini vouchers")
        indexes = [
            models.Index(fields=["remind_at"], condition=models.Q(remind_at__isnull=False), name="voucher_to_remind")
        ]

    def __str__(self) -> str:
        return f"voucher of attempt {self.attempt_id}"


class AcceptedAmount(models.Model):
    """A person's word that an order may go forward with other money than it says: exactly this, and nothing else.

    The order's own amounts stay as they were frozen; this stands beside them.
    """

    order = models.ForeignKey("order.Order", on_delete=models.PROTECT, related_name="accepted_amounts")
    #: What Stripe had received, in which currency, and how much of it had been given back.
    received = models.PositiveIntegerField(_("received"))
    currency = models.CharField(_("currency"), max_length=8)
    refunded = models.PositiveIntegerField(_("refunded"), default=0)
    who = models.CharField(_("who"), max_length=150)
    why = models.CharField(_("why"), max_length=300)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("accepted amount")
        verbose_name_plural = _("accepted amounts")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "received", "currency", "refunded"], name="one_acceptance_per_amount"
            )
        ]

    def __str__(self) -> str:
        return f"{self.received} {self.currency} accepted for order {self.order_id}"

    @property
    def kept(self) -> int:
        """What was left of it for the order."""
        return self.received - self.refunded
