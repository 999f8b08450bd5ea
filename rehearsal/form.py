"""Stripe's v1 API takes form fields whose names carry brackets: `card[number]=…&types[0]=…`."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

MOST_FIELDS = 1000
DEEPEST = 10


class BadForm(ValueError):
    """The body is not a form that can be read."""


def pairs(text: str) -> list[tuple[str, str]]:
    """Reads a form or a query into its pairs, in the order in which they were sent."""
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError) as wrong:
        raise BadForm(f"The request body could not be read as a form: {wrong}") from None


def nested(fields: list[tuple[str, str]]) -> dict[str, Any]:
    """Puts bracketed names into nested dictionaries; an array is a dictionary whose keys are numbers.

    `a[b]=1` becomes {"a": {"b": "1"}} and `t[]=x&t[]=y` becomes {"t": {"0": "x", "1": "y"}}.
    """
    root: dict[str, Any] = {}
    for name, value in fields:
        if "[" not in name:
            root[name] = value
            continue
        first, rest = name.split("[", 1)
        if not rest.endswith("]"):
            raise BadForm(f"Invalid parameter name: {name[:80]}")
        steps = [first, *rest[:-1].split("][")]
        if len(steps) > DEEPEST:
            raise BadForm(f"Parameter nested too deeply: {name[:80]}")
        here = root
        for step in steps[:-1]:
            below = here.setdefault(step if step else str(len(here)), {})
            if not isinstance(below, dict):
                raise BadForm(f"Parameter given twice, once as a value and once as a hash: {name[:80]}")
            here = below
        last = steps[-1]
        here[last if last else str(len(here))] = value
    return root
