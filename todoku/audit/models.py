"""The audit log: who did what, when, from where. Rows are only ever added, and each holds the seal of the one before.

The database numbers and seals a row in the moment in which the act itself is committed (the migration has the
trigger), so an act without its row cannot be, and nobody waits for the log while an act is still under way.
"""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Entry(models.Model):
    """One act: a line of the log that nobody can change or take out."""

    at = models.DateTimeField(_("at"), default=timezone.now)
    #: The person's row; null for somebody whom we do not know. The name stays even if the row went.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        related_name="+",
        verbose_name=_("user"),
    )
    who = models.CharField(_("who"), max_length=150)
    #: The role that the person had then.
    role = models.CharField(_("role"), max_length=32, blank=True)
    ip = models.CharField(_("IP address"), max_length=45, blank=True)
    #: A key of the console's list of acts.
    act = models.CharField(_("act"), max_length=32)
    #: What was acted on: app.model, its row, and what people call it.
    kind = models.CharField(_("kind of thing"), max_length=64, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    named = models.CharField(_("thing"), max_length=200, blank=True)
    #: The numbers of the orders that were acted on, shown or exported.
    orders = ArrayField(models.CharField(max_length=24), verbose_name=_("orders"), default=list, blank=True)
    what = models.TextField(_("what"), blank=True)
    #: What it was and what it became: JSON, as it was when it was sealed.
    before = models.TextField(blank=True)
    after = models.TextField(blank=True)
    reason = models.TextField(_("reason"), blank=True)
    #: The three that the database writes: the row's place in the chain, the seal before it, and its own.
    number = models.BigIntegerField(_("number"), null=True, unique=True, editable=False)
    previous = models.CharField(max_length=64, blank=True, editable=False)
    seal = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        verbose_name = _("act")
        verbose_name_plural = _("acts")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("export_entry", "Export the audit log")]
        indexes = [
            models.Index(fields=["kind", "object_id", "-id"], name="audit_by_thing"),
            models.Index(fields=["user", "-id"], name="audit_by_user"),
            models.Index(fields=["act", "-id"], name="audit_by_act"),
            models.Index(fields=["at"], name="audit_by_time"),
            GinIndex(fields=["orders"], name="audit_by_order"),
        ]

    def __str__(self) -> str:
        return f"{self.who}: {self.what or self.act}"

    @property
    def change(self) -> list[tuple[str, Any, Any]]:
        """What changed: each fact's name, what it was, and what it became."""
        before, after = (json.loads(side) if side else {} for side in (self.before, self.after))
        return [(name, before.get(name, ""), after.get(name, "")) for name in dict.fromkeys([*before, *after])]
