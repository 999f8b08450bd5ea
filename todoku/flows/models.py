"""The ledger: which step of which order has happened, and what came of it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Done(models.Model):
    """One finished step of one order: written in the same transaction as the step's effect.

    ``attempt`` is 0 for a step that happens once in an order's life, the number of the payment attempt for a step
    that happens once per attempt (stock is taken again for the second card), and the refund's number for a
    refund's. Unique on all three: a step that is played again answers from here.
    """

    order = models.ForeignKey("order.Order", on_delete=models.PROTECT, related_name="ledger")
    step = models.CharField(_("step"), max_length=64)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)
    answer = models.JSONField(_("answer"))
    #: The name of the execution that did it.
    execution = models.CharField(_("execution"), max_length=80)
    began_at = models.DateTimeField(_("began"))
    ended_at = models.DateTimeField(_("ended"))

    class Meta:
        verbose_name = _("finished step")
        verbose_name_plural = _("finished steps")
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "step", "attempt"], name="a_step_happens_once")
        ]

    def __str__(self) -> str:
        return f"{self.step} of order {self.order_id}"
