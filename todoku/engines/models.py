"""Executions: each play of a flow for an order."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Definition(models.Model):
    """A flow's text as it was when an execution started; an execution keeps the one it started with."""

    flow = models.CharField(_("flow"), max_length=64)
    digest = models.CharField(_("SHA-256"), max_length=64)
    text = models.TextField(_("definition"))
    first_used_at = models.DateTimeField(_("first used"), auto_now_add=True)

    class Meta:
        verbose_name = _("flow definition")
        verbose_name_plural = _("flow definitions")
        constraints = [models.UniqueConstraint(fields=["flow", "digest"], name="one_row_per_definition")]

    def __str__(self) -> str:
        return f"{self.flow} {self.digest[:12]}"


class State(models.TextChoices):
    """An execution's status, in AWS Step Functions' words."""

    RUNNING = "RUNNING", _("running")
    SUCCEEDED = "SUCCEEDED", _("succeeded")
    FAILED = "FAILED", _("failed")


class Execution(models.Model):
    """One play of one flow for one order."""

    order = models.ForeignKey(
        "order.Order", on_delete=models.PROTECT, related_name="executions", verbose_name=_("order")
    )
    flow = models.CharField(_("flow"), max_length=64)
    #: The play's number within (order, flow), from 1.
    number = models.PositiveIntegerField(_("play"))
    definition = models.ForeignKey(Definition, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(_("status"), max_length=16, choices=State.choices, default=State.RUNNING)
    #: The state a scheduled retry goes on from, with its data and its retriers' counts; empty: from the top.
    position = models.CharField(_("position"), max_length=80, blank=True)
    data = models.JSONField(default=dict)
    retries = models.JSONField(default=dict)
    #: Where it runs, on an engine that is not ours; empty until it has been sent there.
    arn = models.CharField(_("address at AWS"), max_length=512, blank=True, db_default="", default="")
    #: Who or what asked for this play: press, webhook, return, poller, resume.
    knock = models.CharField(_("asked by"), max_length=32)
    who = models.CharField(_("operator"), max_length=150, blank=True)
    #: Set by a knock that came while this execution was running: it is played once more at its end.
    knocked_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    stopped_at = models.DateTimeField(_("stopped"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=256, blank=True)
    cause = models.TextField(_("cause"), blank=True)

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "flow", "number"], name="plays_are_numbered"),
            models.UniqueConstraint(
                fields=["order", "flow"], condition=models.Q(status="RUNNING"), name="one_play_at_a_time"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "-id"], name="execution_by_status"),
            models.Index(fields=["arn"], condition=models.Q(status="RUNNING"), name="execution_by_arn"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The execution's name, the same on every engine: flow, order and play number."""
        return f"{self.flow}-{self.order_id}-{self.number}"


class Mishap(models.Model):
    """A try of a state that failed: shown in the execution's timeline beside the ledger's finished steps."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="mishaps")
    state = models.CharField(_("state"), max_length=80)
    error = models.CharField(_("error"), max_length=256)
    cause = models.TextField(_("cause"), blank=True)
    at = models.DateTimeField(_("at"), auto_now_add=True)
    #: When it will be tried again; null when it was the last try.
    again_at = models.DateTimeField(_("again at"), null=True, blank=True)

    class Meta:
        verbose_name = _("failed try")
        verbose_name_plural = _("failed tries")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.state}: {self.error}"
