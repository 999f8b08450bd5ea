"""The quote, asked of a real database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from todoku.cart.models import Cart, Line
from todoku.catalog.models import Product
from todoku.quote import messages, rules
from todoku.quote.ask import CannotQuote, Change, ChangeKind, changes, fresh, keep_details, quote
from todoku.quote.models import Draft, Quote, RemoteIsland, ShippingFee, ShippingRule, TaxRate

pytestmark = pytest.mark.django_db

DETAILS: dict[str, object] = {
    "name": "小樽 花子",
    "kana": "オタル ハナコ",
    "email": "hanako@example.jp",
    "phone": "0134000000",
    "postal_code": "0470007",
    "prefecture": "北海道",
    "city": "小樽市",
    "street": "港町1-1",
    "building": "",
    "wished_on": None,
}


def product(sku: str = "KANI", **other: object) -> Product:
    fields: dict[str, object] = {
        "sku": sku,
        "name_ja": f"毛がに{sku}",
        "name_en": f"Crab {sku}",
        "price": 4800,
        "tax_class": "reduced",
        "temperature": "chilled",
        "parcel_size": 80,
        **other,
    }
    return Product.objects.create(**fields)


@pytest.fixture(autouse=True)
def tables(db: None) -> None:
    for tax_class, percent, day in [
        ("standard", 8, date(2014, 4, 1)),
        ("standard", 10, date(2019, 10, 1)),
        ("reduced", 8, date(2019, 10, 1)),
    ]:
        TaxRate.objects.create(tax_class=tax_class, percent=percent, starts_on=day)
    ShippingFee.objects.bulk_create(
        ShippingFee(region=region, size=size, temperature=temperature, fee=size * 7 + 40)
        for region in ("hokkaido", "kanto")
        for size in rules.SIZES
        for temperature in ("ambient", "chilled")
    )
    ShippingRule.objects.create(free_above=15_000)
    RemoteIsland.objects.create(postal_prefix="0971", fee=660, name_ja="礼文島", name_en="Rebun Island")


@pytest.fixture
def crab() -> Product:
    return product()


@pytest.fixture
def cart(crab: Product) -> Cart:
    cart = Cart.objects.create(shopper="a" * 64)
    Line.objects.create(cart=cart, product=crab, quantity=1)
    keep_details(cart, DETAILS, language="ja")
    return cart


# The details


def test_new_details_make_a_new_version_of_the_cart_and_the_same_details_do_not() -> None:
    cart = Cart.objects.create(shopper="b" * 64)
    assert keep_details(cart, DETAILS, language="ja") is True
    assert cart.version == 2
    assert keep_details(cart, dict(DETAILS), language="en") is False
    assert keep_details(cart, {**DETAILS, "wished_on": date(2026, 12, 24)}, language="ja") is True
    cart.refresh_from_db()
    assert cart.version == 3
    assert Draft.objects.get(cart=cart).wished_on == date(2026, 12, 24)


def test_a_field_that_is_no_detail_is_refused() -> None:
    cart = Cart.objects.create(shopper="b" * 64)
    with pytest.raises(ValueError, match="total"):
        keep_details(cart, {**DETAILS, "total": 1}, language="ja")


# The quote


def test_the_crab_to_hokkaido_costs_5400_yen(cart: Cart) -> None:
    answer = quote(cart)
    assert (answer.goods_total, answer.shipping, answer.total) == (4800, 600, 5400)
    assert answer.taxes == [
        {"percent": 10, "base": 600, "tax": 54},
        {"percent": 8, "base": 4800, "tax": 355},
    ]
    assert answer.parcels == [{"temperature": "chilled", "size": 80, "fee": 600, "remote": 0}]
    assert [(line.sku, line.unit_price, line.quantity, line.percent) for line in answer.lines.all()] == [
        ("KANI", 4800, 1, 8)
    ]
    assert answer.cart_version == cart.version == 2


def test_the_same_quote_answers_as_long_as_nothing_changed(cart: Cart) -> None:
    first = quote(cart)
    assert quote(cart).pk == first.pk
    assert fresh(first).pk == first.pk
    assert fresh(Quote.objects.get(pk=first.pk)).pk == first.pk
    assert Quote.objects.count() == 1


def test_a_changed_price_is_seen_at_once_and_is_a_new_version_with_a_new_quote(cart: Cart, crab: Product) -> None:
    shown = quote(cart)
    Product.objects.filter(pk=crab.pk).update(price=5000)
    now = fresh(shown)
    assert now.pk != shown.pk
    assert now.cart_version == shown.cart_version + 1
    assert (now.goods_total, now.total) == (5000, 5600)
    cart.refresh_from_db()
    assert cart.version == now.cart_version
    shown.refresh_from_db()
    assert shown.total == 5400, "what was shown stays as it was shown"
    assert changes(shown, now) == [
        Change("price", 4800, 5000, "KANI", "毛がにKANI", "Crab KANI"),
        Change("tax", 409, 424),
        Change("total", 5400, 5600),
    ]


def test_a_changed_fee_rate_or_name_makes_a_new_quote(cart: Cart, crab: Product) -> None:
    first = quote(cart)
    ShippingFee.objects.filter(region="hokkaido").update(fee=700)
    second = quote(cart)
    assert [change.kind for change in changes(first, second)] == ["shipping", "tax", "total"]
    TaxRate.objects.create(tax_class="reduced", percent=0, starts_on=date(2020, 1, 1))
    third = quote(cart)
    assert changes(second, third) == [Change("tax", 355 + 63, 63)]
    Product.objects.filter(pk=crab.pk).update(name_en="Hairy crab")
    fourth = quote(cart)
    assert [(change.kind, change.name_en) for change in changes(third, fourth)] == [("name", "Hairy crab")]
    assert [answer.cart_version for answer in (first, second, third, fourth)] == [2, 3, 4, 5]


def test_a_changed_quantity_or_product_is_told(cart: Cart, crab: Product) -> None:
    shown = quote(cart)
    scallop = product("HOTATE", temperature="ambient", parcel_size=60)
    Line.objects.create(cart=cart, product=scallop, quantity=2)
    Line.objects.filter(cart=cart, product=crab).update(quantity=3)
    Cart.objects.filter(pk=cart.pk).update(version=3)
    more = quote(cart)
    assert [(change.kind, change.before, change.after) for change in changes(shown, more)[:2]] == [
        ("quantity", 1, 3),
        ("added", 0, 2),
    ]
    Line.objects.filter(product=crab).delete()
    less = quote(cart)
    assert changes(more, less)[0] == Change("withdrawn", 3, 0, "KANI", "毛がにKANI", "Crab KANI")


def test_another_address_at_the_same_price_is_told_as_a_change_of_the_details(cart: Cart) -> None:
    shown = quote(cart)
    keep_details(cart, {**DETAILS, "street": "港町2-2"}, language="ja")
    now = fresh(shown)
    assert now.pk != shown.pk
    assert changes(shown, now) == [Change("details")]


def test_what_came_out_at_the_same_amount_is_not_told_as_a_change(cart: Cart) -> None:
    ShippingRule.objects.update(free_above=1)
    shown = quote(cart)
    Line.objects.filter(cart=cart).update(quantity=9)
    now = quote(cart)
    assert shown.parcels != now.parcels
    assert [change.kind for change in changes(shown, now)] == ["quantity", "tax", "total"], "shipping stayed free"


def test_lines_written_without_a_new_version_never_pass_for_the_quote_that_was_shown(cart: Cart) -> None:
    shown = quote(cart)
    Line.objects.filter(cart=cart).update(quantity=2)
    assert fresh(shown).pk != shown.pk


def test_a_remote_island_costs_its_surcharge_even_when_shipping_is_free(cart: Cart) -> None:
    keep_details(cart, {**DETAILS, "postal_code": "0971201"}, language="ja")
    assert quote(cart).shipping == 600 + 660
    Line.objects.filter(cart=cart).update(quantity=4)
    assert quote(cart).shipping == 660


def test_shipping_is_never_free_without_a_rule(cart: Cart) -> None:
    ShippingRule.objects.all().delete()
    Line.objects.filter(cart=cart).update(quantity=4)
    assert quote(cart).shipping > 0


def test_a_tax_rate_begins_at_midnight_in_japan(cart: Cart, monkeypatch: pytest.MonkeyPatch) -> None:
    TaxRate.objects.create(tax_class="reduced", percent=0, starts_on=date(2027, 4, 1))
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 3, 31, 14, 59, 59, tzinfo=UTC))
    before = quote(cart)
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 3, 31, 15, 0, 0, tzinfo=UTC))
    with timezone.override("America/New_York"):
        after = fresh(before)
    assert before.lines.get().percent == 8
    assert after.lines.get().percent == 0


# No quote


def refusal(cart: Cart) -> CannotQuote:
    with pytest.raises(CannotQuote) as refused:
        quote(cart)
    assert messages.explain(refused.value)
    return refused.value


def test_an_empty_or_closed_cart_has_no_quote(cart: Cart) -> None:
    Cart.objects.filter(pk=cart.pk).update(closed_at=timezone.now())
    assert refusal(cart).code == "empty"
    assert refusal(Cart.objects.create(shopper="c" * 64)).code == "empty"


def test_a_cart_without_details_or_with_an_unknown_prefecture_has_no_quote(cart: Cart) -> None:
    Draft.objects.update(prefecture="江戸")
    assert refusal(cart).code == "no_details"
    Draft.objects.all().delete()
    assert refusal(cart).code == "no_details"


def test_goods_that_are_no_longer_on_sale_are_named(cart: Cart, crab: Product) -> None:
    shown = quote(cart)
    Product.objects.filter(pk=crab.pk).update(on_sale=False)
    refused = refusal(cart)
    assert refused.code == "withdrawn"
    assert refused.facts["skus"] == ["KANI"]
    with translation.override("en"):
        assert "Crab KANI" in messages.explain(refused)
    with pytest.raises(CannotQuote):
        fresh(shown)


def test_a_place_that_is_not_served_is_named(cart: Cart) -> None:
    keep_details(cart, {**DETAILS, "prefecture": "沖縄県", "postal_code": "9000001"}, language="ja")
    refused = refusal(cart)
    assert (refused.code, refused.facts["region"], refused.facts["temperature"]) == (
        "no_shipping",
        "okinawa",
        "chilled",
    )
    with translation.override("en"):
        assert "Okinawa" in messages.explain(refused)


def test_a_shop_without_tax_rates_sells_nothing(cart: Cart) -> None:
    TaxRate.objects.filter(tax_class="reduced").delete()
    assert refusal(cart).code == "no_tax_rate"
    TaxRate.objects.create(tax_class="reduced", percent=8, starts_on=date(2019, 10, 1))
    TaxRate.objects.filter(tax_class="standard").delete()
    assert refusal(cart).code == "no_tax_rate"


def test_a_total_outside_50_to_99999999_yen_is_refused(cart: Cart, crab: Product) -> None:
    ShippingFee.objects.update(fee=0)
    Product.objects.filter(pk=crab.pk).update(price=49)
    assert refusal(cart).facts == {"total": 49}
    Product.objects.filter(pk=crab.pk).update(price=9_999_999)
    Line.objects.filter(cart=cart).update(quantity=99)
    refused = refusal(cart)
    assert (refused.code, refused.facts["total"]) == ("amount", 989_999_901)
    Product.objects.filter(pk=crab.pk).update(price=50)
    Line.objects.filter(cart=cart).update(quantity=1)
    assert quote(cart).total == 50


# What it costs us


@pytest.mark.parametrize("lines", [1, 20])
def test_pricing_again_takes_two_queries_however_many_lines(cart: Cart, lines: int) -> None:
    for number in range(lines - 1):
        Line.objects.create(cart=cart, product=product(f"P{number}"), quantity=1)
    shown = quote(cart)
    shown = Quote.objects.get(pk=shown.pk)
    with CaptureQueriesContext(
        connection,
    ) as looked:
        assert fresh(shown).pk == shown.pk
    assert len(looked) == 2, [query["sql"] for query in looked]
    assert not any("FOR UPDATE" in query["sql"] for query in looked), "a look takes no lock"


@pytest.mark.django_db(transaction=True)
class TestTwoTabs:
    """Two tabs of one shopper ask at the same moment."""

    @pytest.fixture(autouse=True)
    def close(self) -> Iterator[None]:
        yield
        connections.close_all()

    def test_both_get_the_same_quote(self, cart: Cart) -> None:
        start = threading.Barrier(4)
        got: list[object] = []

        def ask() -> None:
            try:
                start.wait()
                got.append(quote(Cart.objects.get(pk=cart.pk)).pk)
            except Exception as error:  # told by the assertion below
                got.append(error)
            finally:
                connections.close_all()

        tabs = [threading.Thread(target=ask) for _ in range(4)]
        for tab in tabs:
            tab.start()
        for tab in tabs:
            tab.join()
        assert len(got) == 4
        assert len(set(got)) == 1, got
        assert Quote.objects.count() == 1


# The words


@pytest.mark.parametrize("kind", messages.CHANGES)
@pytest.mark.parametrize("language", ["ja", "en"])
def test_every_change_can_be_told(kind: ChangeKind, language: str) -> None:
    with translation.override(language):
        told = messages.tell(Change(kind, 4800, 5000, "KANI", "毛がに", "Crab"))
    assert told
    assert "%(" not in told
