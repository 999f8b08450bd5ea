"""One simulated shopper: from the home page to the thank-you page, page by page, as a browser asks for them.

Only HTML pages are asked for: a browser asks once for the pictures, the styles and the scripts and keeps them.
"""

from __future__ import annotations

import http.client
import json
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

#: Where the parcels go: near, far, and across the sea.
ADDRESSES: tuple[dict[str, str], ...] = (
    {"postal_code": "060-0001", "prefecture": "北海道", "city": "札幌市中央区", "street": "北一条西2丁目"},
    {"postal_code": "150-0001", "prefecture": "東京都", "city": "渋谷区", "street": "神宮前1-2-3"},
    {"postal_code": "540-0002", "prefecture": "大阪府", "city": "大阪市中央区", "street": "大阪城1-1"},
    {"postal_code": "900-0014", "prefecture": "沖縄県", "city": "那覇市", "street": "松尾2-3-4"},
)
#: The card form's fields, as stripe.js sends them for 4242 4242 4242 4242.
CARD = {
    "payment_method_data[type]": "card",
    "payment_method_data[card][number]": "4242424242424242",
    "payment_method_data[card][exp_month]": "12",
    "payment_method_data[card][exp_year]": "2034",
    "payment_method_data[card][cvc]": "123",
}
PUBLISHABLE_KEY = "pk_test_rehearsal"
FORM = "application/x-www-form-urlencoded"
#: How long a shopper looks at "we are checking your payment" before the bench calls the order not complete.
PATIENCE = 60.0


class Stumbled(Exception):
    """A page was not what a shopper must get; the message names it."""


@dataclass
class Answer:
    """What the shop answered."""

    page: str
    status: int
    location: str
    body: bytes

    def between(self, before: str, after: str = '"') -> str:
        """Find what stands between two texts; raise Stumbled where it is not."""
        start = self.body.find(before.encode())
        if start < 0:
            raise Stumbled(f"{self.page}: there is no {before} on the page")
        start += len(before.encode())
        return self.body[start : self.body.index(after.encode(), start)].decode()


@dataclass
class Browser:
    """One browser with an empty cookie jar and one connection, and the seconds that each page took."""

    host: str
    port: int
    #: (page, when its answer was there, how many seconds it took)
    took: list[tuple[str, float, float]] = field(default_factory=list)
    _cookies: dict[str, str] = field(default_factory=dict)
    _line: http.client.HTTPConnection | None = None

    def get(self, page: str, path: str) -> Answer:
        """Ask for a page that must be there."""
        return self._must(self._send(page, "GET", path), 200)

    def post(self, page: str, path: str, came_from: Answer, fields: dict[str, str] | None = None) -> Answer:
        """Send a form of the page we came from; the shop must send us on."""
        token = came_from.between('name="csrfmiddlewaretoken" value="')
        body = urlencode({"csrfmiddlewaretoken": token, **(fields or {})}).encode()
        return self._must(self._send(page, "POST", path, body), 303)

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()

    def _must(self, answer: Answer, status: int) -> Answer:
        if answer.status != status:
            said = answer.body[:200].decode(errors="replace")
            raise Stumbled(f"{answer.page}: status {answer.status}, not {status}: {answer.location or said}")
        return answer

    def _send(self, page: str, method: str, path: str, body: bytes | None = None) -> Answer:
        headers = {"Accept-Language": "ja", "Accept": "text/html"}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if body is not None:
            headers |= {"Content-Type": FORM, "Origin": f"http://{self.host}:{self.port}"}
        if self._line is None:
            self._line = http.client.HTTPConnection(self.host, self.port, timeout=30)
        began = time.monotonic()
        try:
            self._line.request(method, path, body, headers)
            response = self._line.getresponse()
            answered = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Stumbled(f"{page}: {type(error).__name__} {error}") from error
        now = time.monotonic()
        self.took.append((page, now, now - began))
        for line in response.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            if "max-age=0" in line.lower():
                self._cookies.pop(name, None)
            else:
                self._cookies[name] = value
        return Answer(page, response.status, response.headers.get("Location", ""), answered)


