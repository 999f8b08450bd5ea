"""The hands that keep the shop going: they take jobs from the queue, carry the post, and pick up what a crash drops.

They do what workers do, one thing after the other, so that a run is the same every time. The queue's own functions
in the database are used, its locks among them; waits that the flow has scheduled are over at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connection, connections, transaction
from django.test import Client
from procrastinate.contrib.django import app

from proof.matrix.traps import Killed, OwnFault, Traps
from rehearsal.api import Rehearsal
from rehearsal.deliveries import Sent
from todoku.bad_news import Unavailable
from todoku.engines import embedded, jobs
from todoku.engines.poller import look_again
from todoku.notify import outbox
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.ringing.models import Channel, Ring
from todoku.ringing.ring import ring_new

assert jobs, "the queue's tasks are known by their names"

#: More turns than this, and a run does not come to rest.
MOST_TURNS = 150


class NoRest(Exception):
    """The machine has not come to rest."""


class Post:
    """Carries Stripe's events to the shop's door; on the way they can be lost, cut or answered by others."""

    def __init__(self, traps: Traps) -> None:
        self._traps = traps
        self._client = Client(raise_request_exception=False)
        #: The status of each answer that Stripe was given, or None for none.
        self.answers: list[int | None] = []

    def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        with self._traps.at_door() as what:
            if what == "lost":
                return Sent(None, "timed out")
            if what == "429":
                return Sent(429)
            if what == "cut":
                body = body[: len(body) // 2]
            try:
                answer = self._client.post(
                    "/webhooks/stripe/",
                    body,
                    content_type="application/json",
                    HTTP_STRIPE_SIGNATURE=headers["Stripe-Signature"],
                )
            except Killed:
                self.answers.append(None)
                return Sent(None, "connection reset by peer")
            finally:
                connections.close_all()
            self.answers.append(answer.status_code)
            return Sent(None, "timed out") if what == "answer lost" else Sent(answer.status_code)


class Hands:
    """Workers, post and regular looks."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._worker = 0
        self._turns = 0

    def begin(self) -> None:
        """Begin a new run with an empty queue."""
        self._turns = 0
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs")
            cursor.execute("SELECT worker_id FROM procrastinate_register_worker_v1()")
            [self._worker] = cursor.fetchone()

    def carry(self) -> None:
        """Carry the post until everything has arrived; Stripe's pauses between two tries are over at once."""
        for _ in range(12):
            self._rehearsal.deliveries.deliver_due()
            due = self._rehearsal.deliveries.next_due()
            if due is None:
                return
            self._rehearsal.advance(max(0.0, due - self._rehearsal.clock.now()) + 0.001)
        raise NoRest("an event was not taken after twelve tries")

    def work(self, *queues: str) -> None:
        """Do all jobs of these queues, and those that they make; of all queues when none is named."""
        while (job := self._firmly(lambda: self._take(list(queues) or None))) is not None:
            self._turns += 1
            if self._turns > MOST_TURNS:
                raise NoRest(f"{MOST_TURNS} jobs and no end")
            number, task, args = job
            try:
                app.tasks[task].func(**args)
            except Killed:
                # Its job stays as it was: another worker finds it once this one is taken for dead.
                connections.close_all()
                self._firmly(self._rescue)
            except (Unavailable, OwnFault, DatabaseError, InterfaceError):
                connections.close_all()
                self._firmly(lambda number=number: self._again(number))  # type: ignore[misc]
            else:
                self._firmly(lambda number=number: self._done(number))  # type: ignore[misc]

    def look_round(self) -> None:
        """Do once what workers do regularly: the looks, the outbox, the bell for findings, the search for lost jobs."""
        Order.objects.filter(next_look_at__isnull=False).update(next_look_at="2020-01-01T00:00:00Z")
        # The bell waits for what may heal, lets a channel rest, and tells of one cause once a minute.
        Case.objects.filter(ring_at__isnull=False).update(ring_at="2020-01-01T00:00:00Z")
        Channel.objects.update(rest_until=None, in_hand_until=None)
        Ring.objects.filter(sent_at__isnull=False).update(sent_at="2020-01-01T00:00:00Z")
        for chore in (look_again, embedded.restart_lost, outbox.send_due, ring_new):
            try:
                chore()
            except (DatabaseError, Unavailable, OwnFault, Killed):
                connections.close_all()

    def rest(self) -> None:
        """Let everything happen that happens by itself."""
        for _ in range(3):
            self.carry()
            self.work()
            self.look_round()
            self.work()

    @staticmethod
    def _firmly(what: Callable[[], Any]) -> Any:
        """Ask the queue until the database is there."""
        for _ in range(10):
            try:
                with transaction.atomic():
                    return what()
            except (DatabaseError, InterfaceError):
                connections.close_all()
        raise NoRest("the database does not come back")

    def _take(self, queues: list[str] | None) -> tuple[int, str, dict[str, Any]] | None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE scheduled_at IS NOT NULL")
            cursor.execute(
                "SELECT id, task_name, args::text FROM procrastinate_fetch_job_v2(%s::varchar[], %s)",
                [queues, self._worker],
            )
            row = cursor.fetchone()
        if row is None or row[0] is None:
            return None
        return int(row[0]), str(row[1]), dict(json.loads(row[2]))

    @staticmethod
    def _done(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT procrastinate_finish_job_v1(%s, 'succeeded', true)", [number])

    @staticmethod
    def _again(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)", [number])

    @staticmethod
    def _rescue() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM procrastinate_jobs WHERE status = 'doing'")
            for [number] in cursor.fetchall():
                cursor.execute("SELECT procrastinate_retry_job_v2(%s, now(), NULL, NULL, NULL)", [number])

