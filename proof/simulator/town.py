"""The town of one seed: the shop's processes, its queue and chores, Stripe's postmen, and what is due next."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import procrastinate
from django.conf import settings
from django.db import DatabaseError, connection
from django.test import RequestFactory
from procrastinate import sql
from procrastinate.contrib.django import app

from proof.simulator.post_office import PostOffice
from proof.simulator.world import Crash, Process, World
from rehearsal.deliveries import Sent
from todoku.bad_news import Unavailable
from todoku.engines import queue
from todoku.engines.management.commands import worker as worker_command
from todoku.order.models import Order
from todoku.webhooks import views

_REQUESTS = RequestFactory()
#: What the town asks the database when nobody can go on: when is what due?
_DUES = """
    SELECT (SELECT extract(epoch FROM min(scheduled_at)) FROM procrastinate_jobs
             WHERE status = 'todo' AND scheduled_at > now()),
           (SELECT count(*) FROM procrastinate_jobs
             WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= now())),
           (SELECT extract(epoch FROM min(next_look_at)) FROM order_order),
           (SELECT extract(epoch FROM least(
                (SELECT min(next_try_at) FROM notify_mail), (SELECT min(remind_at) FROM payment_voucher)))),
           (SELECT extract(epoch FROM least(
                (SELECT min(ring_at) FROM notify_case WHERE closed_at IS NULL),
                (SELECT min(greatest(ring.made_at, channel.rest_until)) FROM ringing_ring AS ring
                   JOIN ringing_channel AS channel ON channel.id = ring.channel_id
                  WHERE ring.sent_at IS NULL AND ring.dropped_at IS NULL)))),
           (SELECT COALESCE(max(failures), 0) FROM notify_case WHERE closed_at IS NULL AND execution_id IS NOT NULL),
           (SELECT count(*) FROM engines_execution WHERE status = 'RUNNING')
