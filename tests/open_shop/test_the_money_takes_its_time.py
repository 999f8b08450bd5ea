"""3-D Secure and konbini on a phone, each with Stripe's webhooks and with none of them arriving.

Without webhooks an order comes to rest because its page knocks, or because the database knows when it is to be
looked at next. That moment is a minute away at first; the tests make it due now and measure from there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.open_shop import shopper
from tests.open_shop.conftest import OpenShop

#: One product for each story, so that nobody's second purchase looks like somebody's first.
GOODS = "KANI-KEGANI-500"
#: How long any of it may take to come to rest, in seconds; it is measured and told.
REST = 20.0
Told = Callable[[str, object], None]


@pytest.fixture(params=[False, True], ids=["webhooks", "no-webhooks"])
def silent(request: pytest.FixtureRequest, open_shop: OpenShop) -> Iterator[bool]:
    """Whether every one of Stripe's webhooks is lost on its way."""
    silent = bool(request.param)
    if silent:
        open_shop.control("road", {"seed": 1, "lose": 1})
    yield silent
    if silent:
        open_shop.control("road", {"seed": 1, "lose": 0})


def mail_of(request: pytest.FixtureRequest) -> str:
    """A mail address for this test alone."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_")).strip("-")[:60] + "@example.com"


def intent_of(open_shop: OpenShop, mail: str) -> str:
    """The id at Stripe of somebody's latest order."""
    [(intent,)] = open_shop.ask(
        "SELECT i.stripe_id FROM payment_intent i JOIN order_order o ON o.intent_id = i.id WHERE o.email = %s"
        " ORDER BY o.id DESC LIMIT 1",
        mail,
    )
    return str(intent)


def at_rest(open_shop: OpenShop, mail: str, status: str, began: float, told: Told, *, nobody_knocks: bool) -> None:
    """Wait until somebody's order is as it will stay, and tell how long that took.

    Where nobody knocks the order's next look is made due now: with the defaults it comes within 70 seconds of the
    order at first, and after half an hour of waiting within half an hour.
    """
    if nobody_knocks:
        open_shop.ask("UPDATE order_order SET next_look_at = now() WHERE email = %s AND status = 'placed'", mail)
    open_shop.wait_for("SELECT 1 FROM order_order WHERE email = %s AND status = %s", mail, status, seconds=REST)
    seconds = time.monotonic() - began
    told("seconds_to_rest", round(seconds, 2))
    print(f"{mail}: {status} after {seconds:.2f} s")
    assert seconds < REST


def question(page: Page) -> Callable[[str], None]:
    """The bank's question over the page; answer it with pass or fail."""
    frame = page.frame_locator("dialog iframe")
    frame.locator("button[value=pass]").wait_for()
    return lambda answer: frame.locator(f"button[value={answer}]").click()


def order_at_konbini(open_shop: OpenShop, phone: Page, mail: str) -> None:
    """Choose konbini on the confirm page and order."""
    shopper.put_into_cart(phone, GOODS)
    shopper.go_to_confirm(phone, mail)
    shopper.card_form(phone).locator("#tab-konbini").click()
    # What the page says of the button is about the way to pay that was chosen.
    press = phone.locator("[data-test=press]")
    expect(press).to_have_text("注文を確定する")
    expect(phone.locator("[data-test=press-means]")).to_contain_text("コンビニで")
    expect(phone.locator("[data-test=press-means] [data-for=card]")).to_be_hidden()
    press.click()
    expect(phone.locator("[data-test=order-konbini]")).to_be_visible()


def test_3d_secure_passed(
    open_shop: OpenShop, phone: Page, silent: bool, request: pytest.FixtureRequest, record_property: Told
) -> None:
    mail = mail_of(request)
    shopper.put_into_cart(phone, GOODS)
    shopper.go_to_confirm(phone, mail)
    shopper.pay(phone, shopper.THREE_D_SECURE)
    answer = question(phone)
    began = time.monotonic()
    answer("pass")
    at_rest(open_shop, mail, "complete", began, record_property, nobody_knocks=False)
    shopper.number_on(phone)


def test_3d_secure_failed_and_then_another_card(
    open_shop: OpenShop, phone: Page, silent: bool, request: pytest.FixtureRequest, record_property: Told
) -> None:
    mail, before = mail_of(request), open_shop.stock(GOODS)
    shopper.put_into_cart(phone, GOODS)
    shopper.go_to_confirm(phone, mail)
    shopper.pay(phone, shopper.THREE_D_SECURE)
    answer = question(phone)
    began = time.monotonic()
    answer("fail")
    at_rest(open_shop, mail, "not_paid", began, record_property, nobody_knocks=False)
    expect(phone.locator("[data-test=setback]")).to_contain_text("本人認証ができませんでした")
    assert open_shop.stock(GOODS) == before

    phone.locator("[data-test=try-again]").click()
    shopper.pay(phone)
    number = shopper.number_on(phone)
    assert open_shop.ask("SELECT number, attempts FROM order_order WHERE email = %s", mail) == [(number, 2)]
    assert open_shop.stock(GOODS) == (before[0] - 1, before[1], before[2] + 1)


