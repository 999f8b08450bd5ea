"""A shopper who walks through the shop with Django's test client."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from rehearsal.api import Rehearsal
from tests import shop
from todoku.cart.models import Cart
from todoku.order.models import Order
from todoku.storefront import shopper

#: The details page as a careful shopper fills it in.
DETAILS: dict[str, str] = {
    "name": "北野 花子",
    "kana": "キタノ ハナコ",
    "email": "hanako@example.jp",
    "phone": "090-1234-5678",
    "postal_code": "060-0001",
    "prefecture": "北海道",
    "city": "札幌市中央区",
    "street": "北一条西2丁目",
    "building": "",
    "wished_on": "",
}


class Visitor:
    """One browser: its cookies, and what it does."""

    def __init__(self, client: Client, rehearsal: Rehearsal) -> None:
        self.client = client
        self.rehearsal = rehearsal

    @property
    def name(self) -> str:
        """What the database knows this browser by."""
        return shopper.fingerprint(self.client.cookies[shopper.cookie_name()].value)

    @property
    def cart(self) -> Cart:
        """The browser's open cart."""
        return Cart.objects.get(shopper=self.name, closed_at=None)

    @property
    def cart_in_hand(self) -> Cart:
        """The browser's present basket: not one that waits for its order to be paid at a konbini."""
        return Cart.objects.get(shopper=self.name, closed_at=None, set_aside_at=None)

    def put(self, sku: str = "KANI", quantity: object = 1) -> Any:
        """Put something into the cart."""
        return self.client.post("/cart/put/", {"sku": sku, "quantity": quantity})

    def fill_in(self, **other: str) -> Any:
        """Send the details page."""
        return self.client.post("/checkout/details/", {**DETAILS, **other})

    def to_confirm(self, quantity: int = 1) -> str:
        """Walk from the product to the confirm page; the id of the quote it shows."""
        self.put(quantity=quantity)
        assert self.client.post("/checkout/").headers["Location"] == "/checkout/details/"
        assert self.fill_in().headers["Location"] == "/checkout/confirm/"
        return self.shown_quote()

    def shown_quote(self) -> str:
        """Read the quote's id off the confirm page."""
        page = self.client.get("/checkout/confirm/")
        assert page.status_code == 200, page.headers.get("Location")
        found = re.search(r'name="quote" value="([^"]+)"', page.content.decode())
        assert found
        return found[1]

    def press(self, quote: str, token: str = "", number: str = shop.VISA, **more: str) -> Any:
        """Press 購入する."""
        fields = {"quote": quote, "confirmation_token": token or shop.type_card(self.rehearsal, number), **more}
        return self.client.post("/checkout/place/", fields)

    def buy(self) -> Order:
        """Buy one crab, to the thank-you page."""
        self.press(self.to_confirm())
        shop.work_off()
        return Order.objects.get(shopper=self.name)

    def read(self, path: str) -> str:
        """Read a page that must be there."""
        page = self.client.get(path)
        assert page.status_code == 200, (path, page.status_code, page.headers.get("Location"))
        return page.content.decode()
