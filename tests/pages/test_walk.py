"""The shopper's way through the shop, page by page."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session

from tests import shop
from tests.pages.visitor import Visitor
from todoku.catalog.models import Product
from todoku.order import links
from todoku.order.models import Order, Status
from todoku.stock.models import Level


def test_a_shopper_buys_a_crab_and_finds_it_on_my_page(visitor: Visitor, crab: Product) -> None:
    assert "毛がに" in visitor.read("/")
    assert "4,800円" in visitor.read("/products/KANI/")
    quote = visitor.to_confirm()
    confirm = visitor.read("/checkout/confirm/")
    for said in ("5,400円", "600円", "北野 花子", "札幌市中央区", "※", "購入する"):
        assert said in confirm
    answer = visitor.press(quote)
    assert answer.status_code == 303
    order = Order.objects.get()
    page = answer.headers["Location"]
    assert page == f"/orders/{links.token(order)}/"
    assert "order-checking" in visitor.read(page)
    assert visitor.client.get(page + "status/").json() == {"state": "checking"}
    shop.work_off()
    assert visitor.client.get(page + "status/").json() == {"state": "thanks"}
    thanks = visitor.read(page)
    assert order.number in thanks
    assert order.number in visitor.read("/mypage/")
    mine = visitor.read(f"/mypage/{links.token(order)}/")
    assert "北野 花子" in mine
    assert "5,400円" in mine
    assert 'data-test="cart-empty"' in visitor.read("/cart/")
    assert not Session.objects.exists()


def test_the_six_things_the_law_wants_are_on_the_confirm_page_before_the_button(visitor: Visitor) -> None:
    visitor.to_confirm()
    page = visitor.read("/checkout/confirm/")
    terms = page[page.index('data-test="terms"') : page.index('data-test="press"')]
    for said in ("数量", "価格", "お支払い", "お届け", "キャンセル・返品", "申込期間", "5,400円", "shop@example.jp"):
        assert said in terms


def test_a_declined_shopper_is_told_and_pays_with_another_card(visitor: Visitor) -> None:
    quote = visitor.to_confirm()
    page = visitor.press(quote, number=shop.DECLINED).headers["Location"]
    shop.work_off()
    told = visitor.read(page)
    assert 'data-test="setback"' in told
    assert "代金は請求されていません" in told
    assert "/checkout/confirm/" in told
    assert 'data-test="setback"' in visitor.read("/checkout/confirm/")
    assert visitor.press(visitor.shown_quote()).headers["Location"] == page
    shop.work_off()
    assert "order-thanks" in visitor.read(page)
    assert len(shop.charges(visitor.rehearsal)) == 1


def test_a_shopper_whose_bank_asks_gets_the_secret_and_nobody_else_does(visitor: Visitor) -> None:
    page = visitor.press(visitor.to_confirm(), number="4000002500003155").headers["Location"]
    shop.work_off()
    order = Order.objects.get()
    assert order.intent.client_secret in visitor.read(page)
    visitor.client.cookies.clear()
    stranger = visitor.read(page)
    assert "order-authenticate" in stranger
    assert order.intent.client_secret not in stranger
    assert "stripe.js" not in stranger
    assert visitor.client.post(page + "back/").headers["Location"] == page


def test_short_lines_are_named_with_how_many_remain(visitor: Visitor, crab: Product) -> None:
    visitor.put(quantity=5)
    Level.objects.filter(product=crab).update(on_hand=2)
    assert visitor.client.post("/checkout/").headers["Location"] == "/cart/"
    page = visitor.read("/cart/")
    assert 'data-test="short-line"' in page
    assert "残り2点" in page
    assert 'data-test="set-remaining"' in page
    visitor.client.post("/cart/change/", {"sku": "KANI", "quantity": "2"})
    assert visitor.client.post("/checkout/").headers["Location"] == "/checkout/details/"


def test_what_sold_out_between_the_pages_sends_the_shopper_back_to_the_cart(visitor: Visitor, crab: Product) -> None:
    quote = visitor.to_confirm()
    Level.objects.filter(product=crab).update(on_hand=0)
    assert visitor.press(quote).headers["Location"] == "/cart/"
    assert not Order.objects.exists()
    assert "代金は請求されていません" in visitor.read("/cart/")


def test_what_sold_out_during_the_payment_is_named(visitor: Visitor, crab: Product) -> None:
    page = visitor.press(visitor.to_confirm(3)).headers["Location"]
    Level.objects.filter(product=crab).update(on_hand=1)
    shop.work_off()
    told = visitor.read(page)
    assert "残り1点" in told
    assert 'data-test="to-cart"' in told
    assert not shop.charges(visitor.rehearsal)


def test_a_changed_price_is_told_and_asked_again_before_any_charge(visitor: Visitor, crab: Product) -> None:
    quote = visitor.to_confirm()
    Product.objects.filter(pk=crab.pk).update(price=5000)
    answer = visitor.press(quote)
    assert answer.headers["Location"] == f"/checkout/confirm/?shown={quote}"
    page = visitor.read(answer.headers["Location"])
    assert 'data-test="changes"' in page
    assert "4,800円から5,000円" in page
    assert not Order.objects.exists()
    visitor.press(visitor.shown_quote())
    shop.work_off()
    assert Order.objects.get().total == 5600


def test_a_price_that_changed_before_the_reload_is_told_on_the_confirm_page(visitor: Visitor, crab: Product) -> None:
    visitor.to_confirm()
    Product.objects.filter(pk=crab.pk).update(price=5000)
    assert 'data-test="changes"' in visitor.read("/checkout/confirm/")
    assert 'data-test="changes"' not in visitor.read("/checkout/confirm/")


def test_while_an_order_is_being_paid_every_page_of_the_checkout_leads_to_it(visitor: Visitor) -> None:
    page = visitor.press(visitor.to_confirm()).headers["Location"]
    for path in ("/cart/", "/checkout/details/", "/checkout/confirm/"):
        assert visitor.client.get(path).headers["Location"] == page
    assert visitor.client.post("/checkout/").headers["Location"] == page
    assert visitor.put().headers["Location"] == page
    assert visitor.client.post("/cart/change/", {"sku": "KANI", "quantity": "9"}).headers["Location"] == page
    assert visitor.client.post("/cart/take-out/", {"sku": "KANI"}).headers["Location"] == page
    assert "すでにお支払い手続き中です" in visitor.read(page)


def test_a_double_press_back_and_again_and_a_second_tab_make_one_order(visitor: Visitor) -> None:
    quote = visitor.to_confirm()
    token = shop.type_card(visitor.rehearsal)
    pages = {visitor.press(quote, token).headers["Location"] for _ in range(3)}
    pages.add(visitor.press(quote).headers["Location"])
    shop.work_off()
    pages.add(visitor.press(quote, token).headers["Location"])
    pages.add(visitor.press(quote).headers["Location"])
    assert len(pages) == 1
    order = Order.objects.get()
    assert order.status == Status.COMPLETE
    assert len(shop.charges(visitor.rehearsal)) == 1


def test_a_shop_that_cannot_reach_stripe_keeps_the_details_and_says_so(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from todoku.bad_news import Unavailable
    from todoku.storefront import checkout

    def away(quote: object) -> None:
        raise Unavailable("no answer")

    visitor.put()
    monkeypatch.setattr(checkout, "prepare", away)
    answer = visitor.fill_in()
    assert answer.status_code == 503
    assert "北野 花子" in answer.content.decode()
    confirm = visitor.client.get("/checkout/confirm/")
    assert confirm.status_code == 503
    assert 'data-test="trouble"' in confirm.content.decode()
    assert 'data-test="press"' not in confirm.content.decode()
    monkeypatch.undo()
    assert 'data-test="press"' in visitor.read("/checkout/confirm/")


def test_a_wish_that_has_passed_is_asked_for_again(visitor: Visitor) -> None:
    from datetime import date

    from todoku.quote.models import Draft

    visitor.to_confirm()
    Draft.objects.update(wished_on=date(2020, 1, 1))
    assert visitor.client.get("/checkout/confirm/").headers["Location"] == "/checkout/details/"


def test_the_details_are_there_when_the_shopper_comes_back(visitor: Visitor) -> None:
    visitor.to_confirm()
    page = visitor.read("/checkout/details/")
    for said in ("北野 花子", "060-0001", "札幌市中央区", "hanako@example.jp"):
        assert said in page
