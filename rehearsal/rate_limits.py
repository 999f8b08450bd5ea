"""Stripe's rate limits, switched off until they are asked for. They go by the rehearsal's clock.

Source: https://docs.stripe.com/rate-limits: 100 requests a second (25 in a sandbox), 25 a second for each endpoint,
1,000 updates of one PaymentIntent an hour. A request that is refused does not count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rehearsal.errors import rate_limited

MOST_WATCHED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is allowed; None for no limit."""

    per_second: int | None = None
    per_endpoint: int | None = None
    updates_per_hour: int | None = None


LIVE: Final = Limits(100, 25, 1000)
SANDBOX: Final = Limits(25, 25, 1000)
BY_NAME: Final[dict[str, Limits | None]] = {"off": None, "live": LIVE, "sandbox": SANDBOX}
_UPDATE: Final = "/v1/payment_intents/:id"


class RateLimiter:
    """Counts requests in windows that slide, and refuses with 429 what is over the limits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.limits: Limits | None = None
        self._clock = clock
        self._seen: dict[str, deque[float]] = {}

    def check(self, method: str, path: str, id: str) -> None:
        """Counts a request to an endpoint (`path` as its route is written), or refuses it."""
        limits = self.limits
        if limits is None:
            return
        now = self._clock()
        windows = [
            ("global-rate", "all", limits.per_second, 1.0),
            ("endpoint-rate", f"{method} {path}", limits.per_endpoint, 1.0),
        ]
        if method == "POST" and path == _UPDATE:
            windows.append(("resource-specific", id, limits.updates_per_hour, 3600.0))
        counted = []
        for reason, name, most, seconds in windows:
            if most is None:
                continue
            seen = self._window(name, now - seconds)
            if len(seen) >= most:
                raise rate_limited(
                    reason,
                    "payment_intent_rate_limit_exceeded" if reason == "resource-specific" else "rate_limit",
                )
            counted.append(seen)
        for seen in counted:
            seen.append(now)

    def forget(self) -> None:
        self._seen.clear()

    def _window(self, name: str, since: float) -> deque[float]:
        seen = self._seen.get(name)
        if seen is None:
            if len(self._seen) >= MOST_WATCHED:
                self._seen.clear()
            seen = self._seen[name] = deque()
        while seen and seen[0] <= since:
            seen.popleft()
        return seen
