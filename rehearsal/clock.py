"""The rehearsal keeps its own time: the real time plus an offset that can be moved forward."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """A clock tells the time in seconds since 1970 and can be moved forward by any number of seconds.

    Give `source` to drive it by hand: a test may pass a function that always answers the same second.
    It never goes back, because Stripe's lists are ordered by time and a test would then see them shuffled.
    """

    def __init__(self, source: Callable[[], float] = time.time, offset: float = 0.0) -> None:
        self._source = source
        self.offset = offset
        self._held: float | None = None

    def now(self) -> float:
        """Answers the rehearsal's time in seconds since 1970, with fractions."""
        return self._source() + self.offset if self._held is None else self._held

    def second(self) -> int:
        """Answers the whole second, which is what Stripe writes into `created`."""
        return int(self.now())

    def advance(self, seconds: float) -> None:
        """Moves the time forward by so many seconds; a negative number is refused."""
        if not 0 <= seconds < 10 * 366 * 86400:
            raise ValueError("the clock moves forward only, by less than ten years at a time")
        self.offset += seconds

    @contextmanager
    def held_at(self, at: float) -> Iterator[None]:
        """Tells `at` meanwhile: what was due earlier is done late, but carries the time at which it was due."""
        before, self._held = self._held, min(at, self.now())
        try:
            yield
        finally:
            self._held = before


def standing_still(at: float = 1_800_000_000.0) -> Clock:
    """Answers a clock that moves only when it is advanced, for runs that must repeat exactly."""
    return Clock(source=lambda: at)
