"""What the operator sees of orders that wait at the konbini: which, until when, for what; and never the codes."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from rehearsal.api import Rehearsal
from tests import shop
from tests.console.desk import operator
from tests.quick import knock, play
from todoku.catalog.models import Product
from todoku.order.models import Order
from todoku.payment.models import Voucher

ORDERS = "admin:order_order_changelist"


def test_waiting_konbini_orders_are_found_with_their_deadline(rehearsal: Rehearsal, crab: Product) -> None:
    owner = operator("sato", superuser=True)
    waiting = play(shop.order_at_konbini(rehearsal, crab))
    asked = play(shop.order_one(rehearsal, crab, number="4000002760003184"))
    paid = play(shop.order_at_konbini(rehearsal, crab))
    rehearsal.pay_at_till(paid.intent.stripe_id, "seicomart")
    knock(paid)

    page = owner.get(reverse(ORDERS), {"konbini": "waiting"}).content.decode()
    assert waiting.number in page
    assert asked.number not in page and paid.number not in page
    assert timezone.localtime(waiting.pay_by).strftime("%H:%M") in page
    assert waiting.number not in owner.get(reverse(ORDERS), {"konbini": "late"}).content.decode()
    Order.objects.filter(pk=waiting.pk).update(pay_by=timezone.now())
    assert waiting.number in owner.get(reverse(ORDERS), {"konbini": "late"}).content.decode()
    everything = owner.get(reverse(ORDERS)).content.decode()
    assert all(order.number in everything for order in (waiting, asked, paid))
    assert owner.get(reverse(ORDERS), {"konbini": "'; drop"}).status_code == 200


def test_an_order_and_its_attempt_say_what_they_wait_for_and_where_they_were_paid_but_no_code(
    rehearsal: Rehearsal, crab: Product
) -> None:
    owner = operator("sato", superuser=True)
    owner.cookies["language"] = "en"
    order = play(shop.order_at_konbini(rehearsal, crab))
    attempt = order.payment_attempts.get()
    pages = [
        reverse("admin:order_order_change", args=[order.pk]),
        reverse("admin:payment_attempt_change", args=[attempt.pk]),
        reverse("admin:payment_attempt_changelist"),
    ]
    for address in pages:
        shown = owner.get(address, HTTP_ACCEPT_LANGUAGE="en").content.decode()
        assert "payment at a convenience store" in shown or "コンビニでのお支払い" in shown, address
        for store in Voucher.objects.get().stores:
            assert store["confirmation_number"] not in shown

    rehearsal.pay_at_till(order.intent.stripe_id, "seicomart")
    knock(order)
    for address in pages:
        shown = owner.get(address).content.decode()
        assert "Seicomart" in shown or "セイコーマート" in shown, address
        assert "payment at a convenience store" not in shown.split("changelist-filter")[0] or "list" in address
