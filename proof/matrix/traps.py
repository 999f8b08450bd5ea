"""Traps: the places of the checkout at which a fault can be made to strike, and the faults.

The shop's code knows nothing of this. Libraries beneath it, and the names of its steps, are wrapped for as long
as ``set_up`` lasts. What strikes in the database is the server's own: its error codes are raised by it, in the
transaction under way; a session that is lost has really been ended.
"""

from __future__ import annotations

import functools
import re
import smtplib
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import psycopg
import psycopg_pool
from django.db import OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from proof.matrix.cells import Cell
from tests import stripe_door
from todoku.flows import step as steps
from todoku.order import place
from todoku.payment.models import Attempt, Outcome
from todoku.quote import ask
from todoku.ringing import ring
from todoku.storefront import checkout
from todoku.webhooks import views

_WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)
_STEPS = {"TakeStock": 5, "RecordOrder": 8, "CloseCart": 9, "PublishToMyPage": 10, "SendMail": 11}
#: What the SDK posts or asks for at each step that talks to Stripe.
ASKS = {
    3: ("POST", re.compile(r"/v1/payment_intents$")),
    6: ("POST", re.compile(r"/v1/payment_intents/[^/]+/confirm$")),
    7: ("GET", re.compile(r"/v1/payment_intents/[^/]+$")),
}


class Killed(BaseException):
    """The process is gone. Nobody but the hands that hold the process up may catch this."""


class OwnFault(Exception):
    """A mistake in our own code."""


@dataclass
class Trap:
    """A fault that waits for its step; what it does is taken from the cell, one entry for each time it strikes."""

    cell: Cell
    struck: int = 0

    def next(self, place: str) -> str | None:
        """What happens at this place now; None when it is not here, or all has happened."""
        strike = self.cell.strike
        if place != strike.place or self.struck >= len(strike.does):
            return None
        self.struck += 1
        return strike.does[self.struck - 1]


@dataclass
class _Here(threading.local):
    """Where this thread is: the step under way, and whom it has heard from."""

    step: int = 0
    heard: bool = False
    posted: bool = False


