"""The HTTP door: an ASGI application in front of a rehearsal, for loopback only.

Calls of the API take a short way of their own, because a benchmark goes through here; everything else (the
panel, the pages a browser needs, the control door) is a Starlette application.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from rehearsal.answer import Answer, Request
from rehearsal.api import Rehearsal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 1024 * 1024
_ALLOWED_BY_CORS = b"authorization, content-type, idempotency-key, stripe-version"


def is_loopback(host: str) -> bool:
    """Tells whether a host name or address is this machine itself."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_loopback_origin(origin: str) -> bool:
    """Tells whether an origin such as `http://127.0.0.1:8000` is on this machine."""
    try:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and is_loopback(parts.hostname or "")
    except ValueError:
        return False


class Door:
    """The ASGI application: `/v1/…` and `/v2/…` go to the rehearsal, the rest to `pages`."""

    def __init__(self, rehearsal: Rehearsal, pages: App) -> None:
        self._rehearsal = rehearsal
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers[name.decode("latin-1")] = value.decode("latin-1")
        # A page elsewhere could point its own name at this machine; its name then stands in the Host header.
        if not _is_own_host(headers.get("host", "")):
            await _plain(send, 403, "The rehearsal answers on loopback names only.")
            return
        if not scope["path"].startswith(("/v1/", "/v2/")):
            await self._pages(scope, receive, send)
            return
        origin = headers.get("origin", "")
        cors: list[tuple[bytes, bytes]] = []
        if origin:
            cors.append((b"vary", b"Origin"))
            if is_loopback_origin(origin):
                cors.append((b"access-control-allow-origin", origin.encode("latin-1")))
                cors.append((b"access-control-expose-headers", b"Request-Id, Idempotent-Replayed"))
        if scope["method"] == "OPTIONS":
            cors.append((b"access-control-allow-methods", b"GET, POST, DELETE"))
            cors.append((b"access-control-allow-headers", _ALLOWED_BY_CORS))
            cors.append((b"access-control-max-age", b"600"))
            await _send(send, 204, cors, b"")
            return
        try:
            body = await _read(receive)
        except ConnectionResetError:
            # The caller died before it had said all. Nothing was asked, and there is nobody to answer.
            return
        if body is None:
            await _plain(send, 413, "The request is too large.")
            return
        raw_path = scope["path"]
        request = Request(
            scope["method"],
            unquote(raw_path) if "%" in raw_path else raw_path,
            headers,
            scope["query_string"].decode("latin-1"),
            body,
        )
        await self._answer(request, cors, send)

    async def _answer(self, request: Request, cors: list[tuple[bytes, bytes]], send: Send) -> None:
        started = self._rehearsal.begin(request)
        if started.wait:
            await asyncio.sleep(started.wait)
        answer = self._rehearsal.finish(started)
        if started.wait_after:
            await asyncio.sleep(started.wait_after)
        if answer.dropped:
            await _drop(send)
            return
        if answer.cut:
            await _cut(send, answer.status, _encoded(answer), answer.body.encode("utf-8", "surrogatepass"))
            return
        await _send(
            send, answer.status, cors + _encoded(answer), answer.body.encode("utf-8", "surrogatepass")
        )

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._rehearsal.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self._rehearsal.close)
                await send({"type": "lifespan.shutdown.complete"})
                return


def _is_own_host(host: str) -> bool:
    if host.startswith("["):
        return is_loopback(host.partition("]")[0])
    return is_loopback(host.partition(":")[0])


def _encoded(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in answer.headers.items()
    ]


async def _read(receive: Receive) -> bytes | None:
    """The request's whole body; None for one that is too large. Raises ConnectionResetError for half of one."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the caller has gone")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        more = bool(message.get("more_body"))
    return body


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _plain(send: Send, status: int, text: str) -> None:
    await _send(send, status, [(b"content-type", b"text/plain; charset=utf-8")], f"{text}\n".encode())


async def _cut(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Promises the whole answer, sends half of it, and breaks the connection."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    await asyncio.sleep(0.01)
    await _drop(send)


async def _drop(send: Send) -> None:
    """Breaks the connection, which is what a lost answer looks like to the caller."""
    # ASGI has no word for this. Under uvicorn, `send` belongs to the object that holds the transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("the server under the rehearsal offers no way to drop a connection")
    transport.abort()
    # The server learns of it in its next turn; only then may this call end without an answer.
    for _ in range(3):
        await asyncio.sleep(0)
