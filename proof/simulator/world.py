"""The world of one seed: one thread, many actors, one clock; whose turn it is, chance decides.

An actor is a greenlet. It runs until it passes a boundary: a commit, a write outside a transaction, a call to
Stripe, a turn of the talk with the mail server, a job taken or put away. There the world may let somebody else go
on, let a process die, or do nothing. When nobody can go on, time jumps to the next thing that is due.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

from proof.simulator import sealed

if TYPE_CHECKING:
    from proof.simulator.lots import Lot
    from proof.simulator.post_office import PostOffice
    from rehearsal.api import Rehearsal


class Crash(BaseException):
    """The process is dead. Nothing of the shop may catch it."""


class Stuck(Exception):
    """The world does not come to rest."""


class Process:
    """A web server or a worker: it dies as a whole, with every request and job it has in hand."""

    def __init__(self, name: str, kind: str, number: int = 0) -> None:
        self.name = name
        self.kind = kind
        #: Its row in the queue's table of workers.
        self.number = number
        self.alive = True
        #: A process that was stopped (SIGSTOP) wakes up at this time and does not know that it slept.
        self.asleep_until = 0.0
        #: How many jobs it has in hand.
        self.jobs = 0


class Actor:
    """Somebody who does something: a person, a job, a delivery. Dies with its process, if it is in one."""

    __slots__ = ("doomed", "green", "name", "on_end", "process", "ready", "token")

    def __init__(self, name: str, body: Callable[[], None], process: Process | None, hub: greenlet) -> None:
        self.name = name
        self.process = process
        self.doomed = False
        self.ready = False
        self.token = 0
        self.on_end: list[Callable[[], None]] = []
        self.green = greenlet(body, hub)


#: A seed that passes more boundaries than this goes round in circles.
MOST_BOUNDARIES = 60_000


class World:
    """All that a seed has: its lot, its chance, its clock, its actors and what they did."""

    def __init__(self, seed: int, lot: Lot) -> None:
        self.seed = seed
        self.lot = lot
        self.chance = random.Random(seed)
        self.now = sealed.BEGINNING
        self.rehearsal: Rehearsal
        self.hub = getcurrent()
        self.running: Actor | None = None
        self.actors: list[Actor] = []
        self._ready: list[Actor] = []
        self._asleep: list[tuple[float, int, Actor | Callable[[], None], int]] = []
        self._number = 0
        #: While True, things go wrong.
        self.chaos = True
        #: True once the seed is being taken down.
        self.over = False
        #: How many jobs may wait for a worker, and whether the database has changed since it was last asked.
        self.jobs = 1
        self.dirty = True
        self.unseen = True
        #: Whether what has just happened must be looked at before anybody else goes on.
        self.look_now = False
        self.office: PostOffice
        #: When somebody outside the shop last did something.
        self.last_outside = self.now
        self.passed_so_far = 0
        self.counts: Counter[str] = Counter()
        self.violations: list[str] = []
        self.story: list[tuple[float, str, str]] = []
        self._hash = hashlib.blake2b(digest_size=8)
        self.on_boundary: Callable[[str], None] = lambda label: None
        self.in_transaction: Callable[[], bool] = lambda: False

    # What is told of it.

    def note(self, what: str) -> None:
        """Write a line of the story."""
        who = self.running.name if self.running is not None else "world"
        self.story.append((self.now, who, what))
        self._hash.update(f"{self.now:.3f}|{who}|{what}\n".encode())

    def broke(self, what: str) -> None:
        """A promise is broken."""
        if what not in self.violations:
            self.violations.append(what)
            self.note(f"BROKEN: {what}")

    @property
    def digest(self) -> str:
        """The story's hash: the same seed gives the same one."""
        return self._hash.hexdigest()

    # Who goes on.

    def spawn(self, name: str, body: Callable[[], Any], process: Process | None = None) -> Actor:
        """Let a new actor begin at its next turn."""

        def whole() -> None:
            try:
                if actor.doomed:
                    raise Crash
                body()
            except Crash:
                pass
            finally:
                self.actors.remove(actor)
                for then in actor.on_end:
                    then()

        actor = Actor(name, whole, process, self.hub)
        self.actors.append(actor)
        self.wake(actor)
        return actor

    def wake(self, actor: Actor) -> None:
        """Let an actor that waits go on at its next turn."""
        if not actor.ready:
            actor.ready = True
            actor.token += 1
            self._ready.append(actor)

    def at(self, when: float, then: Callable[[], None]) -> None:
        """Have something done by the world at a time."""
        self._number += 1
        heapq.heappush(self._asleep, (when, self._number, then, 0))

    def sleep(self, seconds: float) -> None:
        """Let the running actor sleep; in the hub nobody sleeps."""
        actor = self.running
        if actor is None or self.in_transaction():
            return
        self._number += 1
        heapq.heappush(self._asleep, (self.now + max(0.0, seconds), self._number, actor, actor.token))
        self._switch(actor)

    def wait_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Let the running actor wait until it is woken or the time is over; say whether what it waits for is so."""
        actor = self.running
        assert actor is not None
        until = self.now + seconds
        while not done() and self.now < until:
            self._number += 1
            heapq.heappush(self._asleep, (until, self._number, actor, actor.token))
            self._switch(actor)
        return done()

    def _switch(self, actor: Actor) -> None:
        self.hub.switch()
        if actor.doomed:
            raise Crash

    def passed(self, label: str, *, may_die: bool = True) -> None:
        """The running actor passes a boundary: it may die here, and others may go on first."""
        actor = self.running
        if actor is None or actor.doomed or self.in_transaction():
            return
        # Everything takes its time: a few milliseconds.
        self.now += 0.02 * self.chance.random()
        self.note(label)
        self.passed_so_far += 1
        if self.passed_so_far > MOST_BOUNDARIES:
            raise Stuck(f"more than {MOST_BOUNDARIES} boundaries")
        if self.chaos:
            process = actor.process
            if may_die and process is not None and self.chance.random() < self.lot.crash:
                self.counts[f"{process.kind} crashes"] += 1
                self.counts[f"crash {label.partition(' of ')[0].partition(' to ')[0]}"] += 1
                self.kill(process)
                raise Crash
            self.on_boundary(label)
            if actor.doomed:
                raise Crash
        if (
            self.look_now
            or self._ready
            or (self._asleep and self._asleep[0][0] <= self.now)
            or self.passed_so_far % 16 == 0
        ):
            self.wake(actor)
            self._switch(actor)

    def kill(self, process: Process) -> None:
        """A process dies with all that it has in hand."""
        process.alive = False
        self.note(f"{process.name} dies")
        for actor in self.actors:
            if actor.process is process:
                actor.doomed = True
                if actor is not self.running:
                    self.wake(actor)

    @contextmanager
    def within(self, process: Process) -> Iterator[None]:
        """What the running actor does now is done by that process for it: a page that it asked for."""
        actor = self.running
        assert actor is not None and actor.process is None
        actor.process = process
        try:
            if not process.alive:
                raise Crash
            yield
        finally:
            actor.process = None
            actor.doomed = False

    def turn(self) -> bool:
        """Let one actor go on to its next boundary; False when nobody can now."""
        while self._asleep and self._asleep[0][0] <= self.now:
            _when, _number, what, token = heapq.heappop(self._asleep)
            if isinstance(what, Actor):
                if not what.green.dead and what.token == token:
                    self.wake(what)
            else:
                what()
        while self._ready:
            place = int(self.chance.random() * len(self._ready))
            actor = self._ready[place]
            process = actor.process
            self._ready[place] = self._ready[-1]
            self._ready.pop()
            actor.ready = False
            if actor.green.dead:
                continue
            if process is not None and process.asleep_until > self.now and not actor.doomed:
                # Its process is stopped: it goes on when that wakes up.
                self._number += 1
                heapq.heappush(self._asleep, (process.asleep_until, self._number, actor, actor.token))
                continue
            self.running = actor
            if process is None:
                self.last_outside = self.now
            try:
                actor.green.switch()
            finally:
                self.running = None
            return True
        return False

    def next_sleeper(self) -> float | None:
        """When the next actor wakes up by itself."""
        while self._asleep:
            when, _number, what, token = self._asleep[0]
            if isinstance(what, Actor) and (what.green.dead or what.token != token):
                heapq.heappop(self._asleep)
                continue
            return when
        return None

    def end(self) -> None:
        """Let nobody go on any more: the greenlets that are left are taken down."""
        self.over = True
        for actor in list(self.actors):
            actor.doomed = True
            if not actor.green.dead:
                self.running = actor
                try:
                    if actor.green:
                        actor.green.throw(Crash)
                except Crash:
                    pass
                finally:
                    self.running = None
        self.actors.clear()
