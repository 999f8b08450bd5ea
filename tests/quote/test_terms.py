"""What the owner chooses in the console holds for the next shopper, is asked again of whoever is looking, and costs
no query."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from rehearsal.api import Rehearsal
from tests import shop
from todoku.catalog.models import Product
from todoku.order.models import Order
from todoku.order.place import Changed
from todoku.payment.models import Attempt
from todoku.quote import ask, messages
from todoku.shop import chosen
from todoku.shop.choose import Overtaken, choose, latest
from todoku.shop.models import Choice, Topic

pytestmark = pytest.mark.django_db


def choice(topic: Topic, **values: object) -> Choice:
    """Choose as the console does."""
    with transaction.atomic():
        newest = latest(topic)
        made = choose(topic, values, who="owner", seen=newest.pk if newest else 0)
    assert made is not None
    return made


def test_the_environment_holds_until_the_console_says_otherwise(settings: object) -> None:
    assert chosen.now().konbini_days == 3
    settings.KONBINI_DAYS = 5  # type: ignore[attr-defined]
    assert chosen.now().konbini_days == 5
    choice(Topic.PAYMENT, konbini_days=7)
    assert chosen.now().konbini_days == 7
    assert chosen.now().pay_within_minutes == 30


def test_every_change_is_a_row_with_what_was_before_it() -> None:
    choice(Topic.LIMITS, refund_alone_up_to=50_000)
    choice(Topic.LIMITS, refund_alone_up_to=20_000, low_stock=5)

    second, first = Choice.objects.all()
    assert (first.before, first.after, first.who) == ({}, {"refund_alone_up_to": 50_000}, "owner")
    assert second.before == first.after
    assert second.after == {"refund_alone_up_to": 20_000, "low_stock": 5}
    assert chosen.now().refund_alone_up_to == 20_000


def test_who_chooses_on_an_old_page_is_told_and_changes_nothing() -> None:
    first = choice(Topic.LIMITS, low_stock=5)
    choice(Topic.LIMITS, low_stock=6)
    with transaction.atomic():
        # The same once more is no change, and nobody has to be told.
        assert choose(Topic.LIMITS, {"low_stock": 6}, who="other", seen=first.pk) is None
    with pytest.raises(Overtaken), transaction.atomic():
        choose(Topic.LIMITS, {"low_stock": 7}, who="other", seen=first.pk)
    assert chosen.now().low_stock == 6
    assert Choice.objects.count() == 2


def test_a_process_asks_once_and_sees_what_another_has_changed(settings: object) -> None:
    chosen.now()
    with CaptureQueriesContext(connection) as asked:
        for _ in range(50):
            chosen.now().seller("ja")
    assert len(asked) == 0

    # Another process has written; this one has not been told.
    row = Choice.objects.create(topic=Topic.LIMITS, before={}, after={"low_stock": 9}, who="elsewhere")
    assert chosen.now().low_stock == 3
    assert chosen.at_least(row.pk).low_stock == 9
    Choice.objects.create(topic=Topic.LIMITS, before={}, after={"low_stock": 8}, who="elsewhere")
    assert chosen.now().low_stock == 9
    settings.SHOP_KEPT_FOR = 0  # type: ignore[attr-defined]
    assert chosen.now().low_stock == 8


def test_a_price_sees_a_choice_at_once_and_costs_as_many_queries_as_before(crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    first = ask.quote(cart)
    with CaptureQueriesContext(connection) as before:
        assert ask.quote(cart) == first
    # Another process has chosen: this one knows by the price's own query.
    Choice.objects.create(topic=Topic.PAYMENT, before={}, after={"konbini": False}, who="elsewhere")
    second = ask.quote(cart)
    with CaptureQueriesContext(connection) as after:
        assert ask.quote(cart) == second
    assert len(after) == len(before) == 2
    assert second.cart_version == first.cart_version + 1
    assert [change.kind for change in ask.changes(first, second)] == ["terms"]
    assert messages.tell(ask.changes(first, second)[0])


def test_who_presses_on_terms_that_have_changed_is_asked_again(rehearsal: Rehearsal, crab: Product) -> None:
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    choice(Topic.LEGAL, returns_ja="到着後8日以内に限り返品をお受けします。")

    answer = shop.press(rehearsal, cart, quote)

    assert isinstance(answer, Changed)
    assert not Order.objects.exists()


def test_an_order_keeps_the_days_and_minutes_that_it_was_placed_with(rehearsal: Rehearsal, crab: Product) -> None:
    choice(Topic.PAYMENT, konbini_days=2, pay_within_minutes=10)
    order = shop.order_one(rehearsal, crab)
    choice(Topic.PAYMENT, konbini_days=9, pay_within_minutes=90)

    assert (order.pay_by - order.placed_at).total_seconds() == pytest.approx(600, abs=5)
    assert Attempt.objects.get(order=order).konbini_days == 2


def test_a_shop_without_cards_takes_only_what_a_konbini_takes(crab: Product) -> None:
    choice(Topic.PAYMENT, card=False, konbini=True)
    with pytest.raises(ask.CannotQuote) as refused:
        ask.quote(shop.fill_cart((shop.sell(sku="WHALE", price=299_999), 2)))
    assert refused.value.code == "amount"
    assert "300,000" in messages.explain(refused.value)
