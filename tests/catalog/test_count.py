"""Counting the stock."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from todoku.catalog.models import Product
from todoku.stock.count import adjust, count
from todoku.stock.models import Level, Movement


def product(sku: str) -> Product:
    return Product.objects.create(
        sku=sku,
        name_ja=sku,
        name_en=sku,
        price=100,
        tax_class="reduced",
        temperature="chilled",
        parcel_size=60,
    )


@pytest.mark.django_db
class TestCounting:
    """One person counts."""

    def test_what_was_counted_is_on_hand_and_the_difference_is_a_movement(self) -> None:
        first, second = product("A"), product("B")
        assert count({first.pk: 5, second.pk: 0}, who="hanako", why="opening") == {first.pk: 5}
        assert count({first.pk: 3, second.pk: 2}, who="hanako", why="recount") == {first.pk: -2, second.pk: 2}
        assert list(Movement.objects.order_by("id").values_list("product__sku", "kind", "on_hand", "who", "why")) == [
            ("A", "counted", 5, "hanako", "opening"),
            ("A", "counted", -2, "hanako", "recount"),
            ("B", "counted", 2, "hanako", "recount"),
        ]
        assert dict(Level.objects.values_list("product__sku", "on_hand")) == {"A": 3, "B": 2}

    def test_what_is_reserved_or_sold_is_not_counted_away(self) -> None:
        first = product("A")
        Level.objects.create(product=first, on_hand=1, reserved=2, sold=3)
        count({first.pk: 9}, who="x", why="y")
        assert Level.objects.values("on_hand", "reserved", "sold").get() == {
            "on_hand": 9,
            "reserved": 2,
            "sold": 3,
        }

    def test_nobody_counts_or_takes_less_than_nothing(self) -> None:
        first, second = product("A"), product("B")
        with pytest.raises(ValueError, match="less than nothing"):
            count({first.pk: -1}, who="x", why="y")
        adjust({first.pk: 5}, who="x", why="y")
        with pytest.raises(ValueError, match="too much"):
            adjust({first.pk: -6, second.pk: 4}, who="x", why="y")
        assert Movement.objects.count() == 1
        assert Level.objects.get(product=first).on_hand == 5

    def test_a_long_name_or_reason_is_cut_and_not_an_error(self) -> None:
        count({product("A").pk: 5}, who="w" * 999, why="y" * 999)
        assert Movement.objects.get().why == "y" * 200


@pytest.mark.django_db(transaction=True)
def test_two_who_count_at_once_lose_no_movement_and_never_wait_in_a_circle() -> None:
    made = [product(f"P{number}") for number in range(6)]
    start = threading.Barrier(4)
    failed: list[Exception] = []

    def receive(number: int) -> None:
        try:
            start.wait()
            order = made if number % 2 else made[::-1]
            for _ in range(5):
                adjust({each.pk: 1 for each in order}, who=f"person {number}", why="delivery")
        except Exception as error:  # told by the assertion below
            failed.append(error)
        finally:
            connections.close_all()

    people = [threading.Thread(target=receive, args=(number,)) for number in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert not failed
    assert set(Level.objects.values_list("on_hand", flat=True)) == {20}
    assert Movement.objects.count() == 6 * 20
