"""One cart and two orders, carts that were used again, amounts that did not add up, and mail in the money's way."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.core import mail

from rehearsal.api import Rehearsal
from tests import shop
from tests.pages.visitor import Visitor
from tests.quick import knock, play
from tests.races.together import together
from tests.threads.street import THREE_D_SECURE, at_the_bank, customer_passes, open_case, resume
from tests.threads.thread import thread
from todoku.cart import fill
from todoku.cart.models import Cart
from todoku.catalog.models import Product
from todoku.order import links
from todoku.order.models import Order, Status
from todoku.order.place import Changed
from todoku.quote.models import ShippingFee


@pytest.fixture
def no_mail_server(settings: Any) -> None:
    """Nobody listens where the mail server should be."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1


@thread(69, seen="magento/magento2#13952; PrestaShop#17266; woocommerce#62659; shopware#19943, PR #20097 (2018-2026)")
def test_one_cart_is_one_order(rehearsal: Rehearsal, crab: Product) -> None:
    """There: one cart became two orders, because the decision was read outside the lock.

    Here: six presses at once, with six cards, read it inside, and a constraint stands behind them.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    tokens = [shop.type_card(rehearsal) for _ in range(6)]
    together(*(partial(shop.press, rehearsal, cart, quote, token=token, asked=True) for token in tokens))
    assert Order.objects.get().attempts == 1
    play(Order.objects.get())
    assert (len(shop.charges(rehearsal)), shop.levels(crab)) == (1, (9, 0, 1))


@thread(72, seen="woocommerce-gateway-stripe#822, PR #4093; solidusio/solidus_stripe#186; odoo/odoo#100581")
def test_the_cart_is_edited_in_a_second_tab_before_the_press(visitor: Visitor, crab: Product) -> None:
    """There: the second tab changed the cart, and the first tab's amount was charged for the second's goods.

    Here: the press is for a version of the cart; another version is shown and asked about, nothing is charged.
    """
    quote = visitor.to_confirm()
    visitor.put(quantity=2)
    answer = visitor.press(quote)
    assert answer.headers["Location"] == f"/checkout/confirm/?shown={quote}"
    assert 'data-test="changes"' in visitor.read(answer.headers["Location"])
    assert not Order.objects.exists()
    visitor.press(visitor.shown_quote())
    order = play(Order.objects.get())
    [charge] = shop.charges(visitor.rehearsal)
    assert (order.goods_total, charge["amount"]) == (3 * 4800, order.total)


@thread(10, seen="vendurehq/vendure#3025 (2024)")
def test_the_intent_carries_the_shipping_fee(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the intent was made without the shipping fee, so the paid order was short and stuck.

    Here: the frozen total has it, Stripe holds that total, and a fee that changed is asked about before the charge.
    """
    cart = shop.fill_cart((crab, 1))
    quote = shop.agree(cart)
    [payment] = shop.stripe_payments(rehearsal)
    assert (quote.shipping, payment["amount"]) == (600, 5400)
    ShippingFee.objects.update(fee=900)
    assert isinstance(shop.press(rehearsal, cart, quote), Changed)
    assert not shop.charges(rehearsal)
    shop.press(rehearsal, cart, shop.agree(cart))
    order = play(Order.objects.get())
    assert (order.status, shop.charges(rehearsal)[0]["amount"]) == (Status.COMPLETE, 5700)


@thread(71, seen="Paymenter#1258, InvoicePlane#1677, Ctrlpanel-gg/panel#1120, cartalyst/stripe#59, paygw_stripe#2")
def test_yen_have_no_cents(rehearsal: Rehearsal, crab: Product) -> None:
    """There: the yen were multiplied by a hundred.

    Here: 5,400 yen are 5400 at Stripe, in the order, in the mail and on the page.
    """
    order = play(shop.order_one(rehearsal, crab))
    [charge] = shop.charges(rehearsal)
    assert (charge["amount"], charge["currency"], order.total) == (5400, "jpy", 5400)
    assert "5,400円" in mail.outbox[0].body
    assert "540,000" not in mail.outbox[0].body


@thread(73, seen="EC-CUBE/ec-cube#4268, PR #5382, #6335, #6091")
def test_the_tax_of_each_rate_adds_up_to_what_was_charged(rehearsal: Rehearsal, crab: Product) -> None:
    """There: rounding line by line made the invoice differ from the payment by a yen.

    Here: each rate is rounded once, and the rates' sums are the order's total, which is the charge.
    """
    for sku, price, tax_class in (("A", 333, "reduced"), ("B", 777, "standard"), ("C", 101, "standard")):
        shop.sell(sku, price=price, tax_class=tax_class)
    goods = [(product, 3) for product in Product.objects.all()]
    cart = shop.fill_cart(*goods)
    shop.press(rehearsal, cart, shop.agree(cart))
    order = play(Order.objects.get())
    assert sorted(bucket["percent"] for bucket in order.taxes) == [8, 10]
    for bucket in order.taxes:
        assert bucket["tax"] == bucket["base"] * bucket["percent"] // (100 + bucket["percent"])
    assert sum(bucket["base"] for bucket in order.taxes) == order.total == shop.charges(rehearsal)[0]["amount"]


