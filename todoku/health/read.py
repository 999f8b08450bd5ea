"""How the shop is doing, in numbers: asked of the database at the moment, so that every process says the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from todoku.gateways import breaker

#: One question for all that is one number. Every part of it reads an index, or a table that is small.
_NUMBERS = """
    SELECT
      (SELECT count(*) FROM notify_case WHERE closed_at IS NULL),
      (SELECT count(*) FROM notify_case WHERE closed_at IS NULL AND rung_at IS NULL),
      (SELECT count(*) FROM order_order WHERE status IN ('paid', 'recorded')),
      (SELECT extract(epoch FROM now() - min(placed_at)) FROM order_order
        WHERE status IN ('placed', 'paid', 'recorded')),
      (SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'
          AND (scheduled_at IS NULL OR scheduled_at <= now())),
      (SELECT extract(epoch FROM now() - min(event.at)) FROM procrastinate_jobs AS job
         JOIN procrastinate_events AS event ON event.job_id = job.id AND event.type = 'deferred'
        WHERE job.status = 'todo' AND (job.scheduled_at IS NULL OR job.scheduled_at <= now())),
      (SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'),
      (SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '60 seconds'),
      (SELECT count(*) FROM notify_mail WHERE next_try_at IS NOT NULL),
      (SELECT count(*) FROM ringing_channel WHERE "on" AND failing_since IS NOT NULL),
      (SELECT extract(epoch FROM now() - max(ended_at)) FROM
          (SELECT ended_at FROM reconciliation_run WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT 1) AS last),
      (SELECT found FROM reconciliation_run WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT 1)
"""
_NAMES = (
    ("todoku_open_cases", "Cases that wait for a person"),
    ("todoku_cases_nobody_was_told_of", "Open cases for which the bell has not got through to anybody yet"),
    ("todoku_orders_paid_unfinished", "Orders that are paid, and not complete"),
    ("todoku_oldest_unsettled_order_seconds", "Age of the oldest order that is neither complete nor ended"),
    ("todoku_queue_jobs_waiting", "Jobs that could be done now, and that nobody does yet"),
    ("todoku_queue_oldest_job_seconds", "Age of the oldest of them"),
    ("todoku_queue_jobs_running", "Jobs under way"),
    ("todoku_workers_alive", "Workers that have shown themselves within the last minute"),
    ("todoku_mails_waiting", "Mails in the outbox"),
    ("todoku_bell_channels_failing", "Channels of the bell that do not get through"),
    ("todoku_reconciliation_age_seconds", "How long ago the last reconciliation ended"),
    ("todoku_reconciliation_findings", "What the last reconciliation found"),
)
#: Orders placed since a moment, by state; and how long it took from the press to the end.
_TODAY = "SELECT status, count(*) FROM order_order WHERE placed_at >= %s GROUP BY status"
_TOOK = """
    SELECT count(*), percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP
           (ORDER BY extract(epoch FROM completed_at - placed_at))
      FROM order_order WHERE placed_at >= %s AND completed_at IS NOT NULL
"""


class Shop:
    """Prometheus asks it for all numbers at once."""

    def collect(self) -> Iterator[Metric]:
        """Ask the database four times."""
        with connection.cursor() as cursor:
            cursor.execute(_NUMBERS)
            numbers: tuple[Any, ...] = cursor.fetchone()
            cursor.execute(_TODAY, [_midnight()])
            today = cursor.fetchall()
            cursor.execute(_TOOK, [timezone.now() - timedelta(hours=1)])
            took: tuple[Any, ...] = cursor.fetchone()
        for (name, says), number in zip(_NAMES, numbers, strict=True):
            if number is not None:
                yield GaugeMetricFamily(name, says, value=float(number))
        states = GaugeMetricFamily("todoku_orders_today", "Orders placed since midnight (JST)", labels=["state"])
        for state, count in today:
            states.add_metric([state], float(count))
        yield states
        quantiles = GaugeMetricFamily(
            "todoku_press_to_complete_seconds",
            "From the press to the mail's leaving, for orders placed within the last hour",
            labels=["quantile"],
        )
        for quantile, seconds in zip(("0.5", "0.95", "0.99"), took[1] or (), strict=False):
            quantiles.add_metric([quantile], float(seconds))
        yield quantiles
        yield GaugeMetricFamily("todoku_orders_completed_last_hour", "Of these, so many", value=float(took[0]))
        yield GaugeMetricFamily(
            "todoku_stripe_gate_shut", "1 while Stripe does not answer and new checkouts are refused",
            value=float(breaker.is_shut()),
        )  # fmt: skip


def _midnight() -> Any:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
