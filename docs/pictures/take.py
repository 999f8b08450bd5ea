"""Take the README's picture: an order on a phone, and the same order in the console.

    PORT=8150 TODOKU_VAR=var/pictures python -m todoku run      # in one terminal
    python docs/pictures/take.py http://127.0.0.1:8150          # in another

Nothing is drawn: the pages are those of an open shop, with its demo goods and the rehearsal Stripe.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1180, "height": 900}
HIGH = 640
GAP = 26
LARGEST = 400_000
PAPER = (243, 239, 231)


def shot(page: Page) -> Image.Image:
    """Take the page as it stands in its window."""
    page.wait_for_timeout(700)
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def order_on_a_phone(page: Page, shop: str) -> list[Image.Image]:
    """Buy a crab, and take the product, the confirm page and the thank-you page."""
    page.goto(f"{shop}/products/KANI-KEGANI-500/")
    taken = [shot(page)]
    page.locator("[data-test=put]").click()
    page.goto(f"{shop}/cart/")
    page.locator("[data-test=checkout]").click()
    for name, typed in {
        "name": "届 花子",
        "kana": "トドケ ハナコ",
        "email": "hanako@example.com",
        "phone": "090-1234-5678",
        "postal_code": "060-0001",
        "city": "札幌市中央区",
        "street": "北一条西2丁目1-1",
    }.items():
        page.locator(f"[name={name}]").fill(typed)
    page.locator("[name=prefecture]").select_option("北海道")
    page.locator("[data-test=to-confirm]").click()
    page.wait_for_url("**/checkout/confirm/")
    frame = page.locator("[data-test=card] iframe").first
    frame.wait_for()
    card = frame.element_handle().content_frame()
    assert card is not None
    card.locator("[autocomplete=cc-number]").fill("4242 4242 4242 4242")
    card.locator("[autocomplete=cc-exp]").fill("12 / 34")
    card.locator("[autocomplete=cc-csc]").fill("123")
    page.locator("[data-test=card]").scroll_into_view_if_needed()
    page.evaluate("document.activeElement.blur(); document.getElementById('card-title').scrollIntoView()")
    page.mouse.wheel(0, -330)
    taken.append(shot(page))
    page.locator("[data-test=press]").click()
    page.locator("[data-test=order-number]").wait_for()
    page.wait_for_timeout(1500)
    page.goto(page.url)
    taken.append(shot(page))
    return taken


def same_order_in_the_console(page: Page, shop: str, name: str, password: str) -> Image.Image:
    """Log in and take the page of the latest execution."""
    page.goto(f"{shop}/console/login/?next=/console/engines/execution/")
    page.locator("[name=username]").fill(name)
    page.locator("[name=password]").fill(password)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url("**/console/engines/execution/")
    page.locator("#result_list tbody tr a").first.click()
    page.wait_for_url("**/change/")
    return shot(page)


def side_by_side(pages: list[Image.Image]) -> Image.Image:
    """Lay the pages on one sheet, each as high as the others."""
    small = [page.resize((round(page.width * HIGH / page.height), HIGH), Image.Resampling.LANCZOS) for page in pages]
    sheet = Image.new("RGB", (sum(page.width + GAP for page in small) + GAP, HIGH + 2 * GAP), PAPER)
    ink, left = ImageDraw.Draw(sheet), GAP
    for page in small:
        sheet.paste(page, (left, GAP))
        ink.rectangle((left - 1, GAP - 1, left + page.width, GAP + HIGH), outline=(196, 189, 176))
        left += page.width + GAP
    return sheet


def main(shop: str, name: str = "operator", password: str = "hokkaido-crab-4800") -> None:  # noqa: S107 - the demo's
    """Take everything and write shop.png beside this file."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        phone = browser.new_context(
            viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True, locale="ja-JP"
        )
        pages = order_on_a_phone(phone.new_page(), shop)
        desk = browser.new_context(viewport=DESK, device_scale_factor=1.5, locale="ja-JP")
        pages.append(same_order_in_the_console(desk.new_page(), shop, name, password))
        browser.close()
    sheet = side_by_side(pages)
    written = Path(__file__).with_name("shop.png")
    for colours in (256, 192, 128, 96, 64):
        sheet.quantize(colours, dither=Image.Dither.NONE).save(written, optimize=True)
        if written.stat().st_size < LARGEST:
            return
    sys.exit(f"{written} has {written.stat().st_size} bytes, which is too much")


if __name__ == "__main__":
    main(*sys.argv[1:])
