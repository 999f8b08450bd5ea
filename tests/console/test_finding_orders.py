"""Orders are found by any part of what a customer says, and narrowed down, with as many questions as ever."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import shop
from tests.console import desk
from todoku.catalog.models import Product
from todoku.order.models import Order

pytestmark = pytest.mark.django_db
ORDERS = "/console/order/order/"
MISAKI = {
    "name": "髙橋　美咲",
    "kana": "タカハシ ミサキ",
    "email": "Misaki.Takahashi+shop@example.jp",
    "phone": "0312345678",
}
O_HARA = {"name": "O'Hara \\ Bob", "kana": "オハラ ボブ", "email": "bob@example.net", "phone": "0669498323"}


@pytest.fixture
def crabs(db: None) -> Product:
    """A furnished shop that sells one thing."""
    shop.furnish()
    return shop.sell()


@pytest.fixture
def owner(db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    return desk.operator("owner", superuser=True)


def found(browser: Client, **asked: str) -> list[int]:
    """The orders that a list shows."""
    answer = browser.get(ORDERS, asked)
    assert answer.status_code == 200, (asked, answer.status_code)
    return [order.pk for order in answer.context["cl"].result_list]


def test_an_order_is_found_by_any_part_of_what_is_known_of_it(owner: Client, crabs: Product) -> None:
    misaki = desk.stuck_order(crabs, **MISAKI)
    bob = desk.stuck_order(crabs, **O_HARA)
    desk.stuck_order(crabs)
    parcel = bob.deliveries.get()
    desk.operator("sender", "fulfilment.change_delivery").post(
        desk.page(parcel, "ship"), {"carrier": "sagawa", "tracking_number": "4000-0000-0013"}
    )
    said = {
        misaki.pk: [
            misaki.number, misaki.number.lower(), misaki.number.replace("-", ""), misaki.number[8:],
            f"{misaki.number}-1", "髙橋", "高橋", "美咲", "高橋 美咲", "美咲 高橋", "橋美", "たかはし", "タカハシ",
            "ﾀｶﾊｼ", "みさき", "はし　みさ", "misaki.takahashi+shop@example.jp", "MISAKI", "takahashi", "example.jp",
            "<misaki.takahashi+shop@example.jp>", "Misaki <misaki.takahashi+shop@example.jp>", "03-1234-5678",
            "０３１２３４５６７８", "+81 3-1234-5678", "(03) 1234 5678", "0312", "pi_000001", "ch_1",
            "https://dashboard.stripe.com/test/payments/pi_000001",
        ],
        bob.pk: ["O'Hara", "o'hara bob", "bob", "\\", "おはら", "400000000013", "4000-0000-0013",
            "４０００−００００−００１３"],
    }  # fmt: skip
    for wanted, texts in said.items():
        for typed in texts:
            assert found(owner, q=typed) == [wanted], typed


@pytest.mark.parametrize(
    "typed",
    [
        "\x00", "%", "_", "'; DROP TABLE order_order; --", "x" * 5000, "pi_nothing", "'", "\\", ":*", "& | !", "<->",
        "😀", "' & 'a':*", "()", "様", "ー", "-", "+81", "a" * 24 + " " + "b" * 300, " ".join("abcdefghij"), "\ud800",
    ],
)  # fmt: skip
def test_nothing_that_is_typed_breaks_the_search(owner: Client, crabs: Product, typed: str) -> None:
    desk.stuck_order(crabs)
    assert owner.get(ORDERS, {"q": typed.encode("utf-8", "replace").decode()}).status_code == 200


def test_a_corrected_name_is_found_under_its_new_spelling(owner: Client, crabs: Product) -> None:
    order = desk.stuck_order(crabs, **MISAKI)
    Order.objects.filter(pk=order.pk).update(name="高梨 美咲")
    assert found(owner, q="高梨") == [order.pk]
    assert found(owner, q="高橋") == []


def test_orders_are_narrowed_down_by_shipment_payment_temperature_and_day(owner: Client, crabs: Product) -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    paid, waiting = desk.stuck_order(crabs), desk.stuck_order(crabs, status="placed")
    waiting.deliveries.all().delete()
    paid.payment_attempts.update(method="card")
    waiting.payment_attempts.update(method="konbini", outcome="waiting", waits_for="konbini")
    Order.objects.filter(pk=paid.pk).update(placed_at=datetime(2026, 11, 22, 23, 59, tzinfo=tokyo))
    Order.objects.filter(pk=waiting.pk).update(placed_at=datetime(2026, 11, 23, 0, 0, tzinfo=tokyo))
    for asked, wanted in (
        ({"shipment": "to_ship"}, [paid.pk]),
        ({"shipment": "partly"}, []),
        ({"shipment": "shipped"}, []),
        ({"shipment": "canceled"}, []),
        ({"paid_with": "card"}, [paid.pk]),
        ({"paid_with": "konbini"}, [waiting.pk]),
        ({"temperature": "chilled"}, [waiting.pk, paid.pk]),
        ({"temperature": "frozen"}, []),
        ({"from": "2026-11-22", "to": "2026-11-22"}, [paid.pk]),
        ({"from": "2026-11-23"}, [waiting.pk]),
        ({"to": "2026-11-22"}, [paid.pk]),
        ({"from": "2026-11-22", "to": "2026-11-23", "q": "kitano"}, []),
        ({"from": "nonsense", "to": "9999-12-31"}, [waiting.pk, paid.pk]),
        ({"day": "today"}, []),
        ({"day": "last_month", "from": "2026-11-23"}, [waiting.pk]),
        ({"shipment": "'; --", "day": "x", "temperature": "hot", "paid_with": "gold"}, [waiting.pk, paid.pk]),
    ):
        assert found(owner, **asked) == wanted, asked


def test_who_may_not_see_personal_data_finds_orders_and_sees_no_name(crabs: Product) -> None:
    order = desk.stuck_order(crabs, **MISAKI)
    looker = desk.operator("looker", "order.view_order", "fulfilment.view_delivery", "notify.view_mail")
    for link in (ORDERS, desk.page(order), reverse("admin:fulfilment_delivery_changelist")):
        shown = looker.get(link).content.decode()
        assert order.number in shown
        for secret in ("美咲", "0312345678", "Misaki.Takahashi", "ありがとうございます", order.street):
            assert secret not in shown, (link, secret)


def test_the_list_and_an_orders_page_ask_as_much_for_many_as_for_few(owner: Client, crabs: Product) -> None:
    counts = []
    for _ in range(2):
        order = desk.stuck_order(crabs)
        for _ in range(4 * len(counts)):
            desk.stuck_order(crabs)
        owner.get(ORDERS)
        with CaptureQueriesContext(connection) as asked:
            owner.get(ORDERS, {"q": "北野", "shipment": "to_ship"})
            owner.get(desk.page(order))
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_the_search_uses_its_index(crabs: Product) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT 1 FROM order_order WHERE words @@ %s::tsquery",
            ["'北野':*"],
        )
        assert "order_by_words" in str(cursor.fetchall())
