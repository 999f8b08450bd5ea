"""The big shop adds up, as the reconciliation would have it, and is never built where real orders are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from tests import shop
from tests.console import desk
from todoku.audit.models import Entry
from todoku.big_shop.build import build
from todoku.big_shop.plan import Size, TooMuch
from todoku.flows.models import Done
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.reconciliation import read, rules
from todoku.stock.models import Level

pytestmark = pytest.mark.django_db

#: All foreign keys are written without being checked; here each of them is.
_KEYS = """
    SELECT rel.relname, here.attname, far.relname, there.attname
      FROM pg_constraint c JOIN pg_class rel ON rel.oid = c.conrelid JOIN pg_class far ON far.oid = c.confrelid
      JOIN pg_attribute here ON here.attrelid = c.conrelid AND here.attnum = c.conkey[1]
      JOIN pg_attribute there ON there.attrelid = c.confrelid AND there.attnum = c.confkey[1]
     WHERE c.contype = 'f'
"""
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def test_a_big_shop_adds_up() -> None:
    built = build(Size(orders=500, ledger=4000, products=30, seed=7), now=timezone.now())

    assert built == {"orders": 500, "ledger": Done.objects.count()}
    assert 4000 <= built["ledger"] <= 4001
    now, wrong = timezone.now(), []
    for facts in read.orders(list(Order.objects.values_list("pk", flat=True))):
        wrong += list(rules.of_order(facts, now=now))
    for level in read.levels():
        wrong += list(rules.of_level(level))
    assert wrong == []
    assert read.paid_twice() == {}
    assert read.closed_carts(now.replace(year=2000)) == []
    with connection.cursor() as cursor:
        cursor.execute(_KEYS)
        for table, column, far, key in cursor.fetchall():
            cursor.execute(
                f"SELECT count(*) FROM {table} t WHERE t.{column} IS NOT NULL"
                f" AND NOT EXISTS (SELECT FROM {far} f WHERE f.{key} = t.{column})"
            )
            assert cursor.fetchone() == (0,), (table, column)
        # What is built afterwards does not meet what was built: the next ids are free.
        cursor.execute("SELECT nextval(pg_get_serial_sequence('order_order', 'id')) > max(id) FROM order_order")
        assert cursor.fetchone() == (True,)
    assert Level.objects.filter(on_hand__lte=3).exists()
    assert Case.objects.filter(closed_at=None).exists()
    assert Order.objects.filter(placed_at__gt=now).count() == 0
    assert set(Order.objects.values_list("status", flat=True)) >= {"complete", "canceled", "not_paid", "recorded"}
    assert Entry.objects.exclude(number=None).exists() or Entry.objects.exists()


def drawn() -> list[Any]:
    """What of a shop is to be the same for the same seed."""
    return list(
        Order.objects.order_by("placed_at", "name").values_list("placed_at", "name", "total", "status", "phone")
    )


def test_the_same_seed_gives_the_same_shop() -> None:
    build(Size(orders=40, products=10, seed=3), now=NOW)
    first = drawn()
    build(Size(orders=40, products=10, seed=4), now=NOW)
    with_another = drawn()
    assert len(with_another) == 80
    Done.objects.all().delete()
    again = [row for row in with_another if row in first]
    assert len(again) == 40


def test_more_ledger_than_its_orders_can_leave_is_refused_and_leaves_nothing() -> None:
    with pytest.raises(TooMuch, match="cannot have more than"):
        build(Size(orders=20, ledger=1000, products=10))
    assert not Order.objects.exists()


def test_it_is_not_built_in_production_nor_beside_real_orders(settings: Any) -> None:
    shop.furnish()
    desk.stuck_order(shop.sell())
    with pytest.raises(CommandError, match="has orders already"):
        call_command("build_big_shop", orders=10)
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="in production"):
        call_command("build_big_shop", orders=10, beside_real_orders=True)
    assert Order.objects.count() == 1
