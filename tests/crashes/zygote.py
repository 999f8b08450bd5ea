"""A process that has Django set up and does nothing but fork the shop's processes: ``python -m tests.crashes.zygote``.

It reads one JSON object a line: {"fork": {...}} starts a worker and answers its process id, {"web": {...}} a web
server; {"wait": pid} answers how one ended, {"reap": true} which have ended meanwhile. It has no thread and no
connection, so a fork is clean, and a process starts in milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Set up, say so, and fork until nobody asks any more."""
    import django

    django.setup()
    from django.template.loader import get_template

    from todoku.engines import jobs  # noqa: F401
    from todoku.engines.management.commands import worker  # noqa: F401
    from todoku.flows import registry

    # What every worker would have to read first.
    registry.flow("checkout")
    get_template("notify/mail/order_complete.ja.txt")
    if "--web" in sys.argv:
        from todoku import urls, wsgi  # noqa: F401
    _answer({"ready": os.getpid()})
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _pid, status = os.waitpid(asked["wait"], 0)
            _answer({"status": os.waitstatus_to_exitcode(status)})
        elif "reap" in asked:
            _answer({"ended": _ended()})
        else:
            pid = os.fork()
            if pid == 0:
                _child(asked["fork"]) if "fork" in asked else _web(asked["web"])
            _answer({"pid": pid})


def _ended() -> dict[int, int]:
    """Every child that has ended, and how."""
    found: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            found[ended[0]] = os.waitstatus_to_exitcode(ended[1])
    return found


def _answer(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)


def _alone(log_file: str) -> None:
    """Become a process that does not outlive the zygote and writes to a log of its own."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _web(asked: dict[str, Any]) -> None:
    """Be the web server's master, with the settings that ``todoku run`` gives it."""
    status = 1
    try:
        _alone(asked["log"])
        from gunicorn.app.base import BaseApplication

        class Web(BaseApplication):  # type: ignore[misc,unused-ignore]
            def load_config(self) -> None:
                for name, value in {
                    "bind": f"127.0.0.1:{asked['port']}",
                    "worker_class": "gthread",
                    "workers": asked["processes"],
                    "threads": asked["threads"],
                    "timeout": 60,
                    "graceful_timeout": 3,
                    "keepalive": 5,
                    "control_socket_disable": True,
                    "loglevel": "warning",
                    # A killed master's port is taken again at once; its orphans go when they notice.
                    "reuse_port": True,
                    "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,
                }.items():
                    self.cfg.set(name, value)

            def load(self) -> Any:
                from todoku.wsgi import application

                return application

        Web().run()
        status = 0
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        logging.exception("the web server ended")
    finally:
        logging.shutdown()
        os._exit(status)


def _child(asked: dict[str, Any]) -> None:
    status = 1
    try:
        _alone(asked["log"])
        from django.conf import settings
        from procrastinate.contrib.django import app

        from tests.crashes.boundaries import Boundaries
        from todoku.engines.management.commands.worker import work

        settings.WORKER_DEAD_AFTER = asked["dead_after"]
        settings.LOOK_EVERY = asked["look_every"]
        if asked["paper"] is not None:
            paper = os.open(asked["paper"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            Boundaries(paper, asked["kill_at"]).install()
        if not asked["rounds"]:
            app.periodic_defaults = {"max_delay": 0}
        asyncio.run(work(concurrency=asked["concurrency"]))
        status = 0
    except BaseException:
        logging.exception("the worker ended")
    finally:
        logging.shutdown()
        os._exit(status)


if __name__ == "__main__":
    main()
