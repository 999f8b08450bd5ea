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
    #: When the outbox tries to send it next; null for a mail that a flow's step sends, and once it is settled.
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    #: Set when no mail server will ever take it; a person is told.
    given_up_at = models.DateTimeField(_("given up"), null=True, blank=True)
    #: Set when what it says was no longer so before it could be sent.
    overtaken_at = models.DateTimeField(_("overtaken"), null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mails")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["order", "kind"], name="one_mail_per_order_and_kind")]
        indexes = [
            models.Index(fields=["next_try_at"], condition=models.Q(next_try_at__isnull=False), name="mail_to_send"),
            models.Index(fields=["recipient"], name="mail_by_recipient"),
            models.Index(fields=["kind", "-id"], name="mail_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} mail of order {self.order_id}"


class Case(models.Model):
    """Something that needs a person.

    Most are opened by a failed execution and closed by the play that got through. One without an execution is
    opened by what looks after the shop (reconciliation, the outbox): ``about`` names what it found, and it may
    belong to no order at all. ``why`` is for the operator and has no personal data; ``technical`` is the
    exception's text.
    """

    order = models.ForeignKey(
        "order.Order", on_delete=models.PROTECT, related_name="cases", verbose_name=_("order"), null=True, blank=True
    )
    execution = models.ForeignKey(
        "engines.Execution",
        on_delete=models.PROTECT,
        related_name="cases",
        verbose_name=_("execution"),
        null=True,
        blank=True,
    )
    #: Which flow's execution has failed; an order that waits for a person may have a refund that does, too.
    flow = models.CharField(_("flow"), max_length=64, default="checkout")
    #: What a finding is about, when that is no execution: a PaymentIntent, a refund, a SKU.
    about = models.CharField(_("about"), max_length=255, blank=True)
    code = models.CharField(_("cause"), max_length=64)
    step = models.CharField(_("step"), max_length=64)
    why = models.TextField(_("why"))
    technical = models.TextField(_("technical reason"), blank=True)
    failures = models.PositiveIntegerField(_("failures"), default=1)
    opened_at = models.DateTimeField(_("opened"), auto_now_add=True)
    failed_at = models.DateTimeField(_("last failure"))
    #: When the bell is to be rung for it; null when there is nothing new to tell.
    ring_at = models.DateTimeField(null=True, blank=True)
    #: When somebody was first reached since.
    rung_at = models.DateTimeField(_("bell rung"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.CharField(_("closed by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("case")
        verbose_name_plural = _("cases")
        ordering = ["-id"]
        permissions = [
            ("accept_amount", "Can let an order go forward with a differing amount"),
            ("allocate_stock", "Can find goods for a paid order by hand"),
            ("correct_address", "Can correct where an order goes"),
            ("write_off", "Can write orders off"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["order", "flow"],
                condition=models.Q(closed_at=None, execution__isnull=False),
                name="one_open_case_per_order",
            ),
            models.UniqueConstraint(
                fields=["code", "about"],
                condition=models.Q(closed_at=None, execution=None),
                name="one_open_case_per_finding",
            ),
        ]
        indexes = [
            models.Index(fields=["closed_at", "-id"], name="case_open_first"),
            models.Index(fields=["ring_at"], condition=models.Q(ring_at__isnull=False), name="case_to_ring"),
        ]

    def __str__(self) -> str:
        return f"case {self.pk}: {self.code} of {self.about or f'order {self.order_id}'}"


class Note(models.Model):
    """What an operator wants the next one to know about a case. Nobody changes or deletes it."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="notes", verbose_name=_("case"))
    who = models.CharField(_("who"), max_length=150)
    text = models.TextField(_("note"), max_length=2000)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("note")
        verbose_name_plural = _("notes")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"note {self.pk} on case {self.case_id}"
