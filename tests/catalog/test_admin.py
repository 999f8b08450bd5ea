"""The catalogue, the tax and the shipping in the operator's console."""

from __future__ import annotations

from datetime import date

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from todoku.catalog.models import Product
from todoku.quote import rules
from todoku.quote.models import RemoteIsland, ShippingFee, ShippingRule, TaxRate
from todoku.stock.models import Level

pytestmark = pytest.mark.django_db


@pytest.fixture
def console(client: Client) -> Client:
    client.force_login(
        User.objects.create_superuser("operator", "operator@example.jp", "unused-password"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    client.cookies["todoku_language"] = "en"
    return client


def products(count: int) -> list[Product]:
    made = [
        Product.objects.create(
            sku=f"P-{number}",
            name_ja=f"商品{number}",
            name_en=f"Product {number}",
            price=1000 + number,
            tax_class="reduced",
            temperature="chilled",
            parcel_size=60,
            picture="a" * 64,
        )
        for number in range(count)
    ]
    Level.objects.bulk_create(Level(product=product, on_hand=7) for product in made[1:])
    return made


def rates_and_fees(count: int) -> None:
    for number in range(count):
        TaxRate.objects.create(tax_class="reduced", percent=8, starts_on=date(2000 + number, 1, 1))
        RemoteIsland.objects.create(postal_prefix=f"09{number}", fee=660)
        ShippingFee.objects.create(region=rules.REGIONS[number], size=60, temperature="chilled", fee=500)
    ShippingRule.objects.get_or_create(pk=1)


@pytest.mark.parametrize(
    "page", ["catalog/product", "quote/remoteisland", "shop/choice/settings/shipping", "shop/choice/settings/tax"]
)
def test_a_list_takes_as_many_queries_for_twelve_rows_as_for_two(console: Client, page: str) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            assert console.get(f"/console/{page}/").status_code == 200
        return len(asked)

    products(2)
    rates_and_fees(2)
    queries()
    few = queries()
    for model in (Level, Product, TaxRate, RemoteIsland, ShippingFee):
        model.objects.all().delete()
    products(12)
    rates_and_fees(12)
    assert queries() == few


def test_the_list_shows_picture_price_and_stock_and_is_searched_by_sku_and_name(console: Client) -> None:
    products(3)
    page = console.get("/console/catalog/product/", {"q": "商品1"}).content.decode()
    assert "P-1" in page
    assert "P-2" not in page
    assert f"/media/products/{'a' * 64}-480.webp" in page
    assert ">7<" in page.replace("\n", "").replace(" ", "")
    assert "P-2" in console.get("/console/catalog/product/", {"q": "p-2"}).content.decode()


def change(product: Product, **other: object) -> dict[str, object]:
    return {
        "name_ja": product.name_ja,
        "name_en": product.name_en,
        "description_ja": "",
        "description_en": "",
        "price": product.price,
        "tax_class": product.tax_class,
        "temperature": product.temperature,
        "parcel_size": product.parcel_size,
        "on_sale": "on",
        "position": 0,
        **other,
    }


def test_an_operator_changes_price_and_names_but_neither_sku_nor_stock(console: Client) -> None:
    product = products(2)[1]
    answer = console.post(
        f"/console/catalog/product/{product.pk}/change/",
        change(product, price=1234, name_en="Other", sku="X", on_hand=99),
    )
    assert answer.status_code == 302
    product.refresh_from_db()
    assert (product.price, product.name_en, product.sku, product.level.on_hand) == (1234, "Other", "P-1", 7)


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": 0},
        {"price": -5},
        {"price": 10_000_000},
        {"price": "9" * 30},
        {"price": "1.5"},
        {"parcel_size": 70},
    ],
)
def test_what_the_database_would_refuse_is_refused_in_the_form(console: Client, wrong: dict[str, object]) -> None:
    product = products(1)[0]
    answer = console.post(f"/console/catalog/product/{product.pk}/change/", change(product, **wrong))
    assert answer.status_code == 200
    assert answer.context["errors"]
    product.refresh_from_db()
    assert (product.price, product.parcel_size) == (1000, 60)


def test_a_new_product_needs_a_plain_sku(console: Client) -> None:
    like = products(1)[0]
    for sku, made in (("蟹", False), ("a b", False), ("P-0", False), ("NEW-1", True)):
        answer = console.post("/console/catalog/product/add/", change(like, sku=sku))
        assert (answer.status_code == 302) is made, sku
    assert Product.objects.count() == 2


def test_no_product_is_deleted_by_hand(console: Client) -> None:
    product = products(1)[0]
    assert console.post(f"/console/catalog/product/{product.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("page", "form", "made"),
    [
        ("remoteisland", {"postal_prefix": "0971", "fee": 660, "name_ja": "", "name_en": ""}, True),
        ("remoteisland", {"postal_prefix": "097-1", "fee": 660, "name_ja": "", "name_en": ""}, False),
        ("remoteisland", {"postal_prefix": "0972", "fee": 100_001, "name_ja": "", "name_en": ""}, False),
    ],
)
def test_surcharges_are_taken_within_bounds(
    console: Client, page: str, form: dict[str, object], made: bool
) -> None:
    assert (console.post(f"/console/quote/{page}/add/", form).status_code == 302) is made