@dataclass(frozen=True)
class Bought:
    """One complete checkout, in seconds of the machine's monotonic clock."""

    number: str
    began: float
    #: The press of 購入する: the moment its form was sent.
    pressed: float
    #: The shop said that the order is complete (the status that the page's script asks for, or the page itself).
    complete: float
    #: The thank-you page was there.
    thanked: float
    looks: int


def buy(browser: Browser, sku: str, address: dict[str, str], mail: str, card: Callable[[], str]) -> Bought:
    """Walk through the shop and buy one piece; raise Stumbled when a page is not what it must be."""
    began = time.monotonic()
    browser.get("home", "/")
    product = browser.get("product", f"/products/{sku}/")
    browser.post("put", "/cart/put/", product, {"sku": sku, "quantity": "1"})
    cart = browser.get("cart", "/cart/")
    to_details = browser.post("begin", "/checkout/", cart)
    if to_details.location != "/checkout/details/":
        raise Stumbled(f"begin: sent to {to_details.location}")
    details = browser.get("details", "/checkout/details/")
    filled = {
        "seen": details.between('name="seen" value="'),
        "name": "北野 花子",
        "kana": "キタノ ハナコ",
        "email": mail,
        # Everybody is somebody else: the shop asks whoever orders the same goods twice whether they know it.
        "phone": f"09{zlib.crc32(mail.encode()) % 10**9:09d}",
        **address,
        "building": "",
        "wished_on": "",
    }
    to_confirm = browser.post("fill in", "/checkout/details/", details, filled)
    if to_confirm.location != "/checkout/confirm/":
        raise Stumbled(f"fill in: sent to {to_confirm.location}")
    confirm = browser.get("confirm", "/checkout/confirm/")
    quote = confirm.between('name="quote" value="')
    confirmation_token = card()
    pressed = time.monotonic()
    placed = browser.post(
        "press", "/checkout/place/", confirm, {"quote": quote, "confirmation_token": confirmation_token}
    )
    if not placed.location.startswith("/orders/"):
        raise Stumbled(f"press: sent to {placed.location}")
    order = browser.get("order", placed.location)
    complete, looks = _watch(browser, order)
    if looks:
        order = browser.get("thanks", placed.location)
    number = order.between('data-test="order-number">', "<")
    return Bought(number, began, pressed, complete, time.monotonic(), looks)


def _watch(browser: Browser, order: Answer) -> tuple[float, int]:
    """Ask how the order stands, at the pace of the page's script (watch.js); the moment it was complete."""
    began = time.monotonic()
    state = order.between('data-state="')
    # An order that was faster than its page is not watched any more.
    path = order.between('data-status="') if state == "checking" else ""
    wait = 0.06
    looks = 0
    while state == "checking":
        if time.monotonic() - began > PATIENCE:
            raise Stumbled(f"status: still being checked after {PATIENCE:.0f} seconds")
        time.sleep(wait)
        looks += 1
        state = str(json.loads(browser.get("status", path).body)["state"])
        wait = 2.0 if time.monotonic() - began > 20 else min(wait * 1.5, 1.0)
    if state != "thanks":
        raise Stumbled(f"status: the order is {state}")
    return (time.monotonic() if looks else began), looks


def type_card(rehearsal: str) -> str:
    """Make a confirmation token, as the card form does in the browser."""
    where = urlsplit(rehearsal)
    line = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
    try:
        return type_card_on(line)
    finally:
        line.close()


def type_card_on(line: http.client.HTTPConnection) -> str:
    """Make a confirmation token over a line that is kept."""
    headers = {"Authorization": f"Bearer {PUBLISHABLE_KEY}", "Content-Type": FORM}
    line.request("POST", "/v1/confirmation_tokens", urlencode(CARD), headers)
    response = line.getresponse()
    said = response.read()
    if response.status != 200:
        raise Stumbled(f"card: status {response.status}: {said[:200].decode(errors='replace')}")
    return str(json.loads(said)["id"])
