"""``todoku worker``: plays the orders' flows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import procrastinate
import psycopg
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, connections
from procrastinate.contrib.django import app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.periodic import PeriodicDeferrer
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.signals import on_stop
from procrastinate.worker import Worker

from todoku.bad_news import Unavailable
from todoku.engines import engine, queue
from todoku.engines.poller import look_again
from todoku.engines.watch import watch
from todoku.gateways import breaker
from todoku.notify import outbox, reminders
from todoku.ringing.ring import ring_new

log = logging.getLogger("todoku.worker")

#: How often a worker looks for mails to send (seconds).
POST_EVERY = 3.0
#: How often a worker looks whether the bell is to be rung (seconds); apart, so that no slow mail holds it up.
RING_EVERY = 2.0
#: After how long a worker whose database has gone looks whether it is back (seconds).
AGAIN_AFTER = 1.0


class Command(BaseCommand):
    """Play the orders' flows until told to stop; any number of workers may run, on any number of hosts."""

    help = "Play the orders' flows. Any number of workers may run, on any number of hosts."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """How many plays at once, and whether to stop when there is nothing left to do."""
        parser.add_argument("--concurrency", type=int, default=settings.WORKER_CONCURRENCY)
        parser.add_argument("--until-idle", action="store_true", help="stop when the queue is empty")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the worker."""
        asyncio.run(work(concurrency=options["concurrency"], wait=not options["until_idle"]))


async def work(*, concurrency: int, wait: bool = True, signals: bool = True) -> None:
    """Fetch and play until told to stop; look after other workers' orphaned jobs meanwhile.

    The queue's own worker ends when its database goes. This one goes on as soon as the database is back: whoever
    watches over processes might take its end for a wish, or for one end too many.
    """
    loop = asyncio.get_running_loop()
    # A play mostly waits for somebody (Stripe, the mail server): a thread for each, a connection only in need.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=concurrency + 8, thread_name_prefix="play"))
    told = asyncio.Event()
    with on_stop(told.set) if signals else contextlib.nullcontext():
        while True:
            try:
                await _work_until(told, concurrency=concurrency, wait=wait)
            except (procrastinate.exceptions.ConnectorException, psycopg.Error, DatabaseError) as error:
                if not wait:
                    raise
                log.warning("the database is away; this worker goes on when it is back (%s)", type(error).__name__)
            if not wait or told.is_set():
                return
            # The thread in which the queue's periodic jobs are enqueued keeps a connection, and it is a dead one now.
            await sync_to_async(connections.close_all)()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), AGAIN_AFTER)
            if told.is_set():
                return


async def _work_until(told: asyncio.Event, *, concurrency: int, wait: bool) -> None:
    """Work until told to stop, until nothing is left to do (without ``wait``), or until the database is gone."""
    dead_after = settings.WORKER_DEAD_AFTER
    # One connection listens; the others are for fetching and putting away, and come when there is something to do.
    connector = PsycopgConnector(kwargs=connector_params(), min_size=1, max_size=4)
    worker_app = app.with_connector(connector)
    worker_app.periodic_defaults = app.periodic_defaults  # which the copy leaves behind
    async with worker_app.open_async():
        worker = Worker(
            worker_app,
            concurrency=concurrency,
            wait=wait,
            fetch_job_polling_interval=1.0,
            update_heartbeat_interval=dead_after / 4,
            stalled_worker_timeout=dead_after,
            delete_jobs="successful",
            shutdown_graceful_timeout=8,
            install_signal_handlers=False,
        )
        if not wait:
            # The worker's own task for it is cut off as soon as the queue is empty: what comes last would never come.
            due = PeriodicDeferrer(registry=worker_app.periodic_registry, **worker_app.periodic_defaults)
            # The thread in which it is done keeps a connection: since the last round it may have died.
            await sync_to_async(connections.close_all)()
            await due.defer_jobs(due.get_previous_tasks(at=time.time()))
            await sync_to_async(connections.close_all)()
        # At start too: a worker that was killed a minute ago has left its plays behind.
        chores = [
            asyncio.create_task(_rescue(worker, dead_after)),
            asyncio.create_task(_stop_when(told, worker)),
            asyncio.create_task(_every(settings.LOOK_EVERY, _look_once)),
            asyncio.create_task(_every(POST_EVERY, _post_once)),
            asyncio.create_task(_every(RING_EVERY, _ring_once)),
            asyncio.create_task(_every(breaker.PROBE_EVERY, _watch_once)),
        ]
        try:
            await worker.run()  # type: ignore[no-untyped-call]  # procrastinate gives it no type
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.gather(*chores, return_exceptions=True)


async def _stop_when(told: asyncio.Event, worker: Worker) -> None:
    await told.wait()
    worker.stop()  # type: ignore[no-untyped-call]  # procrastinate gives it no type


async def _rescue(worker: Worker, dead_after: float) -> None:
    """Take over what dead workers had in hand, at once and then ever again."""
    while True:
        try:
            for job in await asyncio.to_thread(_take_over, dead_after, worker.worker_id):
                log.warning("a worker has died; its job %s goes on here", job)
        except DatabaseError as error:
            log.warning("could not look for orphaned jobs: %s", error)
        await asyncio.sleep(dead_after / 4)


def _take_over(dead_after: float, me: int | None) -> list[int]:
    try:
        return queue.take_over(dead_after, me=me)
    finally:
        connections.close_all()


async def _every(seconds: float, chore: Callable[[], None]) -> None:
    """Do a chore every so often; one that fails is done again the next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(chore)
        except (DatabaseError, Unavailable) as error:
            log.warning("%s: %s", (chore.__doc__ or chore.__name__).rstrip("."), error)
        except Exception:
            # A chore that has died would be missed by nobody, and its mails by many.
            log.exception("%s", (chore.__doc__ or chore.__name__).rstrip("."))


def once() -> list[str]:
    """Do every chore once, and every job that is due, and return what failed.

    For a machine that is not always there (AWS Lambda): somebody calls it every minute, and when a play has failed.
    """
    # The bell first, because somebody waits for it, and last, for what the looks and the jobs have found.
    failed = _done_once(_ring_once, _rescue_once, _look_once, _watch_once, _post_once)
    asyncio.run(work(concurrency=4, wait=False, signals=False))
    return failed + _done_once(_ring_once)


def _done_once(*chores: Callable[[], None]) -> list[str]:
    """Do these chores, whatever becomes of the one before, and name those that failed."""
    failed = []
    for chore in chores:
        try:
            chore()
        except Exception as error:
            log.warning("%s: %s", (chore.__doc__ or chore.__name__).rstrip("."), type(error).__name__)
            failed.append(chore.__name__.strip("_"))
    return failed


def _rescue_once() -> None:
    """Take over what another round had in hand when its time was over."""
    for job in _take_over(settings.WORKER_DEAD_AFTER, None):
        log.warning("a round was cut off; its job %s goes on here", job)


def _look_once() -> None:
    """Look at the orders that wait."""
    try:
        look_again()
        engine.engine().look_after()
    finally:
        connections.close_all()


def _watch_once() -> None:
    """Look whether Stripe is back, should it be away."""
    try:
        watch()
    finally:
        connections.close_all()


def _post_once() -> None:
    """Remind who has not paid yet, and send the mails that are due."""
    try:
        reminders.remind_due()
        outbox.send_due()
    finally:
        connections.close_all()


def _ring_once() -> None:
    """Ring for the cases that are due."""
    try:
        ring_new()
    finally:
        connections.close_all()
