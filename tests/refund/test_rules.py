"""What a refund may be over, what it may become, and who has to say yes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todoku.refund import rules
from todoku.refund.models import State
from todoku.refund.rules import Goods, Part, Wish, Wrong, all_of, priced

GOODS = [Goods(1, 4800, 2), Goods(2, 1000, 3, refunded=1)]


def wish(lines: dict[int, Part] | None = None, *, shipping: int = 0, other: int = 0) -> Wish:
    return Wish("damaged", "leg broken", lines or {}, shipping, other)


def test_a_refund_by_lines_comes_to_their_prices() -> None:
    asked = wish({1: Part(1, True), 2: Part(2, False)}, shipping=600, other=50)
    assert priced(asked, GOODS, shipping_left=800, left=20_000) == ({1: 4800, 2: 2000}, 7450)


@pytest.mark.parametrize(
    ("asked", "code", "most"),
    [
        (wish({1: Part(3, True)}), "too_many", 2),
        (wish({2: Part(3, True)}), "too_many", 2),
        (wish({1: Part(0, True)}), "too_many", 2),
        (wish({1: Part(-1, True)}), "too_many", 2),
        (wish({9: Part(1, True)}), "unknown_line", 0),
        (wish({1: Part(1, True, 4801)}), "too_much", 4800),
        (wish({1: Part(1, True, -1)}), "too_much", 4800),
        (wish(shipping=801), "too_much_shipping", 800),
        (wish(shipping=-1), "too_much_shipping", 800),
        (wish(other=-1), "nothing", 0),
        (wish(), "nothing", 0),
        (wish(other=7001), "more_than_left", 7000),
        (wish({1: Part(2, True)}), "more_than_left", 7000),
    ],
)
def test_what_the_order_does_not_hold_is_refused(asked: Wish, code: str, most: int) -> None:
    with pytest.raises(Wrong) as wrong:
        priced(asked, GOODS, shipping_left=800, left=7000)
    assert (wrong.value.code, wrong.value.most) == (code, most)


@given(
    st.lists(st.tuples(st.integers(1, 9999), st.integers(1, 9), st.integers(0, 9)), max_size=5),
    st.integers(0, 2000),
    st.integers(0, 100_000),
)
def test_all_that_is_left_is_always_exactly_that(
    lines: list[tuple[int, int, int]], shipping: int, spent: int
) -> None:
    goods = [Goods(n, price, count, min(gone, count)) for n, (price, count, gone) in enumerate(lines)]
    whole = sum(line.unit_price * line.quantity for line in goods) + shipping
    left = max(0, whole - spent)
    asked = all_of(goods, shipping_left=shipping, left=left, reason="canceled", note="x", back=True, mail=True)
    if left:
        assert priced(asked, goods, shipping_left=shipping, left=left)[1] == left
    assert all(part.quantity == goods[line].left for line, part in asked.lines.items())


def test_slices_under_the_limit_need_a_second_person_once_they_add_up_to_more() -> None:
    assert not rules.needs_two(30_000, 0, 30_000)
    assert rules.needs_two(30_001, 0, 30_000)
    assert rules.needs_two(1, 30_000, 30_000)


def test_the_table_of_moves_knows_every_state_and_the_end_is_the_end() -> None:
    assert set(rules.MOVES) == set(State.values)
    assert {state for state, after in rules.MOVES.items() if not after} == {
        "failed", "canceled", "refused", "rejected", "withdrawn",
    }  # fmt: skip
    # What is lost is not counted, so that it can be refunded again; all else that was said yes to is.
    assert set(State.values) - rules.LOST - {"rejected", "withdrawn"} == rules.COUNTED
    assert not any(rules.may_move(state, "approved") for state in rules.MOVES if state != "requested")
    assert not any(rules.may_move(state, "withdrawn") for state in rules.AT_STRIPE | {"asked"})


def test_a_waiting_refund_is_looked_at_soon_and_then_four_times_a_day() -> None:
    since = now = datetime(2026, 11, 1, tzinfo=UTC)
    looks = 0
    while now < since + timedelta(days=45):
        following = rules.next_look(since, now)
        assert timedelta(minutes=1) <= following - now <= timedelta(hours=6)
        now, looks = following, looks + 1
    assert looks < 200
