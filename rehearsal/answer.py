"""What goes into the rehearsal and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Request:
    """A request as it came: the method, the path without its query, the headers in lower case, the parameters."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: str = ""
    body: bytes = b""
    params: dict[str, Any] = field(default_factory=dict)
    """The parameters as they were sent, decoded into nested dictionaries; every leaf is still text."""
    publishable: bool = False
    """Whether it was sent with the publishable key, as a browser does."""
    id: str = ""

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("idempotency-key") or None


@dataclass(slots=True)
class Answer:
    """An answer: the status, the headers and the body.

    `dropped` means that the caller never gets to see it, `cut` that the connection breaks in the middle of it.
    """

    status: int
    headers: dict[str, str]
    body: str
    dropped: bool = False
    cut: bool = False
