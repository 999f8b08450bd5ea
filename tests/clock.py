"""One clock for the shop and for Stripe, which a test moves: days at a konbini pass in no time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from unittest.mock import patch

from django.utils import timezone

from rehearsal.api import Rehearsal


class Clock:
    """Moves the shop's time and the rehearsal's together; the database's own clock stays behind."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self._rehearsal = rehearsal
        self._real = timezone.now
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The shop's time (UTC)."""
        return self._real() + self._ahead

    def advance(self, **time: float) -> None:
        """Let time pass, given as timedelta takes it: days, hours, minutes, seconds."""
        passed = timedelta(**time)
        self._ahead += passed
        self._rehearsal.advance(passed.total_seconds())

    def advance_to(self, moment: datetime) -> None:
        """Let time pass until a moment."""
        self.advance(seconds=(moment - self.now()).total_seconds())


@contextmanager
def moved_by_hand(rehearsal: Rehearsal) -> Iterator[Clock]:
    """A clock that everything in this process reads that asks ``timezone.now()``."""
    clock = Clock(rehearsal)
    with patch("django.utils.timezone.now", clock.now):
        yield clock
