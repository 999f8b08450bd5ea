"""The last one out turns off the light: this waits until nobody uses the embedded PostgreSQL, then stops it.

Everyone who uses the server holds a shared lock on one file, and the kernel takes that lock back however its
holder ends, kill -9 included. This small process waits for the exclusive lock: it gets it when nobody is left.
A newcomer waits for the shared lock until the server has stopped, and starts it anew, so neither trips over
the other. It is run by path and imports nothing but the standard library, to stay small.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time

#: How long a fast shutdown may take before the server is told to drop everything (it recovers at the next start).
PATIENCE = 30.0


def running(home: str) -> int | None:
    """Tell the process id of the server whose data is in ``home``; None when there is none.

    The id in postmaster.pid may be an old one that now belongs to quite another program, so the process must
    also have that folder as its working directory, as every PostgreSQL has.
    """
    try:
        with open(os.path.join(home, "postmaster.pid")) as file:
            pid = abs(int(file.readline()))
        os.kill(pid, 0)
    except (OSError, ValueError):
        return None
    if not os.path.isdir("/proc/self"):
        return pid  # no way to ask on this system; PostgreSQL's own check must do
    try:
        return pid if os.path.samefile(f"/proc/{pid}/cwd", home) else None
    except OSError:
        return None


def survivors(home: str) -> list[int]:
    """List the processes that still work in ``home``: a killed server's children live until they notice."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        with contextlib.suppress(OSError):
            if name.isdigit() and os.path.samefile(f"/proc/{name}/cwd", home):
                found.append(int(name))
    return found


def stop(home: str) -> None:
    """Ask the server to stop, and wait until it has; what is committed stays."""
    pid = running(home)
    for told in (signal.SIGINT, signal.SIGQUIT):
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, told)
        deadline = time.monotonic() + PATIENCE
        while pid is not None and time.monotonic() < deadline:
            time.sleep(0.02)
            pid = running(home)


def main(keeper: str, users: str, home: str) -> None:
    """Wait for the last user to leave ``users``, then stop the server; only one keeper waits at a time."""
    with open(keeper, "a") as mine, open(users, "a") as everyone:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        fcntl.flock(everyone, fcntl.LOCK_EX)
        stop(home)


if __name__ == "__main__":
    main(*sys.argv[1:4])
