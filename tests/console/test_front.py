"""The desk's front page: what needs a person on top, numbers that are right, and nothing that a role may not see."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests import shop
from tests.console import desk
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.console import figures
from todoku.gateways import breaker
from todoku.notify.models import Case
from todoku.order.models import Order
from todoku.payment.models import Attempt
from todoku.reconciliation.models import Run

pytestmark = pytest.mark.django_db
FRONT = "/console/"


@pytest.fixture
def crabs(db: None) -> Product:
    """A furnished shop that sells one thing."""
    shop.furnish()
    return shop.sell()


@pytest.fixture
def owner(db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    browser = desk.operator("owner", superuser=True)
    browser.cookies["todoku_language"] = "en"
    return browser


def sold(product: Product, *, ago: timedelta, total: int = 0, seconds: float = 2.0) -> Order:
    """An order that was pressed and came through some time ago."""
    order = desk.stuck_order(product, status="complete")
    Case.objects.filter(order=order).delete()
    at = timezone.now() - ago
    Order.objects.filter(pk=order.pk).update(
        placed_at=at, paid_at=at, recorded_at=at, completed_at=at + timedelta(seconds=seconds)
    )
    if total:
        Order.objects.filter(pk=order.pk).update(total=total, goods_total=total - 600, shipping=600)
    Attempt.objects.filter(order=order).update(created_at=at, settled_at=at, method="card")
    Cart.objects.filter(pk=order.cart_id).update(created_at=at - timedelta(minutes=5))
    return order


def noon() -> timedelta:
    """How long ago a moment of today was that is surely today's, in Japan: a second after midnight at the earliest."""
    now = timezone.localtime()
    return (now - now.replace(hour=0, minute=0, second=0, microsecond=0)) / 2


def title(page: str) -> str:
    """What the browser's tab says."""
    return " ".join(page.partition("<title>")[2].partition("</title>")[0].split())


def test_a_fresh_shop_is_welcomed(owner: Client) -> None:
    page = owner.get(FRONT).content.decode()
    assert "All is well: the shop is open" in page
    assert "Nothing was sold in the last 30 days" in page
    assert title(page) == "Today | Todoku"
    assert "Stripe answers." in page


def test_paid_and_unfinished_comes_first_then_the_oldest_then_the_dearest(owner: Client, crabs: Product) -> None:
    unpaid, cheap, dear, old = (desk.stuck_order(crabs) for _ in range(4))
    Order.objects.filter(pk=unpaid.pk).update(status="not_paid", paid_at=None)
    Order.objects.filter(pk=dear.pk).update(total=54000, goods_total=53400)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    for order, minutes in ((unpaid, -9000), (cheap, 1), (dear, 30), (old, -90)):
        Case.objects.filter(order=order).update(opened_at=hour + timedelta(minutes=minutes))
    shown = owner.get(FRONT)
    assert [case.number for case in shown.context["cases"]] == [o.number for o in (old, dear, cheap, unpaid)]
    assert title(shown.content.decode()) == "(4) Today | Todoku"


def test_the_part_that_is_asked_for_anew_tells_of_a_new_case(owner: Client, crabs: Product) -> None:
    now = reverse("admin:now")
    assert 'data-count="0"' in owner.get(now).content.decode()
    order = desk.stuck_order(crabs)
    part = owner.get(now).content.decode()
    assert 'data-count="1"' in part
    assert order.number in part
    assert "<html" not in part
    assert "<html" not in owner.get(reverse("admin:figures")).content.decode()


def test_what_waits_at_the_konbini_is_counted_with_its_next_deadline(owner: Client, crabs: Product) -> None:
    first, second, late = (desk.stuck_order(crabs, status="placed") for _ in range(3))
    Case.objects.all().delete()
    Attempt.objects.update(outcome="waiting", waits_for="konbini", method="konbini")
    soon = timezone.now() + timedelta(hours=5)
    for order, pay_by in ((first, soon), (second, soon + timedelta(days=1)), (late, soon - timedelta(days=1))):
        Order.objects.filter(pk=order.pk).update(pay_by=pay_by, paid_at=None)
    shown = owner.get(FRONT)
    found = shown.context
    assert (found["konbini"], found["konbini_yen"], found["konbini_next"]) == (3, 3 * 5400, soon)
    assert found["in_payment"] == 0
    assert "¥16,200" in shown.content.decode()


