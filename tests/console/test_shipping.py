"""A parcel is shipped once and its customer told once; who ships and who calls off never both win."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.console import desk
from tests.quick import knock, play
from todoku.catalog.models import Product
from todoku.console import call_off as calling_off
from todoku.console import ship as shipping
from todoku.fulfilment.models import Delivery
from todoku.notify import letters
from todoku.notify.models import Mail
from todoku.order.models import Order
from todoku.stock.models import Level, Movement

YAMATO = {"carrier": "yamato", "tracking_number": "1234-5678-9013"}
ANOTHER = {"carrier": "yamato", "tracking_number": "123456789024"}


@pytest.fixture
def owner(transactional_db: None) -> Client:
    """A browser in which the shop's owner has logged in."""
    return desk.operator("owner", superuser=True)


def paid(crab: Product, **facts: Any) -> Order:
    """A complete order of one crab and two parcels, nothing of it shipped."""
    order = desk.stuck_order(crab, status="complete", **facts)
    order.cases.all().delete()
    first = order.deliveries.get()
    Delivery.objects.create(
        order=order, number=2, temperature="ambient", size=60, contents=[],
        **{name: getattr(first, name) for name in shop.HANAKO},
    )  # fmt: skip
    Level.objects.update(on_hand=9, sold=1)
    Movement.objects.filter(order=order).update(on_hand=-1, sold=1)
    return order


def told(order: Order) -> list[Mail]:
    """The mails about the order's parcels, the oldest first."""
    return list(order.mails.filter(kind__regex="^(shipped|renumbered)-").order_by("id"))


def test_each_parcel_is_told_of_in_a_mail_with_its_number_and_link(owner: Client, crab: Product) -> None:
    order = paid(crab)
    first, second = order.deliveries.order_by("number")

    owner.post(desk.page(first, "ship"), YAMATO)

    [mail] = told(order)
    assert (mail.recipient, mail.next_try_at is not None) == (order.email, True)
    assert "123456789013" in mail.text and "id=123456789013" in mail.text and "ヤマト運輸" in mail.text
    assert "毛がに × 1" in mail.text and "残りのお荷物（1個）" in mail.text and "一部" in mail.text

    answer = owner.post(desk.page(second, "ship"), {**ANOTHER, "back": "order"})

    assert answer.headers["Location"] == desk.page(order)
    assert "123456789024" in told(order)[1].text and "残り" not in told(order)[1].text
    assert [entry.act for entry in desk.acts()] == ["shipped", "shipped"]
    page = owner.get(desk.page(order)).content.decode()
    assert "id=123456789024" in page and mail.subject in page


def test_a_corrected_number_is_told_when_asked_for_and_an_unsent_mail_never_leaves_with_the_wrong_one(
    owner: Client, crab: Product
) -> None:
    order = paid(crab)
    parcel = order.deliveries.get(number=1)
    owner.post(desk.page(parcel, "ship"), YAMATO)

    owner.post(desk.page(parcel, "renumber"), {**ANOTHER, "seen": "123456789013"})

    old, new = told(order)
    assert (letters.is_so(old), letters.is_so(new)) == (False, True)
    assert new.kind == "shipped-2" and "123456789024" in new.text

    Mail.objects.update(sent_at=timezone.now())
    owner.post(desk.page(parcel, "renumber"), {**YAMATO, "seen": "123456789024"})
    assert len(told(order)) == 2
    owner.post(desk.page(parcel, "renumber"), {**ANOTHER, "seen": "123456789013", "tell": "on"})
    assert [mail.kind for mail in told(order)] == ["shipped-1", "shipped-2", "renumbered-3"]
    assert "訂正" in told(order)[2].text

    owner.post(desk.page(parcel, "renumber"), {**YAMATO, "seen": "123456789013", "tell": "on"})
    parcel.refresh_from_db()
    assert parcel.tracking_number == "123456789024", "somebody who saw an old page changes nothing"
    assert owner.post(desk.page(parcel, "renumber"), {"carrier": "yamato", "tracking_number": "1"}).status_code == 422


