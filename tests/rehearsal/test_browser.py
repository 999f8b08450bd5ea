"""The card form and the bank's question in a real browser, in a shop page with a strict policy."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.rehearsal.served import Served
from tests.rehearsal.shop_page import ShopPage

pytestmark = pytest.mark.browser



@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    server = Served()
    yield server
    server.stop()


@pytest.fixture(params=[("ja", 390), ("en", 1280)], ids=["ja-phone", "en-desktop"])
def page(request: pytest.FixtureRequest, chromium: Browser, served: Served) -> Iterator[Page]:
    lang, width = request.param
    shop = ShopPage(served.url, "pk_test_rehearsal", lang)
    opened = chromium.new_page(viewport={"width": width, "height": 800})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.goto(shop.url)
    opened.frame_locator("#payment iframe").get_by_label(WORDS[lang]["number"]).wait_for()
    yield opened
    opened.close()
    shop.close()
    # A refused card is a 402, which the browser mentions by itself.
    assert [line for line in said if "status of 402" not in line] == []


WORDS = {
    "ja": {
        "number": "カード番号",
        "expiry": "有効期限",
        "cvc": "セキュリティコード",
        "incomplete": "カード番号を最後まで入力してください。",
        "invalid": "カード番号が正しくありません。",
        "past": "カードの有効期限が過ぎています。",
        "failed": "本人確認ができませんでした",
        "live": "テストカード",
    },
    "en": {
        "number": "Card number",
        "expiry": "Expiration date",
        "cvc": "Security code",
        "incomplete": "Your card number is incomplete.",
        "invalid": "Your card number is invalid.",
        "past": "in the past",
        "failed": "unable to authenticate",
        "live": "test card",
    },
}


def words(page: Page) -> dict[str, str]:
    return WORDS[page.locator("html").get_attribute("lang") or "en"]


def type_card(page: Page, number: str, expiry: str = "1234", cvc: str = "123") -> None:
    """Fills the form as a person does: digits only, and the form moves on by itself."""
    form = page.frame_locator("#payment iframe")
    for name in ("number", "expiry", "cvc"):
        form.locator(f"#{name}").fill("")
    form.locator("#number").click()
    page.keyboard.type(number)
    form.locator("#expiry").click()
    page.keyboard.type(expiry)
    form.locator("#cvc").click()
    page.keyboard.type(cvc)


def said(page: Page) -> dict[str, str]:
    return json.loads(page.inner_text("#said"))


def token(page: Page, number: str) -> str:
    type_card(page, number, cvc="1234" if number.startswith("37") else "123")
    page.evaluate("document.getElementById('said').textContent = ''")
    page.click("#pay")
    expect(page.locator("#said")).to_contain_text("ctoken_")
    return said(page)["id"]


def test_a_card_becomes_a_token_and_its_number_never_reaches_the_shop_s_page(
    page: Page, served: Served
) -> None:
    sent: list[str] = []
    page.on(
        "request", lambda request: sent.append(f"{request.method} {request.url} {request.post_data or ''}")
    )
    id = token(page, "4242424242424242")
    form = page.frame_locator("#payment iframe")
    assert form.locator("#number").input_value() == "4242 4242 4242 4242"
    assert form.locator("#expiry").input_value() == "12 / 34"
    assert said(page)["last4"] == "4242"
    assert "4242424242424242" not in page.content()
    carrying = [line for line in sent if "4242424242424242" in line]
    assert len(carrying) == 1
    assert carrying[0].startswith(f"POST {served.url}/v1/confirmation_tokens")
    events = page.evaluate("window.events")
    assert events[0] == "ready"
    assert events[-1] == "complete"
    client = served.client()
    preview = client.v1.confirmation_tokens.retrieve(id).payment_method_preview
    assert (preview.billing_details.name, preview.card.exp_year) == ("届 花子", 2034)
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    assert client.v1.payment_intents.confirm(intent.id, {"confirmation_token": id}).status == "succeeded"


def test_what_is_wrong_is_said_at_the_field_in_the_customer_s_language(page: Page) -> None:
    form = page.frame_locator("#payment iframe")
    word = words(page)
    page.click("#pay")
    expect(form.locator("#number-error")).to_have_text(word["incomplete"])
    expect(page.locator("#said")).to_contain_text("validation_error")
    assert form.locator("#number").get_attribute("aria-invalid") == "true"
    assert form.locator("#number-error").get_attribute("role") == "alert"
    type_card(page, "4242424242424241")
    page.click("#pay")
    expect(form.locator("#number-error")).to_have_text(word["invalid"])
    type_card(page, "4242424242424242", "0120")
    page.click("#pay")
    expect(form.locator("#expiry-error")).to_contain_text(word["past"])
    expect(form.locator("#number-error")).to_have_text("")
    type_card(page, "4539148803436467")
    page.click("#pay")
    expect(form.locator("#number-error")).to_contain_text(word["live"])


def test_the_form_shapes_what_is_typed_and_fits_its_frame(page: Page) -> None:
    form = page.frame_locator("#payment iframe")
    frame = page.locator("#payment iframe")
    low = frame.bounding_box()
    page.click("#pay")
    expect(form.locator("#cvc-error")).not_to_have_text("")
    page.wait_for_timeout(150)
    high = frame.bounding_box()
    assert low is not None
    assert high is not None
    assert high["height"] > low["height"]
    assert form.locator("html").evaluate("e => e.scrollWidth <= e.clientWidth")
    for number, shaped, brand in (
        ("378282246310005", "3782 822463 10005", "AMEX"),
        ("3566002020360505", "3566 0020 2036 0505", "JCB"),
        ("36227206271667", "3622 720627 1667", "Diners"),
        ("５５５５５５５５５５５５４４４４", "5555 5555 5555 4444", "Mastercard"),
    ):
        form.locator("#number").fill("")
        form.locator("#number").click()
        page.keyboard.insert_text(number)
        assert form.locator("#number").input_value() == shaped
        expect(form.locator("#brand")).to_have_text(brand)
    for name, autocomplete in (("number", "cc-number"), ("expiry", "cc-exp"), ("cvc", "cc-csc")):
        field = form.locator(f"#{name}")
        assert field.get_attribute("autocomplete") == autocomplete
        assert field.get_attribute("inputmode") == "numeric"


@pytest.mark.parametrize("how", ["pass", "fail", "escape", "leave"])
def test_the_bank_s_question_is_answered_in_a_dialog(page: Page, served: Served, how: str) -> None:
    client = served.client()
    intent = client.v1.payment_intents.create({"amount": 5400, "currency": "jpy"})
    waiting = client.v1.payment_intents.confirm(
        intent.id, {"confirmation_token": token(page, "4000000000003220")}
    )
    assert waiting.status == "requires_action"
    page.evaluate("secret => { window.next(secret); }", waiting.client_secret)
    question = page.frame_locator("dialog iframe")
    expect(question.locator("button.pass")).to_be_visible()
    if how == "escape":
        page.locator("dialog iframe").evaluate("e => e.blur()")
        page.keyboard.press("Escape")
    else:
        question.locator(f"button.{how}").click()
    if how == "leave":
        expect(question.locator("button")).to_have_count(0)
        assert client.v1.payment_intents.retrieve(intent.id).status == "requires_action"
        return
    expect(page.locator("#said")).to_contain_text('"step":"next"')
    expect(page.locator("dialog")).to_have_count(0)
    after = client.v1.payment_intents.retrieve(intent.id)
    if how == "pass":
        assert said(page)["status"] == after.status == "succeeded"
    else:
        assert after.status == "requires_payment_method"
        assert said(page)["code"] == "payment_intent_authentication_failure"
        assert words(page)["failed"] in said(page)["message"]


def test_mistakes_in_the_shop_s_code_are_told_plainly(page: Page) -> None:
    tried = page.evaluate(
        """() => {
          const tries = [
            () => Stripe("sk_test_x"),
            () => stripe.elements({ mode: "payment", amount: 0, currency: "jpy" }),
            () => stripe.elements({ mode: "payment", amount: 50, currency: "JPY" }),
            () => stripe.elements({ mode: "payment", amount: 50, currency: "jpy", paymentMethodTypes: ["card"] }),
            () => stripe.elements({ clientSecret: "x" }),
            () => stripe.elements({ mode: "payment", amount: 50, currency: "jpy" }).create("card"),
          ];
          return tries.map((one) => { try { one(); return "no error"; } catch (e) { return e.name; } });
        }"""
    )
    assert tried == ["IntegrationError"] * 6
    early = page.evaluate("stripe.createConfirmationToken({ elements }).then(() => 'made', (e) => e.message)")
    assert "submit() must be called" in early