def test_sales_are_counted_by_the_day_in_japan(crabs: Product) -> None:
    sold(crabs, ago=noon(), total=10_000)
    sold(crabs, ago=noon(), total=2_000)
    sold(crabs, ago=timedelta(days=1) + noon(), total=7_000)
    # Yesterday, but later than it is now.
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    sold(crabs, ago=timezone.now() - midnight + timedelta(seconds=5), total=900)
    sold(crabs, ago=timedelta(days=7) + noon(), total=5_000)
    sold(crabs, ago=timedelta(days=31), total=99_000)
    # What was never paid is no sale.
    Order.objects.filter(pk=desk.stuck_order(crabs, status="not_paid").pk).update(paid_at=None)

    found = figures.count()

    assert (found.today.yen, found.today.orders) == (12_000, 2)
    assert (found.yesterday.yen, found.yesterday.yen_by_now) == (7_900, 7_000)
    assert (found.same_weekday.yen_by_now, found.same_weekday.orders_by_now) == (5_000, 1)
    assert sum(day.yen for day in found.days) == 24_900
    assert len(found.days) == 30


def test_carts_speed_methods_and_declines_are_counted(crabs: Product) -> None:
    for seconds in (1, 2, 3, 9):
        sold(crabs, ago=noon(), seconds=seconds)
    konbini = sold(crabs, ago=noon(), seconds=90_000)
    Attempt.objects.filter(order=konbini).update(method="konbini", card_brand="")
    asked_back = sold(crabs, ago=noon(), seconds=60)
    Attempt.objects.filter(order=asked_back).update(waits_for="authentication", card_brand="jcb")
    for _ in range(6):
        Cart.objects.create(shopper=shop.new_shopper())
    Cart.objects.filter(orders=None).update(created_at=timezone.now() - noon())
    for number, code in ((2, "insufficient_funds"), (3, "insufficient_funds"), (4, "expired_card")):
        Attempt.objects.create(
            order=konbini, number=number, confirmation_token=f"ctoken_{number}", outcome="declined",
            decline_code=code, settled_at=timezone.now(),
        )  # fmt: skip
    Order.objects.filter(pk=konbini.pk).update(attempts=1)

    found = figures.count()

    funnel = found.funnel(1)
    assert (funnel.begun, funnel.quoted, funnel.ordered, funnel.paid) == (12, 6, 6, 6)
    assert funnel.percent == 50
    assert found.speed_today == found.speed_week == (2500, 8100, 4)
    assert found.methods == {("card", "visa"): 4, ("card", "jcb"): 1, ("konbini", ""): 1}
    assert found.declines == {"insufficient_funds": 2, "expired_card": 1}
    assert figures.count(payments=False).methods == {}


def test_the_state_of_stripe_and_of_the_last_reconciliation_is_told(owner: Client, crabs: Product) -> None:
    now = timezone.now()
    Run.objects.create(kind="window", since=now, started_at=now, ended_at=now, reported=2)
    assert "2 new things for a person" in owner.get(FRONT).content.decode()
    Run.objects.create(kind="window", since=now, started_at=now, ended_at=now, trouble="away")
    breaker.learn(5, now, breaker.AWAY)
    try:
        page = owner.get(FRONT).content.decode()
    finally:
        breaker.forget()
    assert "Stripe has not answered since" in page
    assert "Stripe could not be asked" in page


def test_a_role_sees_its_own_part_only(crabs: Product) -> None:
    order = desk.stuck_order(crabs)
    packer = desk.operator("packer", "fulfilment.view_delivery")
    packer.cookies["todoku_language"] = "en"
    for page in (FRONT, reverse("admin:now"), reverse("admin:figures")):
        shown = packer.get(page).content.decode()
        for hidden in ("needs you", "Sales today", "Running out", "Stripe answers", "paid but unfinished"):
            assert hidden not in shown, (page, hidden)
    parcels = packer.get(reverse("admin:now")).content.decode()
    assert f"{order.number}-1" in parcels
    # Without the permission for it a name is masked here too.
    assert "北野 **" in parcels and "花子" not in parcels
    clerk = desk.operator("clerk", "order.view_order")
    clerk.cookies["todoku_language"] = "en"
    shown = clerk.get(FRONT).content.decode()
    assert "Sales today" in shown
    assert "Why payments were declined" not in shown
    assert Client().get(reverse("admin:now")).status_code == 302
