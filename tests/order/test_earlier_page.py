"""The page that asks "have you ordered this already?", and the way there and back."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from rehearsal.faults import Fault
from tests import shop
from tests.pages.visitor import Visitor
from todoku.cart.models import Cart
from todoku.order import links
from todoku.order.models import Order

ASKED = "/checkout/earlier/"


def walk_to_confirm(visitor: Visitor, quantity: int = 1) -> str:
    """To the confirm page's address; what it leads to."""
    visitor.put(quantity=quantity)
    assert visitor.fill_in().headers["Location"] == "/checkout/confirm/"
    return str(visitor.client.get("/checkout/confirm/").headers.get("Location", ""))


def say_another(visitor: Visitor) -> str:
    """Press "this is another purchase": the confirm page's address."""
    seals = re.search(r'name="another" value="([^"]+)"', visitor.read(ASKED))
    assert seals
    return f"/checkout/confirm/?another={seals[1]}"


@pytest.mark.parametrize(("language", "words"), [("ja", "すでにご注文"), ("en", "Have you ordered this already?")])
def test_a_shopper_who_starts_again_sees_the_first_order_first(visitor: Visitor, language: str, words: str) -> None:
    order = visitor.buy()
    visitor.client.post("/language/", {"language": language, "next": "/"})
    assert walk_to_confirm(visitor) == ASKED
    page = visitor.read(ASKED)
    assert words in page
    assert order.number in page
    assert f"/orders/{links.token(order)}/" in page
    assert 'data-kind="paid"' in page
    assert len(shop.charges(visitor.rehearsal)) == 1


def test_who_says_that_it_is_another_purchase_goes_on_and_pays(visitor: Visitor) -> None:
    visitor.buy()
    walk_to_confirm(visitor)
    confirm = say_another(visitor)
    page = visitor.read(confirm)
    quote, seals = re.search(r'name="quote" value="([^"]+)"', page), confirm.partition("=")[2]
    assert quote
    assert f'name="another" value="{seals}"' in page
    # A press from a page without the answer is sent to the question; nothing is placed.
    assert visitor.press(quote[1]).headers["Location"] == ASKED
    assert Order.objects.count() == 1
    assert visitor.press(quote[1], another=seals).headers["Location"].startswith("/orders/")
    shop.work_off()
    assert len(shop.charges(visitor.rehearsal)) == 2


def test_a_payment_that_nobody_knows_is_shown_before_other_goods_are_paid(visitor: Visitor) -> None:
    visitor.rehearsal.faults.set(Fault("drop_after", path="*/confirm", times=None))
    visitor.rehearsal.faults.set(Fault("drop_before", method="GET", path="/v1/payment_intents/*", times=None))
    page = visitor.press(visitor.to_confirm()).headers["Location"]
    shop.work_off(hurry=False)
    # The same cart leads to its order by itself.
    assert visitor.client.get("/checkout/confirm/").headers["Location"] == page
    Cart.objects.update(set_aside_at=Order.objects.get().placed_at)
    assert walk_to_confirm(visitor, 3) == ASKED
    told = visitor.read(ASKED)
    assert 'data-kind="checking"' in told
    assert page in told


def test_a_waiting_voucher_offers_its_numbers(visitor: Visitor) -> None:
    visitor.press(visitor.to_confirm(), token=shop.choose_konbini(visitor.rehearsal))
    shop.work_off()
    assert walk_to_confirm(visitor) == ASKED
    assert 'data-kind="konbini"' in visitor.read(ASKED)
    # Other goods are another purchase.
    visitor.client.post("/cart/change/", {"sku": "KANI", "quantity": "2"})
    assert visitor.client.get("/checkout/confirm/").status_code == 200


def test_another_browser_is_asked_but_shown_nothing_of_the_order(visitor: Visitor) -> None:
    order = visitor.buy()
    other = Visitor(Client(raise_request_exception=True), visitor.rehearsal)
    assert walk_to_confirm(other) == ASKED
    page = other.read(ASKED)
    assert 'data-test="earlier-elsewhere"' in page
    assert 'data-test="earlier-order"' not in page
    for secret in (order.number, links.token(order), str(order.uuid), order.uuid.hex):
        assert secret not in page


def test_the_old_page_of_an_order_that_is_placed_leads_to_it(visitor: Visitor) -> None:
    quote = visitor.to_confirm()
    page = visitor.press(quote, token=shop.choose_konbini(visitor.rehearsal)).headers["Location"]
    shop.work_off()
    # Back, with no cart in hand and then with a new one.
    assert visitor.client.get("/checkout/confirm/").headers["Location"] == page
    assert visitor.press(quote).headers["Location"] == page
    visitor.put()
    assert visitor.press(quote).headers["Location"] == page
    assert Order.objects.count() == 1


def test_without_anything_to_ask_the_question_leads_on(visitor: Visitor) -> None:
    assert visitor.client.get(ASKED).headers["Location"] == "/cart/"
    visitor.put()
    assert visitor.client.get(ASKED).headers["Location"] == "/checkout/confirm/"
    assert walk_to_confirm(visitor) == ""
    assert visitor.client.get(ASKED).headers["Location"] == "/checkout/confirm/"
    for garbage in ("x" * 5000, "\x00", "é.é", "...."):
        assert visitor.client.get("/checkout/confirm/", {"another": garbage}).status_code == 200
    assert visitor.client.post(ASKED).status_code == 405
