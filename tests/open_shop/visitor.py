"""A shopper without a browser: plain HTTP, as quick as forty of them need to be."""

from __future__ import annotations

import json
import re
import urllib.request
from urllib.parse import urlencode

import requests

from tests.open_shop.conftest import OpenShop
from tests.shop import HANAKO, VISA, phone_of


class Visitor:
    """One shopper with cookies of their own."""

    def __init__(self, shop: OpenShop, email: str) -> None:
        self.shop = shop
        self.email = email
        self.session = requests.Session()

    def get(self, path: str) -> requests.Response:
        """Look at a page."""
        return self.session.get(self.shop.url + path, timeout=60)

    def post(self, path: str, page: requests.Response, **fields: object) -> requests.Response:
        """Send a form of a page, as the browser would."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.text[:500]
        return self.session.post(
            self.shop.url + path,
            data={"csrfmiddlewaretoken": token[1], **fields},
            headers={"Referer": page.url},
            timeout=60,
        )

    def go_to_confirm(self, sku: str, quantity: int = 1) -> requests.Response:
        """From the product's page to the confirm page."""
        home = self.get(f"/products/{sku}/")
        cart = self.post("/cart/put/", home, sku=sku, quantity=quantity)
        details = self.post("/checkout/", cart)
        typed = {name: value for name, value in HANAKO.items() if value}
        return self.post("/checkout/details/", details, **{**typed, "email": self.email, "phone": phone_of(self.email)})

    def press(self, confirm: requests.Response, card: str = VISA) -> requests.Response:
        """Type a card and press 購入する."""
        return self._place(confirm, self.type_card(card))

    def press_at_konbini(self, confirm: requests.Response) -> requests.Response:
        """Choose the konbini and press 注文を確定する."""
        return self._place(
            confirm,
            self._token(
                {
                    "payment_method_data[type]": "konbini",
                    "payment_method_data[billing_details][name]": str(HANAKO["name"]),
                    "payment_method_data[billing_details][email]": self.email,
                }
            ),
        )

    def _place(self, confirm: requests.Response, token: str) -> requests.Response:
        quote = re.search(r'name="quote" value="([^"]+)"', confirm.text)
        assert quote, confirm.text[:2000]
        return self.post("/checkout/place/", confirm, quote=quote[1], confirmation_token=token)

    def type_card(self, number: str) -> str:
        """What Stripe.js does in its frame: the card goes to Stripe and comes back as a token."""
        return self._token(
            {
                "payment_method_data[type]": "card",
                "payment_method_data[card][number]": number,
                "payment_method_data[card][exp_month]": "12",
                "payment_method_data[card][exp_year]": "2034",
                "payment_method_data[card][cvc]": "123",
            }
        )

    def _token(self, typed: dict[str, str]) -> str:
        request = urllib.request.Request(
            f"{self.shop.rehearsal}/v1/confirmation_tokens",
            data=urlencode(typed).encode(),
            headers={"Authorization": "Bearer pk_test_rehearsal"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(json.loads(answer.read())["id"])
