"""What Stripe has told us, each event once, and how far we have listened."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class StripeEvent(models.Model):
    """An event that came through the webhook door, or was fetched from Stripe's list: stored, and then it knocks.

    Only ids are kept. The event's body holds personal data and a client secret, and it is not believed
    anyway: the play looks the PaymentIntent up at Stripe.
    """

    event_id = models.CharField(_("event"), max_length=255, unique=True)
    type = models.CharField(_("type"), max_length=100)
    object_id = models.CharField(_("object"), max_length=255, blank=True)
    livemode = models.BooleanField(_("live mode"))
    #: Stripe's own time of the fact, UTC.
    happened_at = models.DateTimeField(_("happened"), null=True)
    received_at = models.DateTimeField(_("received"), auto_now_add=True)
    #: True when it had not come by itself and was fetched from Stripe's list.
    listed = models.BooleanField(_("fetched"), default=False, db_default=False)
    #: The order it knocked on, when there is one.
    order = models.ForeignKey("order.Order", on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        verbose_name = _("Stripe event")
        verbose_name_plural = _("Stripe events")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["object_id"], name="event_by_object"),
            models.Index(fields=["object_id"], condition=models.Q(order=None), name="event_without_order"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"


class Bookmark(models.Model):
    """How far Stripe's list of events has been read: everything that happened before ``read_until`` is stored."""

    #: Which list; there is one.
    name = models.CharField(max_length=32, unique=True)
    began_at = models.DateTimeField(auto_now_add=True)
    read_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} read until {self.read_until}"