"""


class Town:
    """The shop as it runs in this seed."""

    def __init__(self, world: World, skus: list[str]) -> None:
        self.world = world
        self.skus = skus
        self.office = PostOffice()
        world.office = self.office
        self.webs: list[Process] = []
        self.workers: list[Process] = []
        self.orders_pressed = 0
        self.konbini_issued = 0
        self.last_work = world.now
        self.dues = SimpleNamespace(job=None, jobs=0, look=None, post=None, ring=None, failures=0, running=0)
        self._numbers = 0
        self._postmen = 0
        #: A chore that comes to nothing is not done every few seconds of a day that nobody lives through.
        self._chores = {"look": [0.0, 0.0], "post": [0.0, 0.0], "ring": [0.0, 0.0]}
        self.closed_until = 0.0
        self.open_web(), self.open_web()
        for _ in range(world.lot.workers):
            self.open_worker()

    # Processes.

    def open_web(self) -> None:
        """Start a web process."""
        self._numbers += 1
        self.webs.append(Process(f"web {self._numbers}", "web"))

    def open_worker(self) -> None:
        """Start a worker; it registers with the queue."""
        self._numbers += 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT procrastinate_register_worker_v1()")
            number = int(cursor.fetchone()[0])
        self.workers.append(Process(f"worker {self._numbers}", "worker", number))
        self.world.jobs += 1

    def a_web_process(self) -> Process | None:
        """A web process that is there; one that died is replaced by its watchman at once."""
        world = self.world
        if world.now < self.closed_until:
            return None
        self.webs = [web for web in self.webs if web.alive]
        while len(self.webs) < 2:
            self.open_web()
        awake = [web for web in self.webs if web.asleep_until <= world.now]
        return world.chance.choice(awake) if awake else None

    def tidy(self) -> None:
        """See which workers have died: they are started again, and their jobs are taken over in time."""
        world = self.world
        for dead in [one for one in self.workers if not one.alive]:
            self.workers.remove(dead)
            back = world.now + world.chance.choice((1.0, 5.0, 45.0))
            world.at(max(back, self.closed_until), self.open_worker)
            self.rescue_later()

    def rescue_later(self) -> None:
        """Have the jobs of the dead taken over, as the worker command does every few seconds."""
        wait = settings.WORKER_DEAD_AFTER * (1 + self.world.chance.random() / 4)
        self.world.at(max(self.world.now + wait, self.closed_until + 1), self._rescue_now)

    def a_worker(self, *, with_room: bool = False) -> Process | None:
        """A worker that is there, and has a hand free if asked for."""
        world = self.world
        there = [
            one
            for one in self.workers
            if one.alive and one.asleep_until <= world.now and (not with_room or one.jobs < world.lot.slots)
        ]
        return world.chance.choice(there) if there else None

    def close(self, seconds: float) -> None:
        """The whole shop is gone for a while."""
        world = self.world
        world.counts["shop closed"] += 1
        self.closed_until = world.now + seconds
        for process in [*self.webs, *self.workers]:
            if process.alive:
                world.kill(process)
        self.tidy()

    # The queue.

    def hire(self) -> None:
        """Let workers look for jobs, if there may be any."""
        while self.world.jobs:
            process = self.a_worker(with_room=True)
            if process is None:
                return
            self.world.jobs -= 1
            process.jobs += 1
            actor = self.world.spawn(process.name, lambda process=process: self._work(process), process)
            actor.on_end.append(lambda process=process: self._done(process))

    def _done(self, process: Process) -> None:
        process.jobs -= 1
        self.last_work = self.world.now

    def _work(self, process: Process) -> None:
        """What procrastinate's worker does, with procrastinate's own statements."""
        world = self.world
        while True:
            world.passed("before a job is taken")
            with connection.cursor() as cursor:
                cursor.execute(sql.queries["fetch_job"], {"queues": None, "worker_id": process.number})
                row = cursor.fetchone()
            if row is None or row[0] is None:
                # Nothing to do for anybody, until somebody says otherwise.
                world.jobs = 0
                return
            number, task_name, args, attempts = row[0], row[2], row[6], row[9]
            world.counts[f"jobs: {task_name.partition('.')[2]}"] += 1
            world.passed(f"after {task_name} is taken")
            task = app.tasks[task_name]
            try:
                task.func(**(json.loads(args) if isinstance(args, str) else args))
            except Exception as error:
                self._put_back(number, task, attempts, error)
            else:
                world.passed(f"before {task_name} is put away")
                self._finish(number)
            world.passed("after a job is put away")

    def _put_back(self, number: int, task: Any, attempts: int, error: Exception) -> None:
        world = self.world
        world.note(f"job failed: {type(error).__name__}")
        world.counts["jobs tried again"] += 1
        if not isinstance(error, DatabaseError | Unavailable):
            world.broke(f"a job broke: {type(error).__name__}: {error}")
        strategy = task.retry_strategy
        if strategy is None:
            # A periodic job: the next round comes by itself.
            self._finish(number, "failed")
            return
        decision = strategy.get_retry_decision(
            exception=error, job=SimpleNamespace(id=number, attempts=attempts, task_name=task.name)
        )
        again = {"job_id": number, "retry_at": decision.retry_at, "new_priority": None, "new_queue_name": None}
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql.queries["retry_job"], {**again, "new_lock": None})
        except DatabaseError:
            world.note("somebody else has put the job away")

    def _finish(self, number: int, status: str = "succeeded") -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    sql.queries["finish_job"], {"job_id": number, "status": status, "delete_job": status == "succeeded"}
                )
        except DatabaseError:
            self.world.note("somebody else has put the job away")
        # Whoever has put a job away asks for the next one: no other worker need be sent for it.
        self.world.dirty = True

    def _rescue_now(self) -> None:
        process = self.a_worker()
        if process is None:
            self.world.at(max(self.world.now + 5.0, self.closed_until + 1), self._rescue_now)
            return
        self.world.spawn("rescue", self._rescue, process)

    def _rescue(self) -> None:
        live = [one.number for one in self.workers if one.alive and one.asleep_until <= self.world.now]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT procrastinate_update_heartbeat_v1(id) FROM procrastinate_workers WHERE id = ANY(%s)", [live]
            )
        self.world.passed("before orphans are taken over")
        try:
            orphans = queue.take_over(settings.WORKER_DEAD_AFTER)
        except DatabaseError as error:
            self.world.note(f"orphans were not taken over: {type(error).__name__}")
            self.rescue_later()
            return
        self.world.counts["jobs of dead workers"] += len(orphans)
        self.world.jobs += len(orphans)

    # Chores.

    def ask_dues(self) -> None:
        """Ask the database what is due when, if it has changed."""
        world = self.world
        assert connection.connection is not None
        row = connection.connection.execute(_DUES).fetchone()
        assert row is not None
        job, jobs, look, post, ring, failures, running = row
        self.dues = SimpleNamespace(
            job=float(job) if job is not None else None,
            jobs=jobs,
            look=float(look) if look is not None else None,
            post=float(post) if post is not None else None,
            ring=float(ring) if ring is not None else None,
            failures=failures,
            running=running,
        )
        world.dirty = False
        # A real worker asks every second; here one asks whenever there may be something.
        world.jobs += jobs

    def chore_due(self, name: str) -> float | None:
        """When a chore is done next: soon after it is due, and ever more seldom if it comes to nothing."""
        due = getattr(self.dues, name)
        if due is None:
            return None
        last, pause = self._chores[name]
        pauses = {"look": settings.LOOK_EVERY, "post": worker_command.POST_EVERY, "ring": worker_command.RING_EVERY}
        every = pauses[name]
        return float(max(due + every * 0.4 + max(0.0, -self.world.lot.skew), last + max(every, pause)))

    def do_chores(self) -> None:
        """Do the chores that are due, in a worker."""
        chores = {
            "look": worker_command._look_once, "post": worker_command._post_once, "ring": worker_command._ring_once
        }  # fmt: skip
        for name, chore in chores.items():
            due = self.chore_due(name)
            if due is None or due > self.world.now:
                continue
            last, pause = self._chores[name]
            idle = self.world.now - last < 2 * max(pause, 10.0)
            self._chores[name] = [self.world.now, min(3600.0, 2 * max(pause, 3.0)) if idle else 0.0]
            process = self.a_worker()
            if process is not None:
                self.world.counts[f"chores: {name}"] += 1
                self.world.spawn(f"{process.name}'s chore {name}", lambda chore=chore: self._chore(chore), process)

    def _chore(self, chore: Any) -> None:
        try:
            chore()
        except (DatabaseError, Unavailable, procrastinate.exceptions.ProcrastinateException) as error:
            self.world.note(f"chore failed: {type(error).__name__}")
        if chore is worker_command._look_once:
            # A reminder comes at its own time of the day.
            self.last_work = self.world.now

    # Webhooks.

    def deliver(self) -> None:
        """Send out a postman for what Stripe has to deliver now."""
        due = self.world.rehearsal.deliveries._due
        while due and due[0][0] <= self.world.now and self._postmen < 3:
            self._postmen += 1
            actor = self.world.spawn("postman", self._carry)
            actor.on_end.append(self._returned)
            if self._postmen >= len(due):
                return

    def _carry(self) -> None:
        while self.world.rehearsal.deliveries.deliver_next():
            self.world.passed("after a delivery", may_die=False)

    def _returned(self) -> None:
        self._postmen -= 1

    def receive(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        """The shop's webhook door, as the rehearsal's sender finds it."""
        world = self.world
        process = self.a_web_process()
        if process is None:
            world.counts["webhooks: nobody there"] += 1
            return Sent(None, "connection refused")
        request = _REQUESTS.post(
            "/webhooks/stripe/",
            body,
            content_type="application/json",
            headers={"Stripe-Signature": headers["Stripe-Signature"]},
        )
        try:
            with world.within(process):
                status = views.stripe(request).status_code
        except Crash:
            if world.over:
                raise
            world.counts["webhooks: died in the door"] += 1
            return Sent(None, "connection reset")
        world.counts[f"webhooks answered {status}"] += 1
        if status not in (200, 503):
            world.broke(f"the webhook door answered Stripe's own event with {status}")
        return Sent(status)

    # What pages say.

    def page_said(self, order: Order, state: str) -> None:
        """I15: nobody reads "not paid" of a payment that was made or may still be."""
        intent = self.world.rehearsal.find("payment_intents", order.intent.stripe_id or "") or {}
        if state in ("not_paid", "canceled") and intent.get("status") in ("succeeded", "processing"):
            self.world.broke(f"I15 the page said {state} of a payment that Stripe calls {intent['status']}")
        if state == "thanks" and intent.get("status") != "succeeded":
            self.world.broke(f"I15 the page said thanks for a payment that Stripe calls {intent.get('status')}")
