"""Ids in an answer can be expanded into the objects they name (https://docs.stripe.com/api/expanding_objects)."""

from __future__ import annotations

from rehearsal.balance import as_it_is
from rehearsal.errors import invalid
from rehearsal.store import Json, Store

_TABLE_OF = {
    "balance_transaction": "balance_transactions",
    "charge": "charges",
    "customer": "customers",
    "failure_balance_transaction": "balance_transactions",
    "latest_charge": "charges",
    "payment_intent": "payment_intents",
    "payment_method": "payment_methods",
}
DEEPEST = 4


def expanded(store: Store, body: Json, wishes: list[str], now: int) -> Json:
    """Answers the body with every wished-for id replaced by its object; the stored objects stay untouched.

    A wish that cannot be granted is a 400 that is kept under the idempotency key, since the work is done by then.
    """
    for wish in wishes:
        steps = wish.split(".")
        if len(steps) > DEEPEST + 1:
            raise invalid("You can only expand up to four levels", param="expand")
        body = _expand(store, body, steps, wish, now)
    return body


def _expand(store: Store, value: Json, steps: list[str], wish: str, now: int) -> Json:
    first, rest = steps[0], steps[1:]
    if first == "refunds" and value.get("object") == "charge":
        # The one list that is left out unless it is asked for.
        rows = [row for row in store.table("refunds").newest_first() if row["charge"] == value["id"]]
        value = {
            **value,
            "refunds": {
                "object": "list",
                "data": rows[:10],
                "has_more": len(rows) > 10,
                "url": f"/v1/charges/{value['id']}/refunds",
            },
        }
    if first not in value:
        raise invalid(f"This property cannot be expanded ({wish[:80]}).", param="expand")
    inner = value[first]
    if isinstance(inner, str):
        table = _TABLE_OF.get(first)
        if table is None:
            raise invalid(f"This property cannot be expanded ({wish[:80]}).", param="expand")
        found = store.get(table, inner)
        inner = inner if found is None else as_it_is(found, now) if table == "balance_transactions" else found
    if not rest or inner is None:
        return {**value, first: inner}
    if isinstance(inner, list):
        return {**value, first: [_expand(store, row, rest, wish, now) for row in inner]}
    if isinstance(inner, dict):
        return {**value, first: _expand(store, inner, rest, wish, now)}
    raise invalid(f"This property cannot be expanded ({wish[:80]}).", param="expand")