def test_a_shipment_is_taken_back_on_its_day_with_a_reason_and_its_unsent_mail_stays_behind(
    owner: Client, crab: Product
) -> None:
    order = paid(crab)
    parcel = order.deliveries.get(number=1)
    owner.post(desk.page(parcel, "ship"), YAMATO)
    assert owner.post(desk.page(parcel, "take_back"), {"why": ""}).status_code == 422
    owner.post(desk.page(parcel, "take_back"), {"why": "集荷が来なかった"})
    parcel.refresh_from_db()
    assert (parcel.state, parcel.tracking_number, parcel.shipped_at) == ("to_ship", "", None)
    assert not letters.is_so(told(order)[0])
    assert desk.acts()[0].reason == "集荷が来なかった"

    owner.post(desk.page(parcel, "ship"), ANOTHER)
    assert letters.is_so(told(order)[-1])
    Delivery.objects.update(shipped_at=timezone.now() - timedelta(days=1))
    owner.post(desk.page(parcel, "take_back"), {"why": "遅すぎる"})
    parcel.refresh_from_db()
    assert parcel.state == "shipped"


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Do several things at the same moment, each on a connection of its own."""
    together = threading.Barrier(len(acts))

    def do(act: Callable[[], Any]) -> Any:
        together.wait()
        try:
            return act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result() for future in [pool.submit(do, act) for act in acts]]


def test_ten_operators_ship_a_parcel_at_once_and_one_mail_is_written(crab: Product) -> None:
    order = paid(crab)
    parcel = order.deliveries.get(number=1)
    browsers = [desk.operator(f"operator{n}", "fulfilment.change_delivery") for n in range(10)]
    numbers = [f"{n}{n % 7}" for n in range(10000000000, 10000000010)]

    at_once(*[
        lambda browser=browser, number=number: browser.post(  # type: ignore[misc]
            desk.page(parcel, "ship"), {"carrier": "yamato", "tracking_number": number}
        )
        for browser, number in zip(browsers, numbers, strict=True)
    ])  # fmt: skip

    parcel.refresh_from_db()
    [mail] = told(order)
    [entry] = desk.acts()
    assert parcel.tracking_number in mail.text and parcel.tracking_number in entry.what


def test_a_paid_order_is_called_off_and_its_goods_go_back_once(owner: Client, crab: Product) -> None:
    order = paid(crab)
    assert desk.page(order, "call_off") in owner.get(desk.page(order)).content.decode()
    assert owner.get(desk.page(order, "call_off")).status_code == 405
    assert owner.post(desk.page(order, "call_off"), {"why": ""}).status_code == 422
    for _ in range(2):
        owner.post(desk.page(order, "call_off"), {"why": "お客さまのご希望", "back": "on"})
    assert {parcel.state for parcel in order.deliveries.all()} == {"canceled"}
    assert shop.levels(crab) == (10, 0, 0)
    assert [(entry.act, entry.reason) for entry in desk.acts()] == [("called_off", "お客さまのご希望")]
    page = owner.get(desk.page(order)).content.decode()
    assert desk.page(order, "call_off") not in page and "5,400" in page
    owner.post(desk.page(order.deliveries.get(number=1), "ship"), YAMATO)
    assert {parcel.state for parcel in order.deliveries.all()} == {"canceled"}
    assert told(order) == []


def test_goods_stay_away_when_the_operator_says_so_and_nobody_calls_off_what_has_left(
    owner: Client, crab: Product
) -> None:
    order = paid(crab)
    owner.post(desk.page(order, "call_off"), {"why": "破損"})
    assert shop.levels(crab) == (9, 0, 1)
    sent = paid(crab)
    owner.post(desk.page(sent.deliveries.get(number=1), "ship"), YAMATO)
    owner.post(desk.page(sent, "call_off"), {"why": "遅い", "back": "on"})
    assert {parcel.state for parcel in sent.deliveries.all()} == {"shipped", "to_ship"}
    nobody = desk.operator("looker", "order.view_order", "fulfilment.change_delivery")
    assert nobody.post(desk.page(sent, "call_off"), {"why": "x"}).status_code == 403


@pytest.mark.parametrize("guarded", [True, False])
def test_shipping_and_calling_off_at_once_never_both_happen(
    crab: Product, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = paid(crab)
    order.deliveries.filter(number=2).delete()
    parcel = order.deliveries.get()
    sender = desk.operator("sender", "fulfilment.change_delivery")
    boss = desk.operator("boss", "order.view_order", "order.cancel_order")
    both_have_looked = threading.Barrier(2, timeout=2)
    if not guarded:
        # The control: without the order's lock both look before either has written.
        def looks_first(look: Callable[..., Any]) -> Callable[..., Any]:
            def looked(*arguments: Any, **named: Any) -> Any:
                came = look(*arguments, **named)
                both_have_looked.wait()
                return came

            return looked

        monkeypatch.setattr(QuerySet, "select_for_update", lambda self, **_: self.all())
        monkeypatch.setattr(shipping, "_may", looks_first(shipping._may))
        monkeypatch.setattr(calling_off, "return_sold", looks_first(lambda *_, **__: {}))

    at_once(
        lambda: sender.post(desk.page(parcel, "ship"), YAMATO),
        lambda: boss.post(desk.page(order, "call_off"), {"why": "急ぎ", "back": "on"}),
    )

    parcel.refresh_from_db()
    shipped, called_off = bool(told(order)), desk.acts().filter(act="called_off").exists()
    if guarded:
        assert shipped != called_off
        assert parcel.state == ("shipped" if shipped else "canceled")
        assert shop.levels(crab) == ((9, 0, 1) if shipped else (10, 0, 0))
    else:
        assert shipped and called_off


def test_an_order_that_waits_at_the_konbini_is_called_off_at_stripe_first(
    owner: Client, rehearsal: Rehearsal, crab: Product
) -> None:
    order = play(shop.order_at_konbini(rehearsal, crab))
    assert shop.levels(crab) == (9, 1, 0)
    owner.post(desk.page(order, "call_off"), {"why": "お客さまのご希望", "back": "on"})
    assert shop.levels(crab) == (9, 1, 0), "nothing goes back before Stripe has said so"
    order = play(order)
    assert (order.status, shop.levels(crab)) == ("canceled", (10, 0, 0))
    assert shop.stripe_payments(rehearsal)[0]["status"] == "canceled"
    assert order.executions.order_by("-number")[0].who == "owner"


def test_a_payment_at_the_till_wins_over_calling_off(owner: Client, rehearsal: Rehearsal, crab: Product) -> None:
    order = play(shop.order_at_konbini(rehearsal, crab))
    rehearsal.pay_at_till(order.intent.stripe_id, "seicomart")
    owner.post(desk.page(order, "call_off"), {"why": "遅かった", "back": "on"})
    order = knock(play(order))
    assert (order.status, shop.levels(crab)) == ("complete", (9, 0, 1))
    assert order.deliveries.get().state == "to_ship"
