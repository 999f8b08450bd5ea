"""What was compared, and what was found and done: a row for each run and each thing it found."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Run(models.Model):
    """One comparison of the shop with Stripe and with itself."""

    class Kind(models.TextChoices):
        WINDOW = "window", _("every few minutes")
        FULL = "full", _("nightly, in full")
        HAND = "hand", _("by hand")

    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices)
    #: Which of Stripe's payments were listed: created from ``since`` on and before ``until`` (UTC).
    since = models.DateTimeField(_("since"))
    until = models.DateTimeField(_("until"), null=True, blank=True)
    who = models.CharField(_("who"), max_length=150, blank=True)
    started_at = models.DateTimeField(_("started"))
    #: Null while it runs, and for ever when its worker died.
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    payments = models.PositiveIntegerField(_("payments compared"), default=0)
    orders = models.PositiveIntegerField(_("orders compared"), default=0)
    #: Refunds and disputes that Stripe listed.
    returned = models.PositiveIntegerField(_("refunds and disputes"), default=0)
    products = models.PositiveIntegerField(_("stock levels compared"), default=0)
    found = models.PositiveIntegerField(_("found"), default=0)
    played = models.PositiveIntegerField(_("mended by a play"), default=0)
    canceled = models.PositiveIntegerField(_("canceled at Stripe"), default=0)
    #: Cases that this run has opened.
    reported = models.PositiveIntegerField(_("new for a person"), default=0)
    #: Cases that this run has closed, because what they told of is gone.
    withdrawn = models.PositiveIntegerField(_("gone again"), default=0)
    #: Orders that heard of Stripe's news here before their own next look.
    knocked = models.PositiveIntegerField(_("knocked"), default=0)
    #: PaymentIntents of carts that nobody finished, canceled after a day.
    swept = models.PositiveIntegerField(_("left open and canceled"), default=0)
    #: Why Stripe's side could not be compared; empty when it was.
    trouble = models.CharField(_("trouble"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")
        ordering = ["-id"]
        indexes = [models.Index(fields=["kind", "-id"], name="run_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"


class Finding(models.Model):
    """One thing that did not agree in one run, and what was done about it."""

    class Did(models.TextChoices):
        PLAYED = "played", _("played again")
        CANCELED = "canceled", _("canceled at Stripe")
        REPORTED = "reported", _("a person was called")
        KNOWN = "known", _("known already")
        SETTLED = "settled", _("closed by a person before")
        LEFT = "left", _("left for the next run")

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="findings", verbose_name=_("reconciliation"))
    code = models.CharField(_("kind"), max_length=64)
    about = models.CharField(_("about"), max_length=255)
    order = models.ForeignKey(
        "order.Order", on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("order")
    )
    case = models.ForeignKey(
        "notify.Case", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("case")
    )
    #: The two numbers that differ, where it is about numbers: yen, or pieces of stock.
    ours = models.BigIntegerField(_("ours"), null=True, blank=True)
    theirs = models.BigIntegerField(_("theirs"), null=True, blank=True)
    detail = models.TextField(_("detail"), blank=True)
    did = models.CharField(_("what was done"), max_length=16, choices=Did.choices)
    at = models.DateTimeField(_("at"), auto_now_add=True)

    class Meta:
        verbose_name = _("found drift")
        verbose_name_plural = _("found drifts")
        ordering = ["-id"]
        indexes = [models.Index(fields=["code", "about", "-id"], name="finding_by_thing")]

    def __str__(self) -> str:
        return f"{self.code} about {self.about}"
