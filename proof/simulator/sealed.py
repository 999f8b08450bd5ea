"""Seals a process off: its time is the world's time, its chance is the seed's, and nobody really sleeps.

What is replaced is the machine beneath the shop (the clock, the system's source of chance, ``time.sleep``), never
a function of the shop. Done once for a process, which does nothing but simulate from then on.
"""

from __future__ import annotations

import os
import random
import sys
import time
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proof.simulator.world import World

#: Where every seed begins: 2027-01-15 04:00:00 UTC, one in the afternoon in Japan.
BEGINNING = 1_800_000_000.0 - 14_400.0


class Seal:
    """The one place that the replaced functions ask."""

    world: World | None = None
    chance = random.Random(0)  # not for secrets; a seed must repeat
    real_time = staticmethod(time.time)


def app_time() -> float:
    """The time that the shop's processes see: the world's, ahead or behind by this seed's skew."""
    world = Seal.world
    return Seal.real_time() if world is None else world.now + world.lot.skew


def _urandom(size: int) -> bytes:
    return Seal.chance.randbytes(size)


def _sleep(seconds: float) -> None:
    if Seal.world is not None:
        Seal.world.sleep(seconds)


class _Datetime(datetime):
    """``datetime`` with the world's clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(app_time(), tz or UTC)


def now() -> datetime:
    """What ``django.utils.timezone.now`` is from now on."""
    return datetime.fromtimestamp(app_time(), UTC)


def seal() -> None:
    """Replace clock, chance and sleep in this process."""
    import procrastinate.utils
    from django.utils import timezone

    time.time = app_time
    time.monotonic, real_monotonic = app_time, time.monotonic
    time.sleep = _sleep
    os.urandom = _urandom
    random._urandom = _urandom  # type: ignore[attr-defined]
    timezone.now = now
    procrastinate.utils.utcnow = now
    del real_monotonic
    seal_modules()


def seal_modules() -> None:
    """Give the shop's modules that took ``datetime`` or ``monotonic`` by name the world's."""
    for name, module in list(sys.modules.items()):
        if not name.startswith("todoku."):
            continue
        if getattr(module, "datetime", None) is datetime:
            module.datetime = _Datetime  # type: ignore[attr-defined]


def start(seed: int, world: World) -> None:
    """Begin a seed: every source of chance starts anew."""
    Seal.world = world
    Seal.chance = random.Random(seed * 2 + 1)
    random.seed(seed * 2 + 2)


def stop() -> None:
    """End a seed."""
    Seal.world = None


def described(value: Any) -> str:
    """A moment as people read it in a story: the day of the seed and the time of day (UTC)."""
    since = float(value) - BEGINNING
    day, rest = divmod(since, 86400.0)
    return f"{int(day)}d {int(rest // 3600):02d}:{int(rest % 3600 // 60):02d}:{rest % 60:06.3f}"
