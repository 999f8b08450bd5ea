"""Take out of a text what must not leave the shop: secrets, the link that opens an order, mail addresses, phones."""

from __future__ import annotations

import re
from typing import Any

_RULES = (
    # Stripe's client secrets, keys and tokens
    (re.compile(r"_secret_\w+"), "_secret_…"),
    (re.compile(r"\b(sk|rk|pk)_(live|test)_\w+"), r"\1_\2_…"),
    (re.compile(r"\bwhsec_\w+"), "whsec_…"),
    (re.compile(r"\bctoken_\w+"), "ctoken_…"),
    # An order's own address
    (re.compile(r"/(orders|mypage)/[\w-]{20,}"), r"/\1/…"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "…@…"),
    (re.compile(r"(?<![\w-])0[789]0-?\d{4}-?\d{4}(?!\d)"), "…"),
    # Thirteen to nineteen digits in a row, as a card has them
    (re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])"), "…"),
    # What PostgreSQL quotes of a row
    (re.compile(r"^(\s*(?:DETAIL|CONTEXT):).*$", re.M), r"\1 …"),
)
#: Names of fields that are never passed on, whatever they hold.
_NEVER = re.compile(
    r"(?i)secret|password|passwd|token|authorization|cookie|csrf|session|address|email|phone|name_kana|kana$|postal"
    r"|street|building|card"
)


def text(said: str) -> str:
    """The text without what must not leave the shop."""
    for found, instead in _RULES:
        said = found.sub(instead, said)
    return said


def anything(value: Any, name: str = "") -> Any:
    """The same for all that stands inside of something, by its fields' names too."""
    if isinstance(value, dict):
        return {key: anything(inside, str(key)) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [anything(inside, name) for inside in value]
    if name and _NEVER.search(name) and value not in (None, "", True, False):
        return "…"
    return text(value) if isinstance(value, str) else value
