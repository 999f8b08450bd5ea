"""The cart: what it takes in, what it refuses, and two presses at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.utils import translation

from tests import shop
from todoku.cart import fill
from todoku.cart.models import MOST_LINES, MOST_OF_ONE, Cart
from todoku.catalog.models import Product

ODD_QUANTITIES = [
    "", " ", "NaN", "nan", "inf", "1e3", "1.5", "0x10", "１．５", "三", "two", "1 2", "1\x00", "\x00", "🦀", "--1",
    "+1", "1,000", None, 1.0, True, ["1"],
]  # fmt: skip


@pytest.mark.parametrize("typed", ODD_QUANTITIES)
def test_a_quantity_that_is_no_whole_number_is_refused_with_words(typed: object) -> None:
    with pytest.raises(fill.CannotHold) as refusal:
        fill.read_quantity(typed)
    assert refusal.value.code == "not_a_number"
    with translation.override("en"):
        assert "1 to 99" in refusal.value.message


@pytest.mark.parametrize(("typed", "code"), [("-1", "too_few"), ("−5", "too_few"), ("100", "too_many")])
def test_a_quantity_out_of_bounds_is_refused_with_what_to_do(typed: str, code: str) -> None:
    with pytest.raises(fill.CannotHold) as refusal:
        fill.read_quantity(typed)
    assert refusal.value.code == code


@pytest.mark.parametrize("typed", ["9" * 20, "9" * 5000, "000000000000000000000100", str(2**63), str(2**31)])
def test_a_huge_quantity_is_refused_without_being_computed(typed: str) -> None:
    with pytest.raises(fill.CannotHold):
        fill.read_quantity(typed)


@pytest.mark.parametrize(("typed", "read"), [("１２", 12), (" 3 ", 3), ("007", 7), (5, 5), ("0", 0)])
def test_a_quantity_is_read_as_shoppers_type_it(typed: object, read: int) -> None:
    assert fill.read_quantity(typed) == read


@pytest.mark.parametrize("sku", ["", "NO-SUCH", "KANI\x00", "\x00", "k" * 65, "' OR 1=1 --", "🦀", "KANI\u202e"])
@pytest.mark.django_db
def test_an_unknown_product_cannot_be_put_in(sku: str) -> None:
    shop.sell()
    with pytest.raises(fill.CannotHold) as refusal:
        fill.put(shop.new_shopper(), sku, 1)
    assert refusal.value.code == "unknown"
    assert not Cart.objects.exists()


@pytest.mark.django_db
def test_a_withdrawn_product_cannot_be_put_in() -> None:
    shop.sell(on_sale=False)
    with pytest.raises(fill.CannotHold, match=r".") as refusal:
        fill.put(shop.new_shopper(), "KANI", 1)
    assert refusal.value.code == "withdrawn"


@pytest.mark.django_db
def test_every_real_change_is_a_new_version_and_nothing_else_is() -> None:
    shop.sell()
    name = shop.new_shopper()
    versions = [fill.put(name, "KANI", 2).version]
    versions.append(fill.put(name, "KANI", 1).version)
    versions.append(fill.change(name, "KANI", 5).version)
    assert versions == sorted(set(versions))
    assert fill.change(name, "KANI", "５").version == versions[-1]
    cart = fill.take_out(name, "NOTHING")
    assert cart is not None
    assert cart.version == versions[-1]
    cart = fill.take_out(name, "KANI")
    assert cart is not None
    assert cart.version == versions[-1] + 1
    assert fill.count(name) == 0


@pytest.mark.django_db
def test_a_quantity_of_nothing_takes_the_line_out() -> None:
    shop.sell()
    name = shop.new_shopper()
    fill.put(name, "KANI", 2)
    assert not fill.change(name, "KANI", "0").lines.exists()


@pytest.mark.django_db
def test_a_cart_has_a_most_of_one_product_and_a_most_of_products() -> None:
    for number in range(MOST_LINES + 1):
        shop.sell(f"P{number}")
    name = shop.new_shopper()
    fill.put(name, "P0", MOST_OF_ONE)
    with pytest.raises(fill.CannotHold, match="99") as refusal:
        fill.put(name, "P0", 1)
    assert refusal.value.code == "too_many"
    for number in range(1, MOST_LINES):
        fill.put(name, f"P{number}", 1)
    with pytest.raises(fill.CannotHold, match=str(MOST_LINES)) as refusal:
        fill.put(name, f"P{MOST_LINES}", 1)
    assert refusal.value.code == "too_many_products"
    assert fill.count(name) == MOST_OF_ONE + MOST_LINES - 1


@pytest.mark.django_db
def test_nobody_changes_another_shoppers_cart() -> None:
    shop.sell()
    mine = fill.put(shop.new_shopper(), "KANI", 2)
    stranger = shop.new_shopper()
    with pytest.raises(fill.CannotHold):
        fill.change(stranger, "KANI", 9)
    assert fill.take_out(stranger, "KANI") is None
    with pytest.raises(fill.CannotHold):
        fill.change("", "KANI", 9)
    assert [line.quantity for line in fill.held(mine)] == [2]


def _at_once(times: int, act: Callable[[], object]) -> list[object]:
    def one(_number: int) -> object:
        try:
            return act()
        except fill.CannotHold as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))


def test_first_presses_at_once_make_one_cart_and_lose_nothing(crab: Product) -> None:
    name = shop.new_shopper()
    _at_once(8, lambda: fill.put(name, "KANI", 1))
    [cart] = Cart.objects.filter(shopper=name)
    assert [line.quantity for line in fill.held(cart)] == [8]


def test_presses_at_once_never_get_past_the_most(crab: Product) -> None:
    name = shop.new_shopper()
    fill.put(name, "KANI", MOST_OF_ONE - 3)
    answers = _at_once(8, lambda: fill.put(name, "KANI", 1))
    assert answers.count("too_many") == 5
    assert fill.count(name) == MOST_OF_ONE


@pytest.mark.django_db
def test_reading_a_cart_takes_two_queries_however_much_it_holds(django_assert_num_queries: object) -> None:
    name = shop.new_shopper()
    for number in range(5):
        shop.sell(f"P{number}")
        fill.put(name, f"P{number}", 1)
    with django_assert_num_queries(2):  # type: ignore[operator]
        cart = fill.current(name)
        assert cart is not None
        assert [line.product.sku for line in fill.held(cart)] == [f"P{number}" for number in range(5)]
