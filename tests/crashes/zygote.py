"""A process that has Django set up and does nothing but fork workers: ``python -m tests.crashes.zygote``.

It reads one JSON object a line: {"fork": {...}} starts a worker and answers its process id, {"wait": pid} answers
how it ended. It has no thread and no connection, so a fork is clean, and a worker starts in milliseconds.
"""

from __future__ import annotations

import asyncio
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
    _answer({"ready": os.getpid()})
    for line in sys.stdin:
        asked = json.loads(line)
        if "wait" in asked:
            _pid, status = os.waitpid(asked["wait"], 0)
            _answer({"status": os.waitstatus_to_exitcode(status)})
        else:
            pid = os.fork()
            if pid == 0:
                _child(asked["fork"])
            _answer({"pid": pid})


def _answer(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)


def _child(asked: dict[str, Any]) -> None:
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no worker outlives the test
        log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        from django.conf import settings

        from tests.crashes.boundaries import Boundaries
        from todoku.engines.management.commands.worker import work

        settings.WORKER_DEAD_AFTER = asked["dead_after"]
        settings.LOOK_EVERY = asked["look_every"]
        if asked["paper"] is not None:
            paper = os.open(asked["paper"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            Boundaries(paper, asked["kill_at"]).install()
        asyncio.run(work(concurrency=asked["concurrency"]))
        status = 0
    except BaseException:
        logging.exception("the worker ended")
    finally:
        logging.shutdown()
        os._exit(status)


if __name__ == "__main__":
    main()
