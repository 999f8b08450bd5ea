"""Move an order from one state to the next: the only writer of ``status``."""

from __future__ import annotations

from typing import Any

from todoku.order.models import Order, Status
from todoku.order.rules import check_move


def move(order: Order, to: Status, **facts: Any) -> None:
    """Move the order, whose row the caller has locked, and write the facts that come with the move.

    Raises ``ForbiddenMove`` when the table in ``order/rules.py`` does not allow it.
    """
    check_move(order.status, to)
    write(order, status=to, **facts)


def write(order: Order, **facts: Any) -> None:
    """Write facts to the order's row, and no others: what somebody else wrote meanwhile stays."""
    for name, value in facts.items():
        setattr(order, name, value)
    order.save(update_fields=list(facts))
