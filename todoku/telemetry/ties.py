"""What ties lines, traces and faults together: the order, its execution, its payment at Stripe, and the request.

A tie is set where the work begins (a request, a play) and holds for all that happens in it, whoever writes the line.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from todoku.telemetry import tracing

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

#: The names that a tie may have, in the order in which a line shows them.
NAMES = ("request", "order", "execution", "payment_intent", "step")

_ties: ContextVar[dict[str, str]] = ContextVar("todoku_ties")
_WELL_FORMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")


def present() -> dict[str, str]:
    """The ties that hold now."""
    return _ties.get({})


def note(**ties: str | None) -> None:
    """Tie all that follows in this work to these; empty ones are left out."""
    known = {name: str(value) for name, value in ties.items() if value}
    _ties.set({**present(), **known})
    tracing.mark(known)


@contextlib.contextmanager
def fresh(**ties: str | None) -> Iterator[None]:
    """Begin a piece of work: what is noted in it does not outlive it."""
    token = _ties.set({})
    try:
        note(**ties)
        yield
    finally:
        _ties.reset(token)


@contextlib.contextmanager
def during(**ties: str | None) -> Iterator[None]:
    """Add ties for a part of the work."""
    token = _ties.set({**present(), **{name: str(value) for name, value in ties.items() if value}})
    try:
        yield
    finally:
        _ties.reset(token)


def request_id(claimed: str) -> str:
    """The request's id: the one that a proxy has given it, if it is well-formed, or a new one."""
    return claimed if _WELL_FORMED.fullmatch(claimed) else uuid.uuid4().hex


class TiesMiddleware:
    """Gives every request its id, in its lines, its trace and its answer (``X-Request-ID``)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        named = request_id(request.headers.get("X-Request-ID", ""))
        with fresh(), tracing.span("request", {"http.request.method": request.method or ""}) as span:
            note(request=named)
            response = self.get_response(request)
            match = request.resolver_match
            # The route, not the path: an order's path opens the order.
            tracing.name(span, f"{request.method} /{match.route if match else ''}")
            tracing.mark({"http.response.status_code": str(response.status_code)}, span)
        response["X-Request-ID"] = named
        return response