def test_3d_secure_abandoned(
    open_shop: OpenShop, phone: Page, silent: bool, request: pytest.FixtureRequest, record_property: Told
) -> None:
    mail, before = mail_of(request), open_shop.stock(GOODS)
    shopper.put_into_cart(phone, GOODS)
    shopper.go_to_confirm(phone, mail)
    shopper.pay(phone, shopper.THREE_D_SECURE)
    question(phone)
    page = phone.url
    phone.goto("about:blank")  # the tab is closed
    assert open_shop.stock(GOODS) == (before[0] - 1, before[1] + 1, before[2])
    # Half an hour goes by.
    open_shop.control("clock", {"advance": 1860})
    open_shop.ask("UPDATE order_order SET pay_by = now() WHERE email = %s", mail)
    began = time.monotonic()
    at_rest(open_shop, mail, "canceled", began, record_property, nobody_knocks=True)
    assert open_shop.stock(GOODS) == before
    [payment] = [
        row
        for row in open_shop.control("state?table=payment_intents")["payment_intents"]
        if row["id"] == intent_of(open_shop, mail)
    ]
    assert payment["status"] == "canceled"
    phone.goto(page)
    expect(phone.locator("[data-test=setback]")).to_contain_text("代金は請求されていません")
    # The cart is as it was: the way to another card is one press long.
    phone.locator("[data-test=another-way]").click()
    expect(phone.locator("[data-test=order-form]")).to_be_visible()


def test_konbini_paid(
    open_shop: OpenShop, phone: Page, silent: bool, request: pytest.FixtureRequest, record_property: Told
) -> None:
    mail, before = mail_of(request), open_shop.stock(GOODS)
    order_at_konbini(open_shop, phone, mail)
    shown = phone.locator("[data-chain=familymart] [data-test=payment-code]").inner_text()
    assert re.fullmatch(r"\d{6}", shown)
    assert open_shop.stock(GOODS) == (before[0] - 1, before[1] + 1, before[2])
    # Every store opens with the keyboard alone, and its numbers are copied with it.
    phone.context.grant_permissions(["clipboard-read", "clipboard-write"])
    phone.locator("[data-chain=lawson] summary").focus()
    phone.keyboard.press("Enter")
    expect(phone.locator("[data-chain=familymart] [data-test=payment-code]")).to_be_hidden()
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    expect(phone.locator("#copied")).to_contain_text("コピーしました")
    code = phone.locator("[data-chain=lawson] [data-test=payment-code]").inner_text()
    assert phone.evaluate("navigator.clipboard.readText()") == code

    open_shop.wait_for(
        "SELECT 1 FROM notify_mail m JOIN order_order o ON o.id = m.order_id"
        " WHERE o.email = %s AND m.kind = 'konbini_codes' AND m.sent_at IS NOT NULL",
        mail,
    )
    [letter] = open_shop.mails(mail)
    assert shown in letter["text"]

    began = time.monotonic()
    open_shop.control(f"payment_intents/{intent_of(open_shop, mail)}/pay", {"chain": "lawson"})
    at_rest(open_shop, mail, "complete", began, record_property, nobody_knocks=silent)
    # The page that was left open says so by itself.
    number = shopper.number_on(phone)
    assert open_shop.stock(GOODS) == (before[0] - 1, before[1], before[2] + 1)
    codes, thanks = sorted(open_shop.mails(mail), key=lambda letter: shown not in letter["text"])
    assert number in codes["subject"]
    assert number in thanks["subject"]


def test_konbini_expired(
    open_shop: OpenShop, phone: Page, silent: bool, request: pytest.FixtureRequest, record_property: Told
) -> None:
    mail, before = mail_of(request), open_shop.stock(GOODS)
    order_at_konbini(open_shop, phone, mail)
    began = time.monotonic()
    open_shop.control(f"payment_intents/{intent_of(open_shop, mail)}/expire", {})
    at_rest(open_shop, mail, "canceled", began, record_property, nobody_knocks=silent)
    assert open_shop.stock(GOODS) == before
    expect(phone.locator("[data-test=setback]")).to_contain_text("お支払い期限が過ぎた")
    phone.locator("[data-test=again]").click()
    expect(phone.locator("[data-test=line-quantity]")).to_have_value("1")


def test_3d_secure_given_up_leads_to_another_card(
    open_shop: OpenShop, phone: Page, request: pytest.FixtureRequest
) -> None:
    mail, before = mail_of(request), open_shop.stock(GOODS)
    shopper.put_into_cart(phone, GOODS)
    shopper.go_to_confirm(phone, mail)
    shopper.pay(phone, shopper.THREE_D_SECURE)
    question(phone)("leave")
    # The bank's window does not open by itself a second time, or nobody could reach what is under it.
    phone.reload()
    expect(phone.locator("[data-test=authenticate]")).to_be_enabled()
    phone.locator("[data-test=give-up]").click()
    phone.locator("[data-test=give-up-now]").click()
    phone.locator("[data-test=another-way]").click()
    shopper.pay(phone)
    shopper.number_on(phone)
    assert open_shop.ask("SELECT status FROM order_order WHERE email = %s ORDER BY id", mail)[0] == ("canceled",)
    assert open_shop.stock(GOODS) == (before[0] - 1, before[1], before[2] + 1)


def test_konbini_canceled_by_the_shopper(open_shop: OpenShop, phone: Page, request: pytest.FixtureRequest) -> None:
    mail, before = mail_of(request), open_shop.stock(GOODS)
    order_at_konbini(open_shop, phone, mail)
    phone.locator("[data-test=give-up]").click()
    phone.locator("[data-test=give-up-now]").click()
    expect(phone.locator("[data-test=order-canceled]")).to_be_visible()
    assert open_shop.stock(GOODS) == before
