"""An order's states: what may follow what, and that nothing else may."""

from __future__ import annotations

import itertools
from datetime import date

import pytest

from todoku.order.models import Status
from todoku.order.rules import AT_REST, MOVES, PAID, ForbiddenMove, check_move, new_number, unreachable

#: How far an order has come; "canceled" and "not_paid" stand beside the way, and a person's "written_off" ends it.
FORWARD = ("paid", "recorded", "complete")


def test_the_table_names_every_state_and_leads_to_each() -> None:
    assert set(MOVES) == {str(status) for status in Status}
    assert unreachable() == set()


@pytest.mark.parametrize(("before", "after"), list(itertools.product(MOVES, MOVES)))
def test_a_move_that_is_not_in_the_table_is_refused(before: str, after: str) -> None:
    if after in MOVES[before]:
        check_move(before, after)
        return
    with pytest.raises(ForbiddenMove, match=f"{before} -> {after}"):
        check_move(before, after)


def test_a_paid_order_only_goes_forward() -> None:
    for before, after in itertools.product(FORWARD, MOVES):
        if after in MOVES[before] - {"written_off"}:
            assert after in FORWARD
            assert FORWARD.index(after) > FORWARD.index(before)
    assert set(FORWARD) == PAID


def test_money_is_never_refused_by_a_state() -> None:
    for before in MOVES:
        # Only a person's word is stronger; what comes in after it is found by reconciliation.
        assert before in PAID or "paid" in MOVES[before] or before == "written_off", before
    assert {"complete", "canceled", "written_off"} == AT_REST


def test_what_was_carried_out_is_not_written_off_and_what_was_written_off_stays_so() -> None:
    assert {before for before in MOVES if "written_off" in MOVES[before]} == set(MOVES) - {"complete", "written_off"}
    assert MOVES["written_off"] == frozenset()


def test_a_number_tells_its_day_and_nothing_else() -> None:
    numbers = {new_number(date(2026, 11, 22)) for _ in range(200)}
    assert len(numbers) == 200
    assert all(number.startswith("T261122-") and len(number) == 14 for number in numbers)
