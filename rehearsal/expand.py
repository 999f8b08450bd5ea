"""Ids in an answer can be expanded into the objects they name (https://docs.stripe.com/api/expanding_objects)."""

from __future__ import annotations

from rehearsal.errors import invalid
from rehearsal.store import Json, Store

_TABLE_OF = {
    "charge": "charges",
    "latest_charge": "charges",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
}
DEEPEST = 4


def expanded(store: Store, body: Json, wishes: list[str]) -> Json:
    """Answers the body with every wished-for id replaced by its object; the stored objects stay untouched.

    A wish that cannot be granted is a 400 that is kept under the idempotency key, since the work is done by then.
    """
    for wish in wishes:
        steps = wish.split(".")
        if len(steps) > DEEPEST + 1:
            raise invalid("You can only expand up to four levels", param="expand")
        body = _expand(store, body, steps, wish)
    return body


def _expand(store: Store, value: Json, steps: list[str], wish: str) -> Json:
    first, rest = steps[0], steps[1:]
    if first not in value:
        raise invalid(f"This property cannot be expanded ({wish[:80]}).", param="expand")
    inner = value[first]
    if isinstance(inner, str):
        table = _TABLE_OF.get(first)
        if table is None:
            raise invalid(f"This property cannot be expanded ({wish[:80]}).", param="expand")
        inner = store.get(table, inner) or inner
    if not rest or inner is None:
        return {**value, first: inner}
    if isinstance(inner, list):
        return {**value, first: [_expand(store, row, rest, wish) for row in inner]}
    if isinstance(inner, dict):
        return {**value, first: _expand(store, inner, rest, wish)}
    raise invalid(f"This property cannot be expanded ({wish[:80]}).", param="expand")
