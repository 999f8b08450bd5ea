"""An order's states as a table, and its number: pure, imports no Django."""

from __future__ import annotations

import secrets
from datetime import date

#: Which state may follow which. A status never goes back to an earlier promise: once paid, an order goes
#: forward only. NOT_PAID goes to PLACED when the shopper tries another card, and to PAID when a payment that
#: was given up comes through after all. WRITTEN_OFF is a person's word, never the machine's: this order will not
#: be carried out, and nothing touches it any more.
MOVES: dict[str, frozenset[str]] = {
    "placed": frozenset({"not_paid", "canceled", "paid", "written_off"}),
    "not_paid": frozenset({"placed", "canceled", "paid", "written_off"}),
    "canceled": frozenset({"paid", "written_off"}),
    "paid": frozenset({"recorded", "written_off"}),
    "recorded": frozenset({"complete", "written_off"}),
    "complete": frozenset(),
    "written_off": frozenset(),
}

#: States in which nothing is left for the machine to do.
AT_REST = frozenset({"complete", "canceled", "written_off"})
#: States in which the money is Stripe's word, and the flow can only go forward.
PAID = frozenset({"paid", "recorded", "complete"})

#: Digits and capitals that nobody mixes up on the phone (Crockford's Base32).
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class ForbiddenMove(Exception):
    """An order was asked to go to a state that its table does not allow."""


def may_move(before: str, after: str) -> bool:
    """Say whether an order may go from one state to another."""
    return after in MOVES[before]


def check_move(before: str, after: str) -> None:
    """Raise ForbiddenMove unless an order may go from one state to the other."""
    if not may_move(before, after):
        raise ForbiddenMove(f"{before} -> {after}")


def unreachable(start: str = "placed") -> set[str]:
    """Name the states that no order can ever reach; the table has none (a test says so)."""
    seen, ahead = {start}, [start]
    while ahead:
        for after in MOVES[ahead.pop()]:
            if after not in seen:
                seen.add(after)
                ahead.append(after)
    return set(MOVES) - seen


def new_number(day: date) -> str:
    """Make an order number that can be said on the phone: T261122-7KQ2XA (the day is JST).

    It is random, so that it tells nobody how many orders the shop has; the database keeps it unique.
    """
    return f"T{day:%y%m%d}-" + "".join(secrets.choice(ALPHABET) for _ in range(6))