@thread(18, seen="django-oscar/django-oscar#3768 (2021)")
def test_a_mail_server_that_is_down_does_not_block_the_shopper(
    visitor: Visitor, crab: Product, no_mail_server: None, settings: Any
) -> None:
    """There: the mail failed after the order, the basket was thawed and then blocked for ever.

    Here: the cart stays closed, the shopper buys on with a new one, and Resume sends the mail.
    """
    visitor.press(visitor.to_confirm())
    order = play(Order.objects.get())
    assert (order.status, open_case(order).step) == (Status.RECORDED, "SendMail")
    assert Cart.objects.get().closed_at is not None
    assert fill.current(visitor.name) is None
    visitor.press(visitor.to_confirm(2))
    assert Order.objects.count() == 2
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert resume(order).status == Status.COMPLETE
    assert (len(mail.outbox), len(shop.charges(visitor.rehearsal))) == (1, 1)


@thread(35, seen="opencart/opencart#7633 (2019)")
def test_the_order_is_there_although_its_mail_is_not(visitor: Visitor, crab: Product, no_mail_server: None) -> None:
    """There: a failing SMTP server killed the request that completed the order; fifty were missing in a day.

    Here: the page says thank you, my page has the order and the stock is sold before the mail is tried.
    """
    page = visitor.press(visitor.to_confirm()).headers["Location"]
    order = play(Order.objects.get())
    assert visitor.client.get(page + "status/").json() == {"state": "thanks"}
    assert order.number in visitor.read("/mypage/")
    assert shop.levels(crab) == (9, 0, 1)


@thread(19, seen="django-oscar/django-oscar#1734 (2015)")
def test_back_from_the_payment_the_cart_is_there(visitor: Visitor, crab: Product) -> None:
    """There: whoever pressed the browser's back button during the payment had lost the frozen basket.

    Here: back leads to the order that is open; once it is over, the cart holds what it held, and another card pays.
    """
    page = visitor.press(visitor.to_confirm(2), number=THREE_D_SECURE).headers["Location"]
    order = play(Order.objects.get())
    assert visitor.client.get("/checkout/confirm/").headers["Location"] == page
    assert visitor.client.get("/cart/").headers["Location"] == page
    customer_passes(visitor.rehearsal, order, passed=False)
    knock(order, "return")
    assert [line.quantity for line in visitor.cart.lines.all()] == [2]
    assert 'data-test="cart-empty"' not in visitor.read("/cart/")
    visitor.press(visitor.shown_quote())
    assert play(order).status == Status.COMPLETE


@thread(20, seen="openedx-unsupported/ecommerce#1338 (2017)")
def test_a_cart_that_has_seen_money_is_never_used_again(visitor: Visitor, crab: Product) -> None:
    """There: a thawed basket was charged for the next purchase, which showed the old receipt and brought nothing.

    Here: the next purchase has its own cart, its own order, its own receipt, and its goods.
    """
    first = visitor.press(visitor.to_confirm()).headers["Location"]
    play(Order.objects.get())
    second = visitor.press(visitor.to_confirm(2)).headers["Location"]
    newer = play(Order.objects.latest("id"))
    assert first != second
    assert newer.number in visitor.read(second)
    assert (newer.status, newer.goods_total, shop.levels(crab)) == (Status.COMPLETE, 9600, (7, 0, 3))
    assert Order.objects.values("cart").distinct().count() == 2


@thread(21, seen="openedx-unsupported/ecommerce#1334 (2017)")
def test_a_cart_that_has_become_odd_is_not_refused_after_the_payment(rehearsal: Rehearsal, crab: Product) -> None:
    """There: refusing payments for odd baskets would have shown an error after the money was taken.

    Here: the product is withdrawn and dearer while the customer is at the bank; the order goes on as agreed.
    """
    order = at_the_bank(rehearsal, crab)
    Product.objects.update(on_sale=False, price=9999)
    customer_passes(rehearsal, order)
    order = knock(order)
    assert (order.status, order.total, shop.charges(rehearsal)[0]["amount"]) == (Status.COMPLETE, 5400, 5400)
    assert links.path(order).startswith("/orders/")