@dataclass
class Traps:
    """All traps of a run."""

    traps: list[Trap] = field(default_factory=list)
    #: How many connections are still refused.
    refusing: int = 0
    _here: _Here = field(default_factory=_Here)
    _busy: threading.local = field(default_factory=threading.local)

    def spring(self, place: str) -> str | None:
        """What is to happen at this place of the step under way."""
        for trap in self.traps:
            if trap.cell.step == self._here.step:
                found = trap.next(place)
                if found is not None:
                    return found
        return None

    # The places ------------------------------------------------------------------------------------------------

    @contextmanager
    def _within(self, step: int) -> Iterator[None]:
        """Say that a step is under way; the outermost one counts."""
        if self._here.step:
            yield
            return
        self._here.step, self._here.heard, self._here.posted = step, False, False
        try:
            self._do(self.spring("enter"))
            yield
            self._do(self.spring("leave"))
        finally:
            self._here.step = 0

    @contextmanager
    def at_door(self) -> Iterator[str | None]:
        """An event is on its way to the shop's door: say what happens to it."""
        self._here.step = 13
        try:
            what = self.spring("post")
        finally:
            self._here.step = 0
        yield what

    def answered(self, step: int) -> bool:
        """A page of this step has its answer ready: say whether the process dies before the browser has it."""
        self._here.step = step
        try:
            return self.spring("answer") == "die"
        finally:
            self._here.step = 0

    def step(self, inner: Callable[..., Any], number: Callable[..., int]) -> Callable[..., Any]:
        """Wrap what does a step."""

        @functools.wraps(inner)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            which = number(*args, **kwargs)
            if not which:
                return inner(*args, **kwargs)
            with self._within(which):
                return inner(*args, **kwargs)

        return wrapped

    def _do(self, what: str | None) -> None:
        """Do what was found at the edge of a step."""
        if what is None:
            return
        if what == "die":
            raise Killed
        if what == "fault":
            raise OwnFault("a fault of our own, made on purpose")
        if what == "pool":
            connection.close()
            self.refusing = -1
        elif what == "lost":
            self._end_session(connection)
        else:
            raise AssertionError(what)

    def _sql(self, code: str, db: BaseDatabaseWrapper) -> None:
        """Let the server raise one of its own errors, or end the session."""
        if code == "down":
            self.refusing = 2
            self._end_session(db)
        slow = "PERFORM pg_sleep(0.1); " if code == "08P01" else ""
        with db.wrap_database_errors, db.connection.cursor() as cursor:
            cursor.execute(f"DO $$ BEGIN {slow}RAISE EXCEPTION 'made on purpose' USING ERRCODE = '{code}'; END $$")

    @staticmethod
    def _end_session(db: BaseDatabaseWrapper) -> None:
        db.ensure_connection()
        with db.wrap_database_errors, db.connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            cursor.fetchone()
        raise AssertionError("the session lives on")

    # The libraries ---------------------------------------------------------------------------------------------

    def execute(self, inner: Callable[..., Any], cursor: CursorWrapper, sql: Any, params: Any = None) -> Any:
        """A statement of the step under way."""
        here = self._here
        if here.step:
            code = self.spring("any")
            if code is None and _WRITES.match(str(sql)):
                code = self.spring("write")
            if code is None and here.heard:
                code = self.spring("heard")
            if code is None and here.posted:
                code = self.spring("posted")
            if code is not None:
                self._sql(code, cursor.db)
        return inner(cursor, sql, params)

    def commit(self, inner: Callable[..., Any], db: BaseDatabaseWrapper) -> Any:
        """The commit of a step's transaction."""
        if self._here.step and self.spring("commit") == "die":
            # What a server does when its client is gone.
            db.connection.rollback()
            raise Killed
        answer = inner(db)
        if self._here.step and self.spring("committed") == "lost":
            self._end_session(db)
        return answer

    def getconn(self, inner: Callable[..., Any], pool: Any, *args: Any, **kwargs: Any) -> Any:
        """A connection is wanted."""
        if self.refusing:
            if self.refusing < 0:
                self.refusing = 0
                raise psycopg_pool.PoolTimeout("couldn't get a connection after 10.00 sec")
            self.refusing -= 1
            raise psycopg.OperationalError("connection failed: Connection refused")
        return inner(pool, *args, **kwargs)

    def request(self, inner: Callable[..., Any], door: Any, method: str, url: str, *args: Any, **more: Any) -> Any:
        """A call to Stripe."""
        answer = inner(door, method, url, *args, **more)
        wanted = ASKS.get(self._here.step)
        if wanted is not None and method.upper() == wanted[0] and wanted[1].search(url.partition("?")[0]):
            if self.spring("told") == "die":
                raise Killed
            self._here.heard = True
        return answer

    def connect(self, inner: Callable[..., Any], smtp: smtplib.SMTP, *args: Any, **more: Any) -> Any:
        """The mail server is called."""
        what = self._smtp("timeout", "421")
        if what == "timeout":
            raise TimeoutError("timed out")
        answer = inner(smtp, *args, **more)
        return (421, b"4.7.0 Too many connections") if what == "421" else answer

    def rcpt(self, inner: Callable[..., Any], smtp: smtplib.SMTP, *args: Any, **more: Any) -> Any:
        """The mail server is told for whom the mail is."""
        return (450, b"4.2.1 The mailbox is in use") if self._smtp("450") else inner(smtp, *args, **more)

    def data(self, inner: Callable[..., Any], smtp: smtplib.SMTP, message: Any) -> Any:
        """The mail server is given the mail."""
        what = self._smtp("lost yes", "554", "taken 451", "garbage")
        if what == "554":
            return (554, b"5.3.0 Transaction failed")
        answer = inner(smtp, message)
        if self._here.step:
            if self.spring("taken") == "die":
                raise Killed
            self._here.posted = True
        if what == "lost yes":
            smtp.close()
            raise smtplib.SMTPServerDisconnected("Connection unexpectedly closed")
        return {"taken 451": (451, b"4.3.0 Later"), "garbage": (-1, b"\xff\xfe?")}.get(what or "", answer)

    def _smtp(self, *mine: str) -> str | None:
        """What is to happen in the talk with the mail server, if it is one of these."""
        for trap in self.traps:
            strike = trap.cell.strike
            if trap.cell.step == self._here.step and strike.place == "smtp" and strike.does[0] in mine:
                return trap.next("smtp")
        return None


def _flow_step(step: Any, order_id: int, **_more: Any) -> int:
    if step.name != "TakePayment":
        return _STEPS.get(step.name, 0)
    try:
        asked = Attempt.objects.filter(order=order_id).order_by("-number").values_list("outcome", flat=True).first()
    except OperationalError:
        return 7
    return 6 if asked == Outcome.PENDING else 7


@contextmanager
def set_up() -> Iterator[Traps]:
    """Wrap everything for as long as this lasts."""
    traps = Traps()

    def always(step: int) -> Callable[..., int]:
        return lambda *_args, **_more: step

    def around(owner: Any, name: str, hook: Callable[..., Any]) -> Any:
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def wrapped(*args: Any, **more: Any) -> Any:
            return hook(inner, *args, **more)

        return mock.patch.object(owner, name, wrapped)

    def named(owner: Any, name: str, number: Callable[..., int]) -> Any:
        return mock.patch.object(owner, name, traps.step(getattr(owner, name), number))

    with ExitStack() as stack:
        for patch in (
            named(checkout, "short", always(1)),
            named(ask, "quote", always(2)),
            named(checkout, "prepare", always(3)),
            named(place, "place", always(4)),
            named(steps, "perform", _flow_step),
            named(ring, "_tell", always(12)),
            named(views, "take" if hasattr(views, "take") else "_take", always(13)),
            around(CursorWrapper, "execute", traps.execute),
            around(BaseDatabaseWrapper, "_commit", traps.commit),
            around(psycopg_pool.ConnectionPool, "getconn", traps.getconn),
            around(stripe_door.Door, "request", traps.request),
            around(smtplib.SMTP, "connect", traps.connect),
            around(smtplib.SMTP, "rcpt", traps.rcpt),
            around(smtplib.SMTP, "data", traps.data),
        ):
            stack.enter_context(patch)
        yield traps
    connections.close_all()
