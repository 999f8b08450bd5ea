"""The in-process door: the shop's real Stripe gateway, the real SDK, and the rehearsal at the other end."""

from __future__ import annotations

import stripe

from rehearsal.api import Rehearsal
from rehearsal.http_client import InProcessClient

#: The rehearsal that the shop talks to at the moment; a fixture puts a fresh one here for each test.
current: list[Rehearsal] = []


def client(timeout: float) -> stripe.HTTPClient:
    """Make the HTTP client that ``STRIPE_HTTP_CLIENT`` names in the tests."""
    return Door(timeout)


class Door(stripe.HTTPClient):
    """Leads to whichever rehearsal the test has set up."""

    name = "door"

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def _sleep_time_seconds(self, num_retries: int, response: object = None) -> float:
        """The SDK's own retries need not wait in a test."""
        return 0.0

    def request(self, method, url, headers, post_data=None, *, _usage=None):  # type: ignore[no-untyped-def]
        """Answer from the test's rehearsal."""
        return InProcessClient(current[-1], self._timeout).request(method, url, headers, post_data)

    def request_with_retries(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        """Keep the SDK's retry loop."""
        return super().request_with_retries(*args, **kwargs)

    def close(self) -> None:
        """Nothing to close."""
