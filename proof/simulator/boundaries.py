"""Where one actor may stop and another go on: the libraries beneath the shop are wrapped, the shop is not.

A transaction is one step: everybody shares one connection, so nobody else moves while it is open. What happens
inside of transactions that run side by side is tested with real threads in ``tests/races``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooLate
from datetime import UTC, datetime
from typing import Any

from django.db import OperationalError, connection
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.transaction import Atomic

from proof.simulator.sealed import Seal
from proof.simulator.world import Crash
from todoku.engines import embedded

_WRITE = re.compile(r'\s*(INSERT|UPDATE|DELETE)(?: INTO| FROM)? "?(\w+)', re.IGNORECASE)
_QUEUE = re.compile(r"procrastinate_(?:defer|retry)|procrastinate_jobs")

#: The last write of a transaction names its commit; whether it touched the queue wakes the workers.
_last_write = "nothing"
_touched_queue = False
_moved_stock = False
_told_the_database = 0.0


class Inline:
    """Runs a talking step in an actor of its own, so that it can be left behind as a hung thread is."""

    def submit(self, work: Callable[..., Any], *args: Any) -> Talk:
        """Begin, as ``ThreadPoolExecutor`` does."""
        return Talk(work, args)


class Talk:
    """A future without a thread."""

    def __init__(self, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._answer: Any = None
        self._error: Exception | None = None
        self._done = False
        world = Seal.world
        assert world is not None
        waiting = world.running
        if waiting is None:
            self._go(work, args)
            return
        child = world.spawn(waiting.name, lambda: self._go(work, args), waiting.process)
        child.on_end.append(lambda: world.wake(waiting) if not waiting.green.dead else None)

    def _go(self, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._answer = work(*args)
        except Exception as error:
            self._error = error
        self._done = True

    def done(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self._done

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end; raises TimeoutError when it does not come in time."""
        world = Seal.world
        assert world is not None
        if not self._done and not world.wait_until(self.done, timeout or 3600.0):
            world.counts["steps that hung past their time"] += 1
            raise TooLate
        if self._error is not None:
            raise self._error
        return self._answer


def install() -> None:
    """Wrap everything, once for the process."""
    CursorWrapper.execute = _execute  # type: ignore[method-assign]
    Atomic.__exit__ = _leave  # type: ignore[method-assign]
    # Nobody gives the one connection back.
    DatabaseWrapper.close = lambda self: None  # type: ignore[method-assign]
    DatabaseWrapper.close_if_unusable_or_obsolete = lambda self: None  # type: ignore[method-assign]
    embedded._talking = Inline()  # type: ignore[assignment]


def tell_the_time(slack: float = 0.2) -> None:
    """Give the database the world's time, if that has moved on noticeably. Only outside a transaction."""
    global _told_the_database
    world = Seal.world
    if world is not None and abs(world.now - _told_the_database) > slack:
        _told_the_database = world.now
        set_database("sim.now", datetime.fromtimestamp(world.now, UTC).isoformat())


def set_database(name: str, value: str) -> None:
    """Set one of the database's settings, unseen by the wrappers."""
    assert connection.connection is not None
    connection.connection.execute("SELECT set_config(%s, %s, false)", [name, value])


def forget_the_time() -> None:
    """Have the database told the time anew, at the beginning of a seed."""
    global _told_the_database, _touched_queue, _last_write
    _told_the_database, _touched_queue, _last_write = 0.0, False, "nothing"


_inner_execute = CursorWrapper.execute


def _execute(cursor: CursorWrapper, sql: Any, params: Any = None) -> Any:
    global _last_write, _touched_queue, _moved_stock
    world = Seal.world
    if world is None or world.running is None:
        return _inner_execute(cursor, sql, params)
    text = str(sql)
    found = _WRITE.match(text)
    if _QUEUE.search(text):
        _touched_queue = True
    if found is not None:
        _last_write = f"{found[1].lower()} {found[2]}"
    if "UPDATE stock_level" in text:
        _moved_stock = True
    if cursor.db.in_atomic_block:
        return _inner_execute(cursor, sql, params)
    if found is None:
        tell_the_time()
        answer = _inner_execute(cursor, sql, params)
        if _touched_queue:
            _tell_workers(world)
        return answer
    what = _last_write
    world.passed(f"before {what}")
    _maybe_away(world, what)
    tell_the_time()
    answer = _inner_execute(cursor, sql, params)
    world.dirty = world.unseen = True
    if _touched_queue:
        _tell_workers(world)
    world.passed(f"after {what}")
    return answer


def _maybe_away(world: Any, what: str) -> None:
    actor = world.running
    if world.chaos and actor.process is not None and world.chance.random() < world.lot.database:
        world.counts["database: away before a write"] += 1
        world.note(f"the database is away before {what}")
        raise OperationalError("the simulated database is away")


def _tell_workers(world: Any) -> None:
    global _touched_queue
    _touched_queue = False
    world.jobs += 1
    world.dirty = world.unseen = True


_inner_leave = Atomic.__exit__
_inner_enter = Atomic.__enter__


def _leave(self: Atomic, kind: Any, error: Any, trace: Any) -> None:
    global _moved_stock
    world = Seal.world
    actor = world.running if world is not None else None
    if world is None or actor is None or connection.savepoint_ids or not connection.in_atomic_block:
        _inner_leave(self, kind, error, trace)
        return
    if kind is not None:
        _inner_leave(self, kind, error, trace)
        return
    what = f"commit of {_last_write}"
    if world.chaos and actor.process is not None and not actor.doomed:
        draw = world.chance.random()
        lot = world.lot
        if draw < lot.crash:
            world.counts[f"{actor.process.kind} crashes"] += 1
            world.counts["crash before commit"] += 1
            world.note(f"dies before {what}")
            crash = Crash()
            _inner_leave(self, Crash, crash, None)
            world.kill(actor.process)
            raise crash
        if draw < lot.crash + lot.database:
            away = OperationalError("the simulated database went away at a commit")
            if world.chance.random() < 0.5:
                world.counts["database: commit failed"] += 1
                world.note(f"the database refuses the {what}")
                _inner_leave(self, OperationalError, away, None)
            else:
                world.counts["database: commit's answer lost"] += 1
                world.note(f"the answer to the {what} is lost")
                _inner_leave(self, None, None, None)
                world.dirty = world.unseen = True
                if _touched_queue:
                    _tell_workers(world)
            raise away
    _inner_leave(self, None, None, None)
    world.dirty = world.unseen = True
    if _touched_queue:
        _tell_workers(world)
    if _moved_stock:
        _moved_stock, world.look_now = False, True
    world.passed(what)


def _enter(self: Atomic) -> None:
    global _last_write
    if Seal.world is not None and not connection.in_atomic_block:
        tell_the_time()
        _last_write = "nothing"
    _inner_enter(self)


Atomic.__enter__ = _enter  # type: ignore[method-assign]
