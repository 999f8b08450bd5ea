"""What Stripe has told us, each event once."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class StripeEvent(models.Model):
    """An event that came through the webhook door: stored, answered, then it knocks.

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
    #: The order it knocked on, when there is one.
    order = models.ForeignKey("order.Order", on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        verbose_name = _("Stripe event")
        verbose_name_plural = _("Stripe events")
        ordering = ["-id"]
        indexes = [models.Index(fields=["object_id"], name="event_by_object")]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
