"""What all processes know together of the way to the payment provider."""

from __future__ import annotations

from django.db import models


class Gate(models.Model):
    """The way to the provider, one row for all processes on all hosts: how far it is booked, and whether it is open.

    The table is unlogged: it costs no write to the disk, and a database that crashes forgets it, which is right,
    for all that it says is a few seconds old.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    #: Up to which moment (seconds since 1970, the database's clock) each endpoint, and "all", is booked.
    booked = models.JSONField(default=dict)
    #: Calls in a row, of whichever process, that got no answer.
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True)
    #: Since when new checkouts are refused; null while the gate is open.
    shut_at = models.DateTimeField(null=True)
    #: Why it is shut: "away" (no answers) or "key" (our key is not accepted).
    reason = models.CharField(max_length=16, blank=True)
    #: When somebody was last let through to see whether it is over.
    probed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_gate")]

    def __str__(self) -> str:
        return f"the gate, shut since {self.shut_at}: {self.reason}" if self.shut_at else "the gate, open"
