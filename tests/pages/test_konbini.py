"""Paying at a convenience store as the shopper sees it: chosen, told, waited for, given up, ended, ordered again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from rehearsal.api import Rehearsal
from rehearsal.faults import Fault
from tests import shop
from tests.pages.visitor import Visitor
from todoku.catalog.models import Product
from todoku.engines import engine
from todoku.order.models import Order, Status
from todoku.payment.models import Voucher
from todoku.stock.models import Level


def order_at_konbini(visitor: Visitor, quantity: int = 1) -> str:
    """Order and choose konbini; the order's page."""
    page = visitor.press(visitor.to_confirm(quantity), shop.choose_konbini(visitor.rehearsal)).headers["Location"]
    shop.work_off()
    return str(page)


def knock() -> Order:
    """Stripe has told something about the only order."""
    engine.play("checkout", Order.objects.get(), knock="webhook")
    shop.work_off()
    return Order.objects.get()


def intent(rehearsal: Rehearsal) -> str:
    """The id of the latest order's intent at Stripe."""
    return str(Order.objects.latest("pk").intent.stripe_id)


def due() -> str:
    """The last day to pay, as a Japanese shopper reads it."""
    day = timezone.localdate() + timedelta(days=3)
    return f"{day.month}月{day.day}日（{'月火水木金土日'[day.weekday()]}） 23:59"


# The confirm page --------------------------------------------------------------------------------------------


def test_the_confirm_page_says_for_each_way_to_pay_what_the_button_does_and_when_it_is_paid(visitor: Visitor) -> None:
    visitor.to_confirm()
    page = visitor.read("/checkout/confirm/")
    assert 'data-methods="card konbini"' in page
    terms = page[page.index('data-test="terms"') : page.index('data-test="press"')]
    for said in ("ご注文の確定時", "コンビニ払い", "ファミリーマート、ローソン、ミニストップ、セイコーマート", due()):
        assert said in terms
    means = page[page.index('data-test="press-means"') :]
    assert f"お支払いは {due()} までにコンビニで" in means
    assert "セブン" not in page


@pytest.mark.parametrize(
    ("price", "methods", "told"), [(299_400, "card konbini", False), (299_401, "card", True), (400_000, "card", True)]
)
def test_konbini_is_offered_up_to_300000_yen_and_above_that_the_page_says_so(
    visitor: Visitor, crab: Product, price: int, methods: str, told: bool
) -> None:
    from todoku.quote.models import ShippingRule

    ShippingRule.objects.update(free_above=None)
    Product.objects.filter(pk=crab.pk).update(price=price)
    visitor.to_confirm()
    page = visitor.read("/checkout/confirm/")
    assert f'data-methods="{methods}"' in page
    assert ('data-test="konbini-too-much"' in page) is told
    assert ("300,000円以下のご注文" in page) is told
    assert ('data-test="konbini-note"' in page) is not told


def test_a_shop_without_konbini_does_not_speak_of_it(visitor: Visitor, settings: LazySettings) -> None:
    settings.KONBINI = False
    visitor.to_confirm()
    for path in ("/checkout/confirm/", "/legal/"):
        page = visitor.read(path)
        assert "ファミリーマート" not in page
        assert 'data-for="konbini"' not in page


def test_the_legal_notice_tells_the_ways_to_pay_and_the_times(visitor: Visitor) -> None:
    page = visitor.read("/legal/")
    for said in ("クレジットカード", "ご注文の確定時", "コンビニ払い", "120円〜300,000円", "3日後の23:59"):
        assert said in page


def test_a_voucher_that_cannot_be_made_is_told_in_words_about_stores_and_not_about_cards(
    visitor: Visitor, crab: Product
) -> None:
    visitor.rehearsal.faults.set(Fault("not_available", path="*/confirm", times=None))
    page = order_at_konbini(visitor)
    told = visitor.read(page)
    assert "このお支払い方法をご利用いただけません" in told
    assert "カード会社" not in told
    assert shop.levels(crab) == (10, 0, 0)
    assert "このお支払い方法をご利用いただけません" in visitor.read("/checkout/confirm/")
    visitor.rehearsal.faults.clear()
    assert visitor.press(visitor.shown_quote()).headers["Location"] == page
    shop.work_off()
    assert "order-thanks" in visitor.read(page)


