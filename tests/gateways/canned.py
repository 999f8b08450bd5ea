"""A Stripe that says whatever a test wants: for answers that no rehearsal gives."""

from __future__ import annotations

from typing import Any

import stripe

#: What it says next: a status and a body, or an error to raise.
says: list[tuple[int, str] | Exception] = []


def client(timeout: float) -> stripe.HTTPClient:
    """Make the HTTP client that ``STRIPE_HTTP_CLIENT`` names."""
    return Canned()


class Canned(stripe.HTTPClient):
    """Says the same thing to every request."""

    name = "canned"

    def _sleep_time_seconds(self, num_retries: int, response: object = None) -> float:
        return 0.0

    def request(self, *_: Any, **__: Any) -> tuple[str, int, dict[str, str]]:
        """Say it."""
        said = says[-1]
        if isinstance(said, Exception):
            raise said
        return said[1], said[0], {"Request-Id": "req_canned", "Content-Type": "application/json"}

    def close(self) -> None:
        """Nothing to close."""
