"""Parameters are described by small functions that read a text into a value or say what is wrong with it.

What is refused here is refused before the endpoint begins, so it is never kept under an idempotency key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rehearsal.errors import ApiError, malformed, not_offered

Kind = Callable[[Any, str], Any]
Shape = dict[str, Kind]

_INTEGER = re.compile(r"-?\d{1,18}\Z")
_UNREADABLE = re.compile(r"[\x00\ud800-\udfff]")


def integer(value: Any, name: str) -> int:
    if not isinstance(value, str) or not _INTEGER.match(value):
        raise malformed(f"Invalid integer: {_shown(value)}", param=name, code="parameter_invalid_integer")
    return int(value)


def boolean(value: Any, name: str) -> bool:
    if value == "true":
        return True
    if value == "false":
        return False
    raise malformed(f"Invalid boolean: {_shown(value)}", param=name)


def text(most: int = 5000) -> Kind:
    """A text of at most so many characters (5,000 is Stripe's usual limit)."""

    def read(value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise malformed("Invalid string", param=name)
        if len(value) > most:
            raise malformed(f"Invalid string: must be at most {most} characters", param=name)
        if _UNREADABLE.search(value):
            raise malformed("Invalid string: it holds characters that are not text", param=name)
        return value

    return read


def choice(*allowed: str) -> Kind:
    names = ", ".join(allowed)

    def read(value: Any, name: str) -> str:
        if value not in allowed:
            raise malformed(f"Invalid {name}: must be one of {names}", param=name)
        return str(value)

    return read


def emptyable(kind: Kind) -> Kind:
    """An empty text takes the value away; it is read as None."""

    def read(value: Any, name: str) -> Any:
        return None if value == "" else kind(value, name)

    return read


def array(kind: Kind, most: int = 1000) -> Kind:
    def read(value: Any, name: str) -> list[Any]:
        if value == "":
            return []
        if not isinstance(value, dict) or not all(key.isdigit() for key in value) or len(value) > most:
            raise malformed("Invalid array", param=name)
        return [kind(value[key], f"{name}[{key}]") for key in sorted(value, key=int)]

    return read


def hash_of(shape: Shape) -> Kind:
    def read(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise malformed("Invalid object", param=name)
        return check(value, shape, name)

    return read


def metadata(value: Any, name: str) -> dict[str, str] | None:
    """Up to 50 keys of up to 40 characters with values of up to 500 (https://docs.stripe.com/api/metadata)."""
    if value == "":
        return None
    if not isinstance(value, dict) or len(value) > 50:
        raise malformed("Invalid metadata: it must be a hash of at most 50 keys", param=name)
    read_value = text(500)
    for key in value:
        if len(key) > 40 or "[" in key or "]" in key:
            raise malformed("Metadata keys have at most 40 characters and no brackets", param=name)
    return {key: read_value(inner, f"{name}[{key}]") for key, inner in value.items()}


def missing_here(why: str) -> Kind:
    """A parameter that Stripe has and the rehearsal has not."""

    def refuse(value: Any, name: str) -> Any:
        raise not_offered(name, why)

    return refuse


def any_of(*kinds: Kind) -> Kind:
    """The first kind that can read the value does."""

    def read(value: Any, name: str) -> Any:
        for kind in kinds[:-1]:
            try:
                return kind(value, name)
            except ApiError:  # not of this kind, then perhaps of the next
                pass
        return kinds[-1](value, name)

    return read


def check(given: dict[str, Any], shape: Shape, inside: str = "") -> dict[str, Any]:
    """Reads every parameter by its kind; one that the endpoint does not know is refused, as Stripe does."""
    read: dict[str, Any] = {}
    for name, value in given.items():
        full = f"{inside}[{name}]" if inside else name
        kind = shape.get(name)
        if kind is None:
            raise malformed(
                f"Received unknown parameter: {full[:100]}", param=full[:100], code="parameter_unknown"
            )
        read[name] = kind(value, full)
    return read


def merged_metadata(old: dict[str, str], given: dict[str, str] | None) -> dict[str, str]:
    """Adds metadata the way Stripe does: an empty value takes its key away, an empty hash takes all away."""
    if given is None:
        return {}
    merged = {**old, **given}
    return {key: value for key, value in merged.items() if value != ""}


def _shown(value: Any) -> str:
    return str(value)[:40]


ADDRESS: Shape = {
    name: emptyable(text()) for name in ("city", "country", "line1", "line2", "postal_code", "state", "town")
}
BILLING: Shape = {
    "address": emptyable(hash_of(ADDRESS)),
    "email": emptyable(text(800)),
    "name": emptyable(text()),
    "phone": emptyable(text()),
    "tax_id": text(),
}
SHIPPING: Shape = {
    "address": hash_of(ADDRESS),
    "carrier": text(),
    "name": text(),
    "phone": text(),
    "tracking_number": text(),
}
EXPAND: Kind = array(text(200), most=20)
CREATED: Kind = any_of(hash_of({"gt": integer, "gte": integer, "lt": integer, "lte": integer}), integer)
PAGING: Shape = {
    "limit": integer,
    "starting_after": text(200),
    "ending_before": text(200),
    "expand": EXPAND,
}
