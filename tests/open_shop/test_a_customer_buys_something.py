"""The main job, done as a person does it, in a real browser, on the shop as `make run` opens it."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.open_shop import shopper
from tests.open_shop.conftest import OpenShop

CRAB = "KANI-KEGANI-500"


def test_a_shopper_buys_a_crab_with_a_card_and_gets_the_mail(open_shop: OpenShop, phone: Page) -> None:
    on_hand, reserved, sold = open_shop.stock(CRAB)
    charged = len(open_shop.charges())
    shopper.put_into_cart(phone)
    shopper.go_to_confirm(phone, "buyer@example.com")
    expect(phone.locator("[data-test=total]").first).to_have_text(re.compile("5,400円"))
    shopper.pay(phone)
    number = shopper.number_on(phone)

    # My page: this browser's own orders, without a login.
    phone.goto("/mypage/")
    expect(phone.locator("main")).to_contain_text(number)
    # The mail, with a link that opens the order for somebody who has no cookie.
    open_shop.wait_for("SELECT 1 FROM order_order WHERE number = %s AND status = 'complete'", number)
    [mail] = open_shop.mails("buyer@example.com")
    assert number in mail["subject"]
    link = re.search(r"http://\S+", mail["text"])
    assert link is not None
    phone.context.clear_cookies()
    phone.goto(link[0])
    expect(phone.locator("main")).to_contain_text(number)
    # The shop's books.
    assert open_shop.stock(CRAB) == (on_hand - 1, reserved, sold + 1)
    assert len(open_shop.charges()) == charged + 1
    [(order, status)] = open_shop.ask("SELECT id, status FROM order_order WHERE number = %s", number)
    assert status == "complete"
    assert open_shop.ask("SELECT count(*) FROM fulfilment_delivery WHERE order_id = %s", order) == [(1,)]
    # The order is complete with its last step; the play ends in the next transaction.
    open_shop.wait_for(
        "SELECT 1 FROM engines_execution WHERE order_id = %s AND status = 'SUCCEEDED'", order
    )
    assert open_shop.ask("SELECT status FROM engines_execution WHERE order_id = %s", order) == [("SUCCEEDED",)]
    steps = open_shop.ask(
        "SELECT step, ended_at >= began_at FROM flows_done WHERE order_id = %s ORDER BY id", order
    )
    assert steps == [
        (name, True)
        for name in ("TakeStock", "TakePayment", "RecordOrder", "CloseCart", "PublishToMyPage", "SendMail")
    ]


def test_a_declined_card_is_told_and_a_second_card_pays_the_same_order(open_shop: OpenShop, phone: Page) -> None:
    before = open_shop.stock(CRAB)
    charged = len(open_shop.charges())
    shopper.put_into_cart(phone)
    shopper.go_to_confirm(phone, "second-card@example.com")
    shopper.pay(phone, shopper.DECLINED)

    expect(phone.locator("[data-test=setback]")).to_contain_text("お支払い")
    assert open_shop.stock(CRAB) == before
    phone.goto("/cart/")
    expect(phone.locator("[data-test=line-quantity]")).to_have_value("1")

    phone.goto("/checkout/confirm/")
    shopper.pay(phone)
    number = shopper.number_on(phone)
    assert open_shop.ask("SELECT count(*) FROM order_order WHERE email = 'second-card@example.com'") == [(1,)]
    assert open_shop.ask("SELECT attempts FROM order_order WHERE number = %s", number) == [(2,)]
    assert len(open_shop.charges()) == charged + 1


def test_the_shop_speaks_english_when_asked(open_shop: OpenShop, phone: Page) -> None:
    phone.goto("/")
    expect(phone.locator("html")).to_have_attribute("lang", "ja")
    phone.locator("[data-test=language-en]").click()
    expect(phone.locator("html")).to_have_attribute("lang", "en")
    shopper.put_into_cart(phone)
    shopper.go_to_confirm(phone, "english@example.com")
    expect(phone.locator("[data-test=total]").first).to_have_text(re.compile("¥5,400"))
    shopper.pay(phone)
    number = shopper.number_on(phone)
    open_shop.wait_for("SELECT 1 FROM order_order WHERE number = %s AND status = 'complete'", number)
    [mail] = open_shop.mails("english@example.com")
    assert "Thank you" in mail["subject"]


def test_a_double_click_is_one_order_and_one_charge(open_shop: OpenShop, phone: Page) -> None:
    charged = len(open_shop.charges())
    shopper.put_into_cart(phone)
    shopper.go_to_confirm(phone, "double-click@example.com")
    form = shopper.card_form(phone)
    form.locator("[autocomplete=cc-number]").fill(shopper.VISA)
    form.locator("[autocomplete=cc-exp]").fill("12 / 34")
    form.locator("[autocomplete=cc-csc]").fill("123")
    press = phone.locator("[data-test=press]")
    expect(press).to_be_enabled()
    press.dblclick()
    number = shopper.number_on(phone)
    phone.go_back()
    phone.goto("/checkout/confirm/")
    open_shop.wait_for("SELECT 1 FROM order_order WHERE number = %s AND status = 'complete'", number)
    assert open_shop.ask("SELECT count(*) FROM order_order WHERE email = 'double-click@example.com'") == [(1,)]
    assert len(open_shop.charges()) == charged + 1
