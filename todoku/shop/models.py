"""What the shop's owner has chosen: every change is a row, and the newest row of each topic holds."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Topic(models.TextChoices):
    """What a choice is about; each has a page of its own in the console."""

    NAME = "name", _("Name and contact")
    LEGAL = "legal", _("Legal notice")
    PRIVACY = "privacy", _("Privacy")
    INVOICE = "invoice", _("Invoice number")
    PAYMENT = "payment", _("Payment")
    LIMITS = "limits", _("Limits and warnings")
    MAIL = "mail", _("Mail texts")
    # These two tell of tables that are quote's: the rows there hold, the choice says who changed what.
    SHIPPING = "shipping", _("Shipping")
    TAX = "tax", _("Tax rates")


class Choice(models.Model):
    """One change of one topic: what was chosen before it, what since, by whom.

    ``after`` holds everything that the console has chosen in this topic; what is not in it is as the environment
    says. Rows are only added.
    """

    topic = models.CharField(_("topic"), max_length=16, choices=Topic.choices)
    before = models.JSONField(_("before"))
    after = models.JSONField(_("after"))
    who = models.CharField(_("who"), max_length=150)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("shop setting")
        verbose_name_plural = _("shop settings")
        ordering = ["-id"]
        indexes = [models.Index(fields=["topic", "-id"], name="choice_by_topic")]

    def __str__(self) -> str:
        return str(self.get_topic_display())
