"""Mail to the customer; the operator's bell."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Mail(models.Model):
    """One mail of one kind to one order's shopper, written once under one Message-ID.

    The text is frozen before the first try, so that a mail sent again after a crash is the same mail and the
    reader's mail program can tell.
    """

    order = models.ForeignKey("order.Order", on_delete=models.PROTECT, related_name="mails")
    kind = models.CharField(_("kind"), max_length=32)
    message_id = models.CharField(_("Message-ID"), max_length=255, unique=True)
    recipient = models.EmailField(_("recipient"), max_length=254)
    subject = models.CharField(_("subject"), max_length=255)
    text = models.TextField(_("text"))
    written_at = models.DateTimeField(_("written"), auto_now_add=True)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["order", "kind"], name="one_mail_per_order_and_kind")]

    def __str__(self) -> str:
        return f"{self.kind} mail of order {self.order_id}"


class Case(models.Model):
    """Something that needs a person. Opened by a failed execution, closed by the play that got through.

    ``why`` is for the operator and has no personal data; ``technical`` is the exception's text.
    """

    order = models.ForeignKey(
        "order.Order", on_delete=models.PROTECT, related_name="cases", verbose_name=_("order")
    )
    execution = models.ForeignKey(
        "engines.Execution", on_delete=models.PROTECT, related_name="cases", verbose_name=_("execution")
    )
    code = models.CharField(_("cause"), max_length=64)
    step = models.CharField(_("step"), max_length=64)
    why = models.TextField(_("why"))
    technical = models.TextField(_("technical reason"), blank=True)
    failures = models.PositiveIntegerField(_("failures"), default=1)
    opened_at = models.DateTimeField(_("opened"), auto_now_add=True)
    failed_at = models.DateTimeField(_("last failure"))
    rung_at = models.DateTimeField(_("bell rung"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.CharField(_("closed by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("case")
        verbose_name_plural = _("cases")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["order"], condition=models.Q(closed_at=None), name="one_open_case_per_order"
            )
        ]
        indexes = [models.Index(fields=["closed_at", "-id"], name="case_open_first")]

    def __str__(self) -> str:
        return f"case {self.pk}: order {self.order_id} at {self.step}"
