"""What a shopper does with a page."""

from __future__ import annotations

import re

from playwright.sync_api import Frame, Page, expect

from tests.shop import phone_of

VISA = "4242 4242 4242 4242"
DECLINED = "4000 0000 0000 0002"
THREE_D_SECURE = "4000 0025 0000 3155"


def put_into_cart(page: Page, sku: str = "KANI-KEGANI-500", quantity: int = 1) -> None:
    """From the list of goods into the cart."""
    page.goto("/")
    page.locator(f"[data-test=product][data-sku={sku}] a").first.click()
    page.locator("[data-test=quantity]").select_option(str(quantity))
    page.locator("[data-test=put]").click()
    expect(page.locator("[data-test=cart-count]")).to_contain_text(str(quantity))


def go_to_confirm(page: Page, email: str = "hanako@example.com", language: str = "ja") -> None:
    """From the cart over the details to the confirm page, typing as people do."""
    page.goto("/cart/")
    page.locator("[data-test=checkout]").click()
    for name, typed in {
        "name": "北野 花子",
        "kana": "きたの はなこ",
        "email": email,
        "phone": "０９０-" + phone_of(email)[3:],
        "postal_code": "０６０－０００１",
        "city": "札幌市中央区",
        "street": "北一条西2丁目1-1",
    }.items():
        page.locator(f"[name={name}]").fill(typed)
    page.locator("[name=prefecture]").select_option("北海道")
    page.locator("[data-test=to-confirm]").click()
    page.wait_for_url("**/checkout/confirm/")


def card_form(page: Page) -> Frame:
    """The card form's own frame, which comes from Stripe's address and not from the shop's."""
    frame = page.locator("[data-test=card] iframe").first
    frame.wait_for()
    inside = frame.element_handle().content_frame()
    assert inside is not None
    return inside


def pay(page: Page, number: str = VISA) -> None:
    """Type a card and press 購入する."""
    form = card_form(page)
    form.locator("[autocomplete=cc-number]").fill(number)
    form.locator("[autocomplete=cc-exp]").fill("12 / 34")
    form.locator("[autocomplete=cc-csc]").fill("123")
    press = page.locator("[data-test=press]")
    expect(press).to_be_enabled()
    press.click()


def number_on(page: Page) -> str:
    """The order number on the thank-you page."""
    number = page.locator("[data-test=order-number]")
    number.wait_for()
    found = re.fullmatch(r"T\d{6}-[0-9A-Z]{6}", number.inner_text().strip())
    assert found, number.inner_text()
    return found[0]
