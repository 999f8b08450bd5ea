"""What happens by itself when its time has come: a voucher expires, a refund arrives, a dispute is opened.

Timers are in the rehearsal's time and in its state, so they outlive a restart. Nothing is forgotten when the clock
jumps: all that became due is done in the order of its times, each as if at its own time.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING

from rehearsal.store import Json

if TYPE_CHECKING:
    from rehearsal.api import Rehearsal

_TABLE = "timers"


class Timers:
    """The timers that are set, the next one first."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._heap: list[tuple[float, int, str]] = []
        self._number = 0
        self._wake = threading.Condition(rehearsal.lock)
        self._thread: threading.Thread | None = None
        self._stopping = False
        for row in rehearsal.store.table(_TABLE).oldest_first():
            self._push(row["at"], row["id"])

    def set(self, kind: str, subject: str, at: float) -> None:
        """Sets the one timer of this kind for this object, in the place of an earlier one."""
        id = f"{kind}:{subject}"
        self._rehearsal.store.put(_TABLE, id, {"id": id, "kind": kind, "subject": subject, "at": at})
        self._push(at, id)
        if self._thread is not None and self._heap[0][2] == id:
            self._wake.notify_all()

    def clear(self, kind: str, subject: str) -> None:
        self._rehearsal.store.delete(_TABLE, f"{kind}:{subject}")

    def next_due(self) -> float | None:
        """Answers when the next timer goes off, in the rehearsal's seconds since 1970, or None."""
        while self._heap:
            at, _, id = self._heap[0]
            row = self._rehearsal.store.get(_TABLE, id)
            if row is not None and row["at"] == at:
                return at
            heapq.heappop(self._heap)  # it was cleared, or set anew
        return None

    def take(self, now: float) -> Json | None:
        """Takes the next timer that is due, or answers None."""
        if not self._heap or self._heap[0][0] > now:
            return None
        at = self.next_due()
        if at is None or at > now:
            return None
        id = heapq.heappop(self._heap)[2]
        row = self._rehearsal.store.get(_TABLE, id)
        self._rehearsal.store.delete(_TABLE, id)
        return row

    def start(self) -> None:
        """Begins to watch the clock in the background, for a rehearsal that people use."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="timers", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
            self._thread = None

    def time_moved(self) -> None:
        with self._wake:
            self._wake.notify_all()

    def forget(self) -> None:
        self._heap.clear()

    def _run(self) -> None:
        while True:
            with self._wake:
                if self._stopping:
                    return
                self._rehearsal.run_due()
                at = self.next_due()
                # A look once a minute, should the machine have slept meanwhile; and not one for each of a crowd.
                wait = 60.0 if at is None else at - self._rehearsal.clock.now()
                self._wake.wait(min(60.0, max(0.02, wait)))

    def _push(self, at: float, id: str) -> None:
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, id))
