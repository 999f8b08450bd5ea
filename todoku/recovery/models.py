"""Many orders resumed one after another, when what they depend on is back: the run, and a row for each case."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Recovery(models.Model):
    """One operator's wish to have many cases resumed, and how fast."""

    who = models.CharField(_("who"), max_length=150)
    chosen = models.PositiveIntegerField(_("orders"))
    #: How many are resumed in a second, and how many may be under way at once.
    per_second = models.PositiveSmallIntegerField()
    at_once = models.PositiveSmallIntegerField()
    #: True until it has ended: one runs at a time, so that the pace holds.
    under_way = models.BooleanField(default=True)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)
    stopped_by = models.CharField(_("stopped by"), max_length=150, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)

    class Meta:
        verbose_name = _("resuming of many")
        verbose_name_plural = _("resumings of many")
        ordering = ["-id"]
        default_permissions = ("add", "view")
        constraints = [
            models.UniqueConstraint(
                fields=["under_way"], condition=models.Q(under_way=True), name="one_recovery_at_a_time"
            )
        ]

    def __str__(self) -> str:
        return f"recovery {self.pk} of {self.chosen} orders"


class Picked(models.Model):
    """One case of a recovery: resumed once, or skipped because somebody else was quicker."""

    class State(models.TextChoices):
        WAITING = "waiting", _("to come")
        RUNNING = "running", _("under way")
        DONE = "done", _("went through")
        FAILED = "failed", _("stopped again")
        SKIPPED = "skipped", _("skipped")

    class Skipped(models.TextChoices):
        CLOSED = "closed", _("the case was closed meanwhile")
        PLAYED = "played", _("somebody else has resumed it meanwhile")
        STOPPED = "stopped", _("the resuming was stopped before its turn")

    recovery = models.ForeignKey(Recovery, on_delete=models.CASCADE, related_name="picked")
    case = models.ForeignKey("notify.Case", on_delete=models.PROTECT, related_name="+")
    #: The play that had failed when the case was chosen, and the one that goes on from there.
    failed_play = models.ForeignKey("engines.Execution", on_delete=models.PROTECT, related_name="+")
    play = models.ForeignKey("engines.Execution", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.WAITING)
    why = models.CharField(_("why"), max_length=8, choices=Skipped.choices, blank=True)
    changed_at = models.DateTimeField(_("at"), auto_now=True)

    class Meta:
        verbose_name = _("resumed case")
        verbose_name_plural = _("resumed cases")
        ordering = ["id"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["recovery", "case"], name="a_case_once_in_a_recovery")]
        indexes = [models.Index(fields=["recovery", "state", "id"], name="picked_by_state")]

    def __str__(self) -> str:
        return f"case {self.case_id}: {self.state}"
