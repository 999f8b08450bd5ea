"""The door to the simulated Stripe: the real SDK on this side, the rehearsal on the other, and faults in between.

A call that takes longer than its caller's patience is carried out all the same, at its own time: that is how a
payment happens after everybody has stopped waiting for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import stripe
from django.db import connection

from proof.simulator.sealed import Seal
from proof.simulator.world import World
from rehearsal.api import make_request
from rehearsal.faults import Fault
from rehearsal.http_client import _not_answered, _told

_IDS = re.compile(r"/(?:pi|ch|re|du|evt|ctoken)_\w+")
#: What may go wrong with a call that changes something, and with one that only looks.
POSTS = (
    "drop_before", "drop_after", "error_before", "error_after", "rate_limit", "lock_timeout", "conflict",
    "slow_before", "slow_after", "malformed", "truncated", "wrong_type", "bad_gateway", "error_before_unkept",
    "error_after_unkept",
)  # fmt: skip
LOOKS = (
    "drop_before", "drop_after", "rate_limit", "slow_before", "slow_after", "malformed", "truncated", "wrong_type",
    "bad_gateway", "error_before_unkept",
)  # fmt: skip
CONFIRMS = (*POSTS, "processing", "not_available")


def client(timeout: float) -> stripe.HTTPClient:
    """Make the HTTP client that ``STRIPE_HTTP_CLIENT`` names."""
    return Door(timeout)


class Door(stripe.HTTPClient):
    """Leads to the present world's Stripe."""

    name = "simulator"

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, *, _usage: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        """Carry one request to Stripe and its answer back."""
        world = Seal.world
        assert world is not None, "nobody talks to Stripe outside a seed"
        request = make_request(method, url, headers or {}, post_data or b"")
        label = f"{method.upper()} {_IDS.sub('', request.path)[4:]}"
        if connection.in_atomic_block:
            world.broke(f"{label} was called inside a transaction")
        world.passed(f"before {label}")
        world.counts["calls to Stripe"] += 1
        fault = _draw(world, request.method, request.path)
        if fault is not None:
            world.rehearsal.faults.set(fault)
            world.note(f"fault {fault.kind}")
        started = world.rehearsal.begin(request)
        if fault is not None:
            struck = started.fault is not None
            world.counts[f"Stripe: {fault.kind}" if struck else "Stripe: fault without effect"] += 1
            world.rehearsal.faults.clear()
        answer = None
        if started.wait + started.wait_after > self._timeout or started.wait:
            on_its_way = _OnItsWay(world, started)
            world.at(world.now + started.wait, on_its_way.arrive)
            world.sleep(min(self._timeout, started.wait))
            if started.wait > self._timeout or started.wait + started.wait_after > self._timeout:
                world.sleep(self._timeout - min(self._timeout, started.wait))
                world.counts["Stripe: answers that came too late"] += 1
                world.passed(f"gave up on {label}")
                raise _not_answered(f"Request timed out after {self._timeout:g} s", TimeoutError("read timed out"))
            on_its_way.arrive()
            answer = on_its_way.answer
        else:
            answer = world.rehearsal.finish(started)
        if started.wait_after:
            world.sleep(started.wait_after)
        world.note(f"Stripe: {'dropped' if answer.dropped else answer.status}")
        world.passed(f"after {label}")
        return _told(answer)

    def close(self) -> None:
        """Nothing is open."""


class _OnItsWay:
    """A request that Stripe has, whatever becomes of the one who sent it."""

    def __init__(self, world: World, started: Any) -> None:
        self._world = world
        self._started = started
        self.answer: Any = None

    def arrive(self) -> None:
        """Carry it out, once."""
        if self.answer is None:
            self.answer = self._world.rehearsal.finish(self._started)


def _draw(world: World, method: str, path: str) -> Fault | None:
    if not world.chaos or world.running is None:
        return None
    lot = world.lot
    if lot.outage_begins <= world.now < lot.outage_ends:
        return Fault(lot.outage_kind, method=method, path=path)  # type: ignore[arg-type]
    confirm = path.endswith("/confirm")
    # The one call that takes money deserves the most trouble.
    if world.chance.random() >= (min(0.9, 2 * lot.stripe) if confirm else lot.stripe):
        return None
    possible = CONFIRMS if confirm else POSTS if method == "POST" else LOOKS
    kinds = [kind for kind in possible if kind in lot.stripe_kinds]
    if not kinds:
        return None
    kind = world.chance.choice(kinds)
    seconds = 0.0
    if kind.startswith("slow"):
        # Longer than a page waits, longer than a worker waits, or just slow.
        seconds = world.chance.choice((3.0, 12.0, 60.0, 200.0))
    elif kind == "processing":
        seconds = world.chance.choice((20.0, 300.0))
    elif kind.startswith("drop"):
        seconds = world.chance.choice((0.0, 0.0, 7.0))
    return Fault(kind, method=method, path=path, seconds=seconds)  # type: ignore[arg-type]
