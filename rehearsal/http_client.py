"""The in-process door: Stripe's own SDK talks to a rehearsal without a network in between.

The SDK's encoding, idempotency keys, retries and error classes are all exercised; only the socket is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

import stripe

from rehearsal.answer import Answer
from rehearsal.api import Rehearsal, make_request

_DEFAULT_TIMEOUT_SECONDS = 80.0


class Headers(Mapping[str, str]):
    """Answer headers that are found whatever the case of their name, as HTTP wants it."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = {name.lower(): value for name, value in headers.items()}

    def __getitem__(self, name: str) -> str:
        return self._headers[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._headers


class InProcessClient(stripe.HTTPClient):  # type: ignore[misc,unused-ignore]
    """A `stripe.HTTPClient` whose other end is a Rehearsal in the same process.

    `timeout` is the caller's patience in seconds: an answer that would take longer is a connection error, and
    what was asked is still done, as with the real Stripe. `sleep` waits; give one that moves a virtual clock
    to test slowness without being slow, and it is used between the SDK's own retries too.
    """

    name = "rehearsal"

    def __init__(
        self,
        rehearsal: Rehearsal,
        timeout: float = _DEFAULT_TIMEOUT_SECONDS,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__()
        self._rehearsal = rehearsal
        self._timeout = timeout
        self._sleep = sleep or rehearsal._sleep

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        started = self._rehearsal.begin(make_request(method, url, headers or {}, post_data or b""))
        if started.wait + started.wait_after > self._timeout:
            self._sleep(self._timeout)
            self._rehearsal.finish(started)
            raise _not_answered(
                f"Request timed out after {self._timeout:g} s", TimeoutError("read timed out")
            )
        if started.wait:
            self._sleep(started.wait)
        answer = self._rehearsal.finish(started)
        if started.wait_after:
            self._sleep(started.wait_after)
        return _told(answer)

    async def request_async(  # type: ignore[override]  # the SDK says bytes and takes text as well
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        started = self._rehearsal.begin(make_request(method, url, headers, post_data or b""))
        if started.wait + started.wait_after > self._timeout:
            await asyncio.sleep(self._timeout)
            self._rehearsal.finish(started)
            raise _not_answered(
                f"Request timed out after {self._timeout:g} s", TimeoutError("read timed out")
            )
        await asyncio.sleep(started.wait)
        answer = self._rehearsal.finish(started)
        await asyncio.sleep(started.wait_after)
        return _told(answer)

    def request_stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        body, status, answered = self.request(method, url, headers, post_data)
        return BytesIO(body.encode()), status, answered

    async def request_stream_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[AsyncIterable[bytes], int, Any]:
        body, status, answered = await self.request_async(method, url, headers, post_data)

        async def once() -> Any:
            yield body.encode()

        return once(), status, answered

    def sleep_async(self, secs: float) -> Any:
        return asyncio.sleep(secs)

    def close(self) -> None:
        """Nothing is open."""

    async def close_async(self) -> None:
        """Nothing is open."""


def _told(answer: Answer) -> tuple[str, int, Mapping[str, str]]:
    if answer.dropped:
        raise _not_answered(
            "Unexpected error communicating with Stripe: the connection was closed.",
            ConnectionError("Connection aborted: the remote end closed the connection without response"),
        )
    if answer.cut:
        raise _not_answered(
            "Unexpected error communicating with Stripe: the connection was closed in the middle of the answer.",
            ConnectionError("Connection broken: IncompleteRead"),
        )
    return answer.body, answer.status, Headers(answer.headers)


def _not_answered(message: str, cause: Exception) -> stripe.APIConnectionError:
    error = stripe.APIConnectionError(message, should_retry=True)  # type: ignore[no-untyped-call]
    error.__cause__ = cause
    return error
