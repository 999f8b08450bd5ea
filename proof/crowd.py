"""A crowd of shoppers before a shop that runs in real processes: they press, reload, come back, and pay.

Shoppers are threads with a browser each, over HTTP. Robots do what people do outside the shop: they answer the
bank's question, and they go to the konbini. A page that breaks off or fails is tried again, as people do.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlencode

from rehearsal.api import Rehearsal
from rehearsal.errors import ApiError
from tests import shop

CARDS = {"ok": shop.VISA, "declined": shop.DECLINED, "3ds": "4000002760003184"}
#: What a shopper pays with, as often as it stands here.
MIX = ("ok",) * 5 + ("3ds",) * 3 + ("konbini",) * 3 + ("declined",)
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_QUOTE = re.compile(r'name="quote" value="([^"]+)"')
_NAMES = ("北野 花子", "南川 太郎", "西山 桜", "東 一郎")


@dataclass
class Page:
    """What the shop answered."""

    status: int
    location: str
    text: str


@dataclass
class Browser:
    """One browser: its cookies, and how the shop has answered it."""

    port: int
    seen: Counter[int]
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""

    def get(self, path: str) -> Page | None:
        """Ask for a page; None when the connection breaks."""
        return self._send("GET", path, None)

    def post(self, path: str, fields: dict[str, str]) -> Page | None:
        """Send a form."""
        return self._send("POST", path, urlencode({"csrfmiddlewaretoken": self.token, **fields}))

    def _send(self, method: str, path: str, body: str | None) -> Page | None:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Accept-Language": "ja", "Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if body is not None:
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"http://127.0.0.1:{self.port}",
            }
        try:
            line.request(method, path, body, headers)
            response = line.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return None
        finally:
            line.close()
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.seen[response.status] += 1
        if (found := _TOKEN.search(text)) is not None:
            self.token = found[1]
        return Page(response.status, response.headers.get("Location", ""), text)


@dataclass
class Crowd:
    """Shoppers and robots around one open shop."""

    port: int
    rehearsal: Rehearsal
    skus: Sequence[str]
    seed: int = 1
    #: Seconds between two shoppers of one thread.
    pause: float = 0.3
    #: How the shop has answered, by status.
    seen: Counter[int] = field(default_factory=Counter)
    #: Shoppers who came, got an order, gave up.
    came: Counter[str] = field(default_factory=Counter)
    #: Failed pages that were not the shop's own kind ones.
    unkind: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _home: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self, shoppers: int) -> None:
        """Let so many come at a time, one after the other."""
        for number in range(shoppers):
            self._begin(self._shop, number)
        self._begin(self._outside)

    def _begin(self, what: object, *args: int) -> None:
        thread = threading.Thread(target=what, args=args, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """Let nobody in any more, and wait until those in the shop have left; robots go on until ``go_home``."""
        self._over.set()
        for thread in self._threads[:-1]:
            thread.join(timeout=60)

    def go_home(self) -> None:
        """Send the robots home too."""
        self._home.set()
        self._threads[-1].join(timeout=30)

    # Inside the shop -------------------------------------------------------------------------------------------

    def _shop(self, number: int) -> None:
        lots = random.Random(f"{self.seed}/{number}")
        visit = 0
        while not self._over.wait(lots.random() * self.pause):
            visit += 1
            self.came["came"] += 1
            try:
                self.came["order" if self._visit(f"{number}-{visit}", lots) else "gave up"] += 1
            except Exception as error:  # a shopper of ours that breaks must be seen
                self.unkind.append(f"a shopper broke: {type(error).__name__} {error}")

    def _visit(self, who: str, lots: random.Random) -> bool:
        browser = Browser(self.port, self.seen)
        sku = lots.choice(self.skus)
        if self._until(browser, "GET", f"/products/{sku}/", {}, "") is None:
            return False
        if self._until(browser, "POST", "/cart/put/", {"sku": sku, "quantity": "1"}, "/") is None:
            return False
        if self._until(browser, "POST", "/checkout/", {}, "/checkout/details/") is None:
            return False
        mail = f"shopper-{self.seed}-{who}@example.jp"
        fields = {
            "name": lots.choice(_NAMES), "kana": "キタノ ハナコ", "email": mail, "phone": shop.phone_of(mail),
            "postal_code": "060-0001", "prefecture": "北海道", "city": "札幌市中央区", "street": "北一条西2丁目",
            "building": "", "wished_on": "",
        }  # fmt: skip
        if self._until(browser, "POST", "/checkout/details/", fields, "/checkout/confirm/") is None:
            return False
        order = self._press(browser, lots.choice(MIX), lots, mail)
        for _ in range(lots.randrange(4)):
            if order and not self._over.wait(0.3):
                browser.get(f"{order}status/")
        if order and lots.random() < 0.3:
            browser.get(f"{order}back/")
        return bool(order)

    def _press(self, browser: Browser, paid: str, lots: random.Random, mail: str) -> str:
        """Press until there is an order's page; a press without an answer is sent again as it was, or anew."""
        fields: dict[str, str] = {}
        for _ in range(40):
            if not fields:
                page = browser.get("/checkout/confirm/")
                if page is not None and page.location.startswith("/orders/"):
                    return page.location
                quote = _QUOTE.search(page.text) if page is not None and page.status == 200 else None
                if quote is None:
                    self._kind(page)
                    time.sleep(0.25)
                    continue
                token = (
                    shop.choose_konbini(self.rehearsal, mail)
                    if paid == "konbini"
                    else shop.type_card(self.rehearsal, CARDS[paid])
                )
                fields = {"quote": quote[1], "confirmation_token": token}
            page = browser.post("/checkout/place/", fields)
            if page is None or page.status >= 500:
                self._kind(page)
                time.sleep(0.25)
                # Half reload the form, half go back and type the card again.
                fields = fields if lots.random() < 0.5 else {}
                continue
            if page.location.startswith("/orders/"):
                return page.location
            fields = {}
        return ""

    def _until(self, browser: Browser, method: str, path: str, fields: dict[str, str], leads: str) -> Page | None:
        """Try a page until it leads where it should, for some time."""
        for _ in range(60):
            page = browser.get(path) if method == "GET" else browser.post(path, fields)
            if page is not None and (
                page.status == 200 if method == "GET" else page.location.startswith(leads) and page.location
            ):
                return page
            self._kind(page)
            time.sleep(0.25)
        return None

    def _kind(self, page: Page | None) -> None:
        """A page that fails must say so kindly: it is the shop's own, and 503 says when to come again."""
        if page is not None and page.status >= 500 and "<html" not in page.text and len(self.unkind) < 20:
            self.unkind.append(f"status {page.status} without a page: {page.text[:100]!r}")

    # Outside the shop ------------------------------------------------------------------------------------------

    def _outside(self) -> None:
        """Answer the bank's questions, pay at the till, let some vouchers run out."""
        lots = random.Random(f"{self.seed}/outside")
        due: dict[str, float] = {}
        while not self._home.wait(0.2):
            now = time.monotonic()
            with self.rehearsal.lock:
                waiting = [
                    (row["id"], row["next_action"]["type"])
                    for row in self.rehearsal.store.table("payment_intents").rows.values()
                    if row["status"] == "requires_action" and row.get("next_action")
                ]
            for intent, action in waiting:
                if now < due.setdefault(intent, now + lots.random() * 2):
                    continue
                with suppress(LookupError, ApiError):
                    if action != "konbini_display_details":
                        self.rehearsal.authenticate(intent, passed=lots.random() < 0.85)
                    elif lots.random() < 0.85:
                        self.rehearsal.pay_at_till(intent, lots.choice(("familymart", "lawson", "seicomart")))
                    else:
                        self.rehearsal.expire_voucher(intent)


def seen_as_text(seen: Counter[int]) -> str:
    """Tell the statuses as a report does."""
    return ", ".join(f"{status}: {number:,}" for status, number in sorted(seen.items()))


def orders_of(rehearsal: Rehearsal) -> str:
    """The PaymentIntents by status, for a report."""
    with rehearsal.lock:
        rows = rehearsal.store.table("payment_intents").rows.values()
        return json.dumps(Counter(row["status"] for row in rows))
