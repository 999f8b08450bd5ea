"""Somebody who sits at the desk for the first time: reads, clicks and types, and counts what that costs.

A test's hands are quicker than a person's. So each click, each word read and each letter typed is also counted at a
person's pace, and added to what the pages themselves took.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.open_shop.conftest import OpenShop

#: To make up one's mind, to point, to press (the keystroke-level model: Card, Moran, Newell 1980).
CLICK = 1.35 + 1.1 + 0.2
#: A key, for the average typist of the same model; a Japanese sign takes about two and a half of them.
KEY, KEYS_A_SIGN = 0.28, 2.5
#: 238 words of English a minute (Brysbaert 2019), 500 signs of Japanese.
WORD, SIGN = 60 / 238, 60 / 500
#: Where pictures of every page go, in both languages and at both widths; nowhere unless somebody asks for them.
PICTURES = os.environ.get("TODOKU_TEST_PICTURES", "")
#: Kana and kanji.
SIGNS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_WIDTHS = (390, 1280)


class NewOperator:
    """One person at one browser, from the link in the bell's mail to the last click."""

    def __init__(self, shop: OpenShop, desk: Page, language: str, width: int) -> None:
        self.shop = shop
        self.desk = desk
        self.language = language
        self.clicks = 0
        #: What a person would have needed on top of what the pages took.
        self.reading = 0.0
        self.hands = 0.0
        self._known: set[str] = set()
        self._began = 0.0
        self._aside = 0.0
        self._speak(language)
        desk.set_viewport_size({"width": width, "height": 844})

    def open(self, bell: dict[str, str]) -> None:
        """Follow the link in the bell's mail and log in: it leads to the case by itself."""
        link = re.search(r"http://\S+/console/notify/case/\d+/\S+", bell["text"])
        assert link is not None, bell["text"]
        self.desk.goto(link[0])
        self.look("login")
        self.desk.locator("[name=username]").fill("operator")
        self.desk.locator("[name=password]").fill("hokkaido-crab-4800")
        # Whoever bookmarks nothing and remembers nothing still arrives.
        self._began, self._aside = time.monotonic(), 0.0
        self.desk.locator("[name=password]").press("Enter")
        expect(self.desk).to_have_url(link[0])

    def read(self, part: Locator) -> str:
        """Read a part of the page from its first word to its last."""
        expect(part).to_be_visible()
        icons = part.locator(".material-symbols-outlined").all_inner_texts()
        lines = [line for line in part.inner_text().splitlines() if line.strip() and line.strip() not in icons]
        # What stood on the page before is known by sight.
        text = "\n".join(line for line in lines if line not in self._known)
        self._known.update(lines)
        signs = len(SIGNS.findall(text))
        words = len(re.findall(r"[A-Za-z0-9¥,.:'-]+", text))
        self.reading += signs * SIGN + words * WORD
        return "\n".join(lines)

    def press(self, what: Locator) -> None:
        """Click."""
        self.clicks += 1
        self.hands += CLICK
        what.click()

    def type(self, field: Locator, text: str) -> None:
        """Click into a field and type."""
        self.press(field)
        self.hands += KEY * (len(text) + (KEYS_A_SIGN - 1) * len(SIGNS.findall(text)))
        field.press_sequentially(text)

    def look(self, name: str) -> None:
        """Have the page pictured; the clock stands still meanwhile."""
        if not PICTURES:
            return
        began, size = time.monotonic(), self.desk.viewport_size
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        for language in ("ja", "en"):
            self._speak(language)
            for width in _WIDTHS:
                self.desk.set_viewport_size({"width": width, "height": 844})
                self.desk.reload()
                self.desk.wait_for_load_state("networkidle")
                self.desk.screenshot(path=Path(PICTURES) / f"{name}-{language}-{width}.png", full_page=True)
        self._speak(self.language)
        assert size is not None
        self.desk.set_viewport_size(size)
        self.desk.reload()
        self._aside += time.monotonic() - began

    def seconds(self) -> tuple[float, float]:
        """What the pages took, and what a person needs with them."""
        pages = time.monotonic() - self._began - self._aside
        return round(pages, 1), round(pages + self.reading + self.hands, 1)

    def _speak(self, language: str) -> None:
        self.desk.context.add_cookies([{"name": "todoku_language", "value": language, "url": self.shop.url}])
