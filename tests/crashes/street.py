"""A street with a Stripe, a mail server and workers in processes of their own, around the shop under test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import uvicorn
from django.db import connection

from rehearsal.api import Rehearsal
from rehearsal.mailbox import Mailbox
from rehearsal.server import application, listening
from rehearsal.webhook_endpoints import Webhook
from todoku.webhooks.wanted import WANTED

HOUSE = Path(__file__).resolve().parent.parent.parent


class StripeAndMail:
    """The rehearsal Stripe over HTTP and a mail server over SMTP, in threads of the test's own process.

    With a ``webhook``, Stripe's events are sent to that address, and again until somebody takes them.
    """

    def __init__(self, webhook: str = "") -> None:
        self.rehearsal = Rehearsal(webhooks=[Webhook(webhook, "whsec_rehearsal", tuple(WANTED))] if webhook else ())
        if webhook:
            self.rehearsal.start()
        self.mailbox = Mailbox(self.rehearsal)
        self.mailbox.start("127.0.0.1", 0)
        opened = listening("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{opened.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(application(self.rehearsal, self.mailbox), log_level="warning", access_log=False, ws="none")
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [opened]}, daemon=True)
        self._thread.start()
        wait_for(lambda: self._server.started)

    def close(self) -> None:
        """Close both doors."""
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self.mailbox.stop()
        self.rehearsal.close()


class Workers:
    """Real workers and web servers, forked from a zygote; each can be killed, told to stop, asked what it passed."""

    def __init__(self, street: StripeAndMail, folder: Path, *, web: bool = False) -> None:
        self._folder = folder
        self._number = 0
        self._alive: set[int] = set()
        self.log = folder / "workers.log"
        known = connection.settings_dict
        where = urlencode({"host": known["HOST"], "port": known["PORT"] or "5432"})
        user = quote(str(known["USER"]), safe="")
        if known["PASSWORD"]:
            user += ":" + quote(str(known["PASSWORD"]), safe="")
        environ = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.crashes.settings",
            "DATABASE_URL": f"postgresql://{user}@/{known['NAME']}?{where}",
            "TODOKU_REHEARSAL_URL": street.url,
            "TODOKU_SMTP_PORT": str(street.mailbox.port),
        }
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.zygote", *(["--web"] if web else [])],
            cwd=HOUSE,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert "ready" in self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._zygote.stdout is not None
        line = self._zygote.stdout.readline()
        assert line, f"the zygote has died: {self.log.read_text() if self.log.exists() else 'it said nothing'}"
        return dict(json.loads(line))

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(asked) + "\n")
        self._zygote.stdin.flush()
        return self._heard()

    def start(
        self,
        *,
        concurrency: int = 1,
        dead_after: float = 60.0,
        look_every: float = 3600.0,
        kill_at: int | None = None,
        paper: Path | None = None,
        rounds: bool = False,
    ) -> int:
        """Start a worker and answer its process id; with a paper it writes down the boundaries it passes.

        Without ``rounds`` it plays no periodic jobs: one that is due by the real clock, every five minutes, would be a
        boundary and a knock of its own.
        """
        pid = int(
            self._ask(
                {
                    "fork": {
                        "concurrency": concurrency,
                        "dead_after": dead_after,
                        "look_every": look_every,
                        "kill_at": kill_at,
                        "paper": None if paper is None else str(paper),
                        "rounds": rounds,
                        "log": str(self.log),
                    }
                }
            )["pid"]
        )
        self._alive.add(pid)
        return pid

    def open_web(self, port: int, *, processes: int = 2, threads: int = 8) -> int:
        """Start the web server, as ``todoku run`` does, and answer the process id of its master."""
        asked = {"port": port, "processes": processes, "threads": threads, "log": str(self.log)}
        pid = int(self._ask({"web": asked})["pid"])
        self._alive.add(pid)
        return pid

    def ended(self) -> dict[int, int]:
        """Say which processes have ended since the last time, and how: -9 for one that was killed."""
        found = {int(pid): int(status) for pid, status in self._ask({"reap": True})["ended"].items()}
        self._alive -= set(found)
        return found

    def wait(self, pid: int) -> int:
        """Wait until a worker has ended and answer its exit code: -9 for one that was killed."""
        status = int(self._ask({"wait": pid})["status"])
        self._alive.discard(pid)
        return status

    def kill(self, pid: int) -> None:
        """Kill a worker with SIGKILL."""
        os.kill(pid, signal.SIGKILL)
        self.wait(pid)

    def paper(self) -> Path:
        """A new sheet for boundaries."""
        self._number += 1
        sheet = self._folder / f"boundaries-{self._number}"
        sheet.touch()
        return sheet

    def clear(self) -> None:
        """Kill every process that is left."""
        self.ended()
        for pid in list(self._alive):
            self.kill(pid)

    def close(self) -> None:
        """End the zygote, and with it every worker."""
        self.clear()
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        self._zygote.wait(timeout=10)


def wait_for(happened: Callable[[], bool], *, seconds: float = 30.0, every: float = 0.02) -> None:
    """Wait until something has happened; fail if it does not."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"it has not happened within {seconds:g} s"
        time.sleep(every)
