"""The places at which a worker may die, counted as it passes them; used in the forked worker only.

Each commit, each write outside a transaction, each call to Stripe and each turn of the talk with the mail server
has a place before it and one after it. The shop's code knows nothing of this: the libraries beneath it are
wrapped, in the child, after the fork.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import smtplib
import threading
import time
from collections.abc import Callable
from typing import Any

import procrastinate.manager
import stripe
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

_WRITE = re.compile(r'\s*(INSERT|UPDATE|DELETE)(?: INTO| FROM)? "?(\w+)', re.IGNORECASE)


class Boundaries:
    """Counts the places and writes down each one's name; at the one that was chosen the process kills itself."""

    def __init__(self, paper: int, kill_at: int | None) -> None:
        self._paper = paper
        self._kill_at = kill_at
        self._count = 0
        self._lock = threading.Lock()

    def passed(self, label: str) -> None:
        """Write the place down; die here if it is the one."""
        with self._lock:
            os.write(self._paper, f"{label}\n".encode())
            if self._count == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
                # The kernel may take a moment; nothing more is done meanwhile.
                time.sleep(60)
            self._count += 1

    def around(self, owner: Any, name: str, label: Callable[..., str | None]) -> None:
        """Wrap a function so that there is a place before it and one after it; a label of None means neither."""
        inner = getattr(owner, name)

        @functools.wraps(inner)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            what = label(*args, **kwargs)
            if what is None:
                return inner(*args, **kwargs)
            self.passed(f"before {what}")
            answer = inner(*args, **kwargs)
            self.passed(f"after {what}")
            return answer

        setattr(owner, name, wrapped)

    def install(self) -> None:
        """Wrap everything."""
        self._around_the_queue()
        written = threading.local()

        def remember(sql: str) -> str | None:
            # Inside a transaction the commit is the boundary; outside, each write commits itself.
            found = _WRITE.match(sql)
            if found is None:
                return None
            written.last = f"{found[1].lower()} {found[2]}"
            return str(written.last)

        execute = CursorWrapper.execute

        def executing(cursor: CursorWrapper, sql: Any, params: Any = None) -> Any:
            what = remember(str(sql))
            if what is None or cursor.db.in_atomic_block:
                return execute(cursor, sql, params)
            self.passed(f"before {what}")
            answer = execute(cursor, sql, params)
            self.passed(f"after {what}")
            return answer

        CursorWrapper.execute = executing  # type: ignore[method-assign]
        self.around(BaseDatabaseWrapper, "_commit", lambda *_: f"commit of {written.__dict__.pop('last', 'nothing')}")
        self.around(
            stripe.RequestsClient,
            "request",
            lambda _self, method, url, *_, **__: f"{method.upper()} {url.rpartition('/')[2].partition('?')[0][:7]}",
        )
        for talk in ("connect", "mail", "rcpt", "data", "quit"):
            self.around(smtplib.SMTP, talk, lambda *_, talk=talk, **__: f"SMTP {talk}")

    def _around_the_queue(self) -> None:
        fetch = procrastinate.manager.JobManager.fetch_job
        finish = procrastinate.manager.JobManager.finish_job
        fetched = False

        async def fetching(manager: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal fetched
            if fetched:
                return await fetch(manager, *args, **kwargs)
            self.passed("before the job is taken")
            job = await fetch(manager, *args, **kwargs)
            if job is not None:
                fetched = True
                self.passed("after the job is taken")
            return job

        async def finishing(manager: Any, *args: Any, **kwargs: Any) -> Any:
            self.passed("before the job is finished")
            answer = await finish(manager, *args, **kwargs)
            self.passed("after the job is finished")
            return answer

        procrastinate.manager.JobManager.fetch_job = fetching  # type: ignore[method-assign]
        procrastinate.manager.JobManager.finish_job = finishing  # type: ignore[method-assign]
