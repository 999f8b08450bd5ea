"""Time passes: for the rehearsal Stripe by its own clock, for the shop by moving all that it has written down back."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from rehearsal.api import Rehearsal
from todoku.gateways import breaker

_WRITTEN = {
    "order_order": ("placed_at", "pay_by", "next_look_at"),
    "payment_attempt": ("created_at", "asked_at"),
    "payment_intent": ("created_at", "changed_at"),
    "payment_voucher": ("expires_at", "issued_at"),
    "notify_case": ("opened_at", "failed_at", "ring_at"),
    "ringing_channel": ("rest_until", "failing_since"),
    "ringing_ring": ("made_at", "sent_at"),
    "engines_execution": ("started_at", "stopped_at"),
    "gateways_gate": ("failed_at", "shut_at", "probed_at"),
    "procrastinate_jobs": ("scheduled_at",),
}


def let_pass(rehearsal: Rehearsal, time: timedelta) -> None:
    """Let so much time pass for everybody."""
    rehearsal.advance(time.total_seconds())
    with connection.cursor() as cursor:
        for table, columns in _WRITTEN.items():
            moved = ", ".join(f"{column} = {column} - %(time)s" for column in columns)
            cursor.execute(f"UPDATE {table} SET {moved}", {"time": time})
    breaker.forget()
