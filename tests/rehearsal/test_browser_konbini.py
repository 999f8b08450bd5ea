"""Konbini in a real browser: the second tab of the form, the codes in a dialog, and the panel that pays."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.rehearsal.served import Served, eventually
from tests.rehearsal.shop_page import ShopPage
from tests.rehearsal.test_browser import said, served  # noqa: F401  # a fixture

pytestmark = pytest.mark.browser

WORDS = {
    "ja": {
        "tab": "コンビニ払い",
        "name": "お名前を入力してください。",
        "email": "メールアドレスが正しくありません。",
        "phone": "10桁または11桁",
        "close": "閉じる",
        "store": "セイコーマート",
    },
    "en": {
        "tab": "Convenience store",
        "name": "Please enter your full name.",
        "email": "Your email address is invalid.",
        "phone": "10 or 11 digits",
        "close": "Close",
        "store": "Seicomart",
    },
}


@pytest.fixture(params=[("ja", 390), ("en", 1280)], ids=["ja-phone", "en-desktop"])
def page(request: pytest.FixtureRequest, chromium: Browser, served: Served) -> Iterator[Page]:  # noqa: F811
    lang, width = request.param
    shop = ShopPage(served.url, "pk_test_rehearsal", lang, types='["card", "konbini"]', billing="{}")
    opened = chromium.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(shop.url)
    opened.frame_locator("#payment iframe").get_by_role("tab", name=WORDS[lang]["tab"]).wait_for()
    yield opened
    opened.close()
    shop.close()
    assert [line for line in said if "status of 40" not in line] == []


def words(page: Page) -> dict[str, str]:
    return WORDS[page.locator("html").get_attribute("lang") or "en"]


def choose_konbini(page: Page, phone: str = "", email: str = "hanako@example.com") -> None:
    form = page.frame_locator("#payment iframe")
    form.get_by_role("tab", name=words(page)["tab"]).click()
    form.locator("#name").fill("届 花子")
    form.locator("#email").fill(email)
    form.locator("#phone").fill(phone)


def token(page: Page) -> str:
    page.evaluate("document.getElementById('said').textContent = ''")
    page.click("#pay")
    expect(page.locator("#said")).to_contain_text("ctoken_")
    return said(page)["id"]


def placed(page: Page, served: Served) -> str:  # noqa: F811
    client = served.client()
    intent = client.v1.payment_intents.create(
        {"amount": 5400, "currency": "jpy", "allowed_payment_method_types": ["card", "konbini"]}
    )
    waiting = client.v1.payment_intents.confirm(intent.id, {"confirmation_token": token(page)})
    assert waiting.status == "requires_action"
    return waiting.id


def test_the_second_tab_makes_a_konbini_token_with_the_phone_as_number(page: Page, served: Served) -> None:  # noqa: F811
    form = page.frame_locator("#payment iframe")
    expect(form.locator("#panel-card")).to_be_visible()
    choose_konbini(page, "０９０-1234-5678")
    expect(form.locator("#panel-card")).to_be_hidden()
    assert form.get_by_role("tab", selected=True).inner_text() == words(page)["tab"]
    id = placed(page, served)
    assert said(page)["type"] == page.evaluate("window.chosen") == "konbini"
    intent = served.client().v1.payment_intents.retrieve(id, {"expand": ["payment_method"]})
    assert intent.payment_method.billing_details.name == "届 花子"
    stores = intent.next_action.konbini_display_details.stores
    assert stores.lawson.confirmation_number == "09012345678"
    # Tabs are worked with the keyboard too, and what was typed stays.
    form.get_by_role("tab", name=words(page)["tab"]).press("ArrowLeft")
    expect(form.locator("#number")).to_be_visible()
    form.get_by_role("tab", selected=True).press("ArrowRight")
    assert form.locator("#name").input_value() == "届 花子"


def test_what_is_wrong_is_said_at_the_field(page: Page) -> None:
    form, word = page.frame_locator("#payment iframe"), words(page)
    form.get_by_role("tab", name=word["tab"]).click()
    page.click("#pay")
    expect(form.locator("#name-error")).to_have_text(word["name"])
    choose_konbini(page, "12345", "not a mail")
    page.click("#pay")
    expect(form.locator("#email-error")).to_have_text(word["email"])
    expect(form.locator("#phone-error")).to_contain_text(word["phone"])
    expect(form.locator("#name-error")).to_have_text("")
    assert form.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
    frame = page.locator("#payment iframe").bounding_box()
    assert frame is not None
    assert frame["height"] >= form.locator("form").evaluate("e => e.getBoundingClientRect().height") - 1


@pytest.mark.parametrize("how", ["button", "escape"])
def test_the_codes_are_shown_in_a_dialog_until_the_customer_closes_it(
    page: Page,
    served: Served,  # noqa: F811
    how: str,
) -> None:
    choose_konbini(page)
    id = placed(page, served)
    intent = served.client().v1.payment_intents.retrieve(id)
    page.evaluate("secret => { window.next(secret); }", intent.client_secret)
    voucher = page.frame_locator("dialog iframe")
    expect(voucher.get_by_text(words(page)["store"], exact=True)).to_be_visible()
    code = intent.next_action.konbini_display_details.stores.seicomart.payment_code
    expect(voucher.get_by_text(code, exact=True)).to_be_visible()
    assert voucher.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
    if how == "button":
        voucher.get_by_role("button", name=words(page)["close"]).click()
    else:
        page.locator("dialog iframe").evaluate("e => e.blur()")
        page.keyboard.press("Escape")
    expect(page.locator("#said")).to_contain_text('"step":"next"')
    expect(page.locator("dialog")).to_have_count(0)
    assert said(page)["status"] == "requires_action"


def test_the_panel_pays_at_the_till_refunds_and_disputes(page: Page, served: Served) -> None:  # noqa: F811
    choose_konbini(page)
    id = placed(page, served)
    client = served.client()
    page.goto(f"{served.url}/payments/{id}")
    page.get_by_role("button", name="Go to the till").click()
    expect(page.get_by_text("no cancel works now")).to_be_visible()
    page.get_by_label("Pay at the till of").select_option("ministop")
    page.get_by_role("button", name="Pay", exact=True).click()
    expect(page.locator(".lead .badge")).to_have_text("succeeded")
    paid = client.v1.payment_intents.retrieve(id, {"expand": ["latest_charge"]})
    assert paid.latest_charge.payment_method_details.konbini.store.chain == "ministop"
    page.get_by_label("Yen").fill("400")
    page.get_by_role("button", name="Refund", exact=True).click()
    page.get_by_role("button", name="The customer names a bank").click()
    page.get_by_role("button", name="Arrives").click()
    assert client.v1.refunds.list({"payment_intent": id}).data[0].status == "succeeded"
    assert page.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_the_panel_s_clock_expires_a_voucher(page: Page, served: Served) -> None:  # noqa: F811
    choose_konbini(page)
    id = placed(page, served)
    page.goto(f"{served.url}/steer")
    page.get_by_label("Move forward by").fill("5")
    page.get_by_label("Unit").select_option("86400")
    page.get_by_role("button", name="Move the clock").click()
    expect(page).to_have_url(re.compile("/steer$"))
    eventually(lambda: served.client().v1.payment_intents.retrieve(id).status == "requires_payment_method")


def test_a_shop_that_knows_its_customer_shows_no_fields_for_it(chromium: Browser, served: Served) -> None:  # noqa: F811
    shop = ShopPage(
        served.url,
        "pk_test_rehearsal",
        "ja",
        types='["konbini"]',
        options='{ fields: { billingDetails: "never" } }',
    )
    page = chromium.new_page()
    page.goto(shop.url)
    form = page.frame_locator("#payment iframe")
    form.locator("#konbini-hint").wait_for()
    expect(form.locator("#name")).to_be_hidden()
    expect(form.get_by_role("tablist")).to_be_hidden()
    made = token(page)
    preview = served.client().v1.confirmation_tokens.retrieve(made).payment_method_preview
    assert (preview.type, preview.billing_details.email) == ("konbini", "h@example.com")
    page.evaluate("elements.update({ allowedPaymentMethodTypes: ['card', 'konbini'], amount: 400000 })")
    expect(form.locator("#number")).to_be_visible()
    page.close()
    shop.close()