# Waiting -----------------------------------------------------------------------------------------------------


def test_the_orders_page_shows_what_one_needs_at_the_till(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    assert visitor.client.get(page + "status/").json() == {"state": "konbini"}
    told = visitor.read(page)
    voucher = Voucher.objects.get()
    for store in voucher.stores:
        assert f'data-chain="{store["chain"]}"' in told
        assert f'data-copy="{store["payment_code"]}"' in told
        assert f'data-copy="{store["confirmation_number"]}"' in told
    for said in ("5,400円", due(), "あと3日", "ローソン", "Loppi", "マルチコピー機", "hanako@example.jp", voucher.url):
        assert said in told
    assert Order.objects.get().intent.client_secret not in told
    # The cart is empty meanwhile: the shopper may buy something else.
    assert 'data-test="cart-empty"' in visitor.read("/cart/")


@pytest.mark.parametrize(("days", "said"), [(2, "あと2日"), (1, "明日まで"), (0, "本日まで")])
def test_the_days_left_are_counted_by_the_calendar(visitor: Visitor, days: int, said: str) -> None:
    page = order_at_konbini(visitor)
    end = timezone.localtime() + timedelta(days=days)
    Voucher.objects.update(expires_at=end.replace(hour=23, minute=59, second=59))
    assert said in visitor.read(page)


def test_the_link_in_the_mail_opens_the_numbers_on_another_device_but_nothing_else(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    stranger = Client()
    told = stranger.get(page).content.decode()
    assert Voucher.objects.get().stores[0]["payment_code"] in told
    assert "hanako@example.jp" not in told
    assert 'data-test="give-up"' not in told


def test_my_page_lists_what_waits_to_be_paid_and_not_what_has_ended(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    mine = visitor.read("/mypage/")
    assert 'data-test="due"' in mine
    assert due() in mine
    assert f'href="{page}"' in mine
    visitor.rehearsal.expire_voucher(intent(visitor.rehearsal))
    knock()
    assert 'data-test="no-orders"' in visitor.read("/mypage/")


def test_a_voucher_past_its_time_waits_for_the_stores_report_and_shows_no_numbers(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    Voucher.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert visitor.client.get(page + "status/").json() == {"state": "konbini_late"}
    told = visitor.read(page)
    assert "お店からの連絡を待っています" in told
    assert Voucher.objects.get().stores[0]["payment_code"] not in told
    assert 'data-test="due"' not in visitor.read("/mypage/")
    visitor.rehearsal.pay_at_till(intent(visitor.rehearsal), "lawson")
    knock()
    assert "order-thanks" in visitor.read(page)


def test_an_order_paid_at_the_store_says_where(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    visitor.rehearsal.pay_at_till(intent(visitor.rehearsal), "lawson")
    knock()
    assert "order-thanks" in visitor.read(page)
    mine = visitor.read(page.replace("/orders/", "/mypage/"))
    assert "コンビニ払い（ローソン）" in mine
    assert "カード" not in mine[mine.index('data-test="how-paid"') :][:200]


def test_who_has_paid_and_sees_no_word_of_it_asks_the_shop_to_look_now(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    assert f'action="{page}back/"' in visitor.read(page)
    visitor.client.post(page + "back/")
    shop.work_off()
    assert "order-konbini" in visitor.read(page)
    # Paid, and Stripe's webhook is lost.
    visitor.rehearsal.pay_at_till(intent(visitor.rehearsal), "lawson")
    visitor.client.post(page + "back/")
    shop.work_off()
    assert "order-thanks" in visitor.read(page)


def test_a_bank_that_takes_its_time_gives_a_page_without_a_button(visitor: Visitor) -> None:
    visitor.rehearsal.faults.set(Fault("processing", path="*/confirm", seconds=600))
    page = visitor.press(visitor.to_confirm()).headers["Location"]
    shop.work_off()
    assert visitor.client.get(page + "status/").json() == {"state": "processing"}
    told = visitor.read(page)
    assert "銀行でお支払いを処理しています" in told
    main = told[told.index('id="standing"') : told.index("</main>")]
    assert "<button" not in main
    assert 'data-test="give-up"' not in main
    assert visitor.client.get(page + "cancel/").headers["Location"] == page
    visitor.rehearsal.settle_processing(intent(visitor.rehearsal), True)
    knock()
    assert "order-thanks" in visitor.read(page)


# Giving up ---------------------------------------------------------------------------------------------------


def test_a_shopper_cancels_before_paying_and_orders_the_same_again(visitor: Visitor, crab: Product) -> None:
    page = order_at_konbini(visitor, 2)
    assert shop.levels(crab) == (8, 2, 0)
    # Looking changes nothing.
    assert 'data-test="give-up-now"' in visitor.read(page + "cancel/")
    assert visitor.client.get(page + "status/").json() == {"state": "konbini"}
    assert Order.objects.get().withdrawn_at is None

    assert visitor.client.post(page + "cancel/").headers["Location"] == page
    assert visitor.client.get(page + "status/").json() == {"state": "canceling"}
    assert "ご注文をキャンセルしています" in visitor.read(page)
    shop.work_off()
    order = Order.objects.get()
    assert order.status == Status.CANCELED
    assert shop.levels(crab) == (10, 0, 0)
    [payment] = shop.stripe_payments(visitor.rehearsal)
    assert payment["status"] == "canceled"
    told = visitor.read(page)
    assert "このご注文は取り消されました。代金は請求されていません" in told

    for _twice in range(2):
        assert visitor.client.post(page + "again/").headers["Location"] == "/cart/"
        assert [line.quantity for line in visitor.cart_in_hand.lines.all()] == [2]
    assert "そのご注文の商品をカートに入れました" in visitor.read("/cart/")


def test_a_customer_at_the_till_pays_although_the_order_was_being_canceled(visitor: Visitor, crab: Product) -> None:
    page = order_at_konbini(visitor)
    visitor.rehearsal.go_to_till(intent(visitor.rehearsal))
    visitor.client.post(page + "cancel/")
    shop.work_off()
    assert visitor.client.get(page + "status/").json() == {"state": "canceling"}
    assert 'data-test="late"' in visitor.read(page)
    Order.objects.update(withdrawn_at=timezone.now() - timedelta(seconds=10))
    # Without JavaScript, too, the page says that it is tried again.
    told = visitor.read(page)
    assert "引き続き手続きを試みています" in told
    assert "hidden" not in told[told.index('id="late"') :].split(">")[0]
    assert shop.levels(crab) == (9, 1, 0)
    # The same wish again changes nothing.
    assert visitor.client.post(page + "cancel/").headers["Location"] == page

    visitor.rehearsal.pay_at_till(intent(visitor.rehearsal), "lawson")
    knock()
    assert "order-thanks" in visitor.read(page)
    assert shop.levels(crab) == (9, 0, 1)


def test_only_the_browser_that_ordered_cancels(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    nobody, somebody_else = Client(), Client()
    somebody_else.post("/cart/put/", {"sku": "KANI", "quantity": "1"})
    for stranger in (nobody, somebody_else):
        assert stranger.get(page + "cancel/").headers["Location"] == page
        assert stranger.post(page + "cancel/").headers["Location"] == page
        assert "ご注文時と同じブラウザー" in stranger.get(page).content.decode()
    shop.work_off()
    order = Order.objects.get()
    assert (order.status, order.withdrawn_at) == (Status.PLACED, None)


def test_a_paid_order_is_not_canceled(visitor: Visitor, crab: Product) -> None:
    page = order_at_konbini(visitor)
    visitor.rehearsal.pay_at_till(intent(visitor.rehearsal), "lawson")
    knock()
    assert visitor.client.get(page + "cancel/").headers["Location"] == page
    assert visitor.client.post(page + "cancel/").headers["Location"] == page
    assert "お支払いが済んでいる" in visitor.read(page)
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE
    assert shop.levels(crab) == (9, 0, 1)


def test_an_order_that_nobody_has_asked_about_yet_is_not_canceled(visitor: Visitor) -> None:
    page = visitor.press(visitor.to_confirm()).headers["Location"]
    assert visitor.client.post(page + "cancel/").headers["Location"] == page
    assert "お支払いを確認しているため" in visitor.read(page)
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE


def test_a_payment_that_is_quicker_than_the_cancel_wins(visitor: Visitor, crab: Product) -> None:
    page = order_at_konbini(visitor)
    visitor.client.post(page + "cancel/")
    visitor.rehearsal.pay_at_till(intent(visitor.rehearsal), "lawson")
    shop.work_off()
    assert Order.objects.get().status == Status.COMPLETE
    assert "order-thanks" in visitor.read(page)
    assert shop.levels(crab) == (9, 0, 1)


def test_who_gives_3d_secure_up_orders_with_another_card_at_once(visitor: Visitor, crab: Product) -> None:
    page = visitor.press(visitor.to_confirm(), number="4000002500003155").headers["Location"]
    shop.work_off()
    assert f'href="{page}cancel/"' in visitor.read(page)
    assert "この支払いをやめる" in visitor.read(page + "cancel/")
    visitor.client.post(page + "cancel/")
    # Until Stripe has confirmed it, nothing new is offered.
    assert visitor.client.get("/checkout/confirm/").headers["Location"] == page
    shop.work_off()
    assert 'data-test="another-way"' in visitor.read(page)
    assert shop.levels(crab) == (10, 0, 0)
    second = visitor.press(visitor.shown_quote()).headers["Location"]
    assert second != page
    shop.work_off()
    assert "order-thanks" in visitor.read(second)
    assert "order-canceled" in visitor.read(page)
    assert len(shop.charges(visitor.rehearsal)) == 1
    assert shop.levels(crab) == (9, 0, 1)


# After the end -----------------------------------------------------------------------------------------------


def test_an_expired_voucher_gives_a_clear_page_and_a_way_to_order_again(visitor: Visitor, crab: Product) -> None:
    page = order_at_konbini(visitor, 3)
    visitor.rehearsal.expire_voucher(intent(visitor.rehearsal))
    knock()
    told = visitor.read(page)
    assert "お支払い期限が過ぎた" in told
    assert "代金は請求されていません" in told
    assert shop.levels(crab) == (10, 0, 0)

    Level.objects.filter(product=crab).update(on_hand=2)
    visitor.client.post(page + "again/")
    assert [line.quantity for line in visitor.cart_in_hand.lines.all()] == [2]
    assert "毛がには残り2点のため" in visitor.read("/cart/")


def test_what_cannot_be_put_back_is_named(visitor: Visitor, crab: Product) -> None:
    tea = shop.sell("CHA", 1000, name_ja="ほうじ茶", temperature="ambient")
    visitor.put("CHA", 1)
    page = order_at_konbini(visitor)
    visitor.rehearsal.expire_voucher(intent(visitor.rehearsal))
    knock()
    Level.objects.filter(product=crab).update(on_hand=0)
    Product.objects.filter(pk=tea.pk).update(on_sale=False)
    visitor.client.post(page + "again/")
    cart = visitor.read("/cart/")
    assert "毛がには売り切れました" in cart
    assert "ほうじ茶：" in cart
    assert "販売を終了" in cart
    assert 'data-test="cart-empty"' in cart
    assert "カートに入れました" not in cart


def test_only_an_order_that_has_ended_is_put_back(visitor: Visitor) -> None:
    page = order_at_konbini(visitor)
    assert visitor.client.post(page + "again/").headers["Location"] == page
    assert visitor.client.get(page + "again/").headers["Location"] == page
    visitor.rehearsal.expire_voucher(intent(visitor.rehearsal))
    knock()
    assert visitor.client.get(page + "again/").headers["Location"] == page
    assert 'data-test="cart-empty"' in visitor.read("/cart/")
    # Anybody with the link may fill a cart of their own.
    stranger = Client()
    assert stranger.post(page + "again/").headers["Location"] == "/cart/"
    assert "毛がに" in stranger.get("/cart/").content.decode()
